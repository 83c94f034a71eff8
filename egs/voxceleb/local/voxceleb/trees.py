"""Trees <speaker>/<video>/... in a folder, at the depths where archives put them.

Only folders are listed, and no file is looked at: what a name says is enough for a
million files.
"""

import os
from collections.abc import Callable
from pathlib import Path

from chronovox.cli import UserError

DEPTH = 3  # folders between the one that a user names and the speakers


def listing(folder) -> tuple[list[str], list[str]]:
    """The names of folders and of files in a folder, sorted, hidden ones left out."""
    folders, files = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                (folders if entry.is_dir() else files).append(entry.name)
    return sorted(folders), sorted(files)


def find_trees(root: Path, is_speaker: Callable[[str], bool]) -> dict[Path, list[str]]:
    """Folder -> speakers' folders in it, of `root` and what is up to DEPTH below it.

    Folders without a speaker are left out. Raises UserError if `root` is no folder.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    trees, level = {}, [root]
    for _ in range(DEPTH + 1):
        below = []
        for folder in level:
            names, _ = listing(folder)
            speakers = [name for name in names if is_speaker(name)]
            if speakers:
                trees[folder] = speakers
            below += [folder / name for name in names if not is_speaker(name)]
        level = below
    return dict(sorted(trees.items()))


def others(tree: Path, places: dict[Path, list[str]]) -> list[Path]:
    """The folders in a tree, of those found, that are no speakers', nor lead to any."""
    names = set(listing(tree)[0]) - set(places[tree])
    found = [tree / name for name in sorted(names)]
    return [path for path in found if not any(at.is_relative_to(path) for at in places)]


def holds(folder: Path, names: list[str], suffixes: tuple[str, ...]) -> bool:
    """Whether files of these kinds lie in the first of the folders `names`.

    Five of each level are looked into, and three levels.
    """

    def look(place: Path, depth: int) -> bool:
        folders, files = listing(place)
        return any(name.lower().endswith(suffixes) for name in files) or (
            depth > 1 and any(look(place / name, depth - 1) for name in folders[:5])
        )

    return any(look(folder / name, 3) for name in names[:5])
