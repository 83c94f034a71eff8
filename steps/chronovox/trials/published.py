"""Trial lists as they are published for VoxCeleb, and ours.

VoxCeleb's own: `1 id10270/x6uYqmx31kE/00001.wav id10300/ize_eiCFEg0/00003.wav`, the
label first, 1 for a target. The cross-age lists (`trials/<Set>/trials`): the label
last, as 1, 0, target or nontarget, and utterances as paths or joined by dashes. An
utterance is `<speaker>-<session>-<name>` here.
"""

from pathlib import PurePosixPath

import numpy as np

from chronovox.cli import UserError
from chronovox.datadir import read_text
from chronovox.files import write_lines
from chronovox.trials.lists import LABELS, Trials

_LABELS = {**LABELS, "1": True, "0": False}


def read_published(path) -> Trials:
    """Read a list in any of these forms, keys as ours.

    Raises UserError that names file and line.
    """
    first, second, third = _columns(path)
    labels, sides = (first, (second, third))
    if first[0] not in _LABELS:
        labels, sides = (third, (first, second))
    try:
        is_target = np.fromiter(map(_LABELS.__getitem__, labels), bool, len(labels))
    except KeyError as error:
        line = labels.index(error.args[0]) + 1
        raise UserError(
            f"{path}:{line}: '{error.args[0]}' is not {', '.join(_LABELS)}, which is "
            "first or last in a line, and where it is in the first line"
        ) from None
    names = {name: key_of(name) for side in sides for name in side}
    keys = ([names[name] for name in side] for side in sides)
    return Trials.of(*keys, is_target, path)


def _columns(path) -> list[list[str]]:
    """Three columns; lines may end as on Windows, and the last one without an end."""
    lines = read_text(path).splitlines()
    rows = [line.split() for line in lines]
    for number, row in enumerate(rows, 1):
        if len(row) != 3:
            raise UserError(
                f"{path}:{number}: expected 3 fields, found {len(row)}: "
                f"'{lines[number - 1]}'"
            )
    if not rows:
        raise UserError(f"{path}: empty file")
    return [list(column) for column in zip(*rows, strict=True)]


def key_of(name: str) -> str:
    """An utterance, of a path `<speaker>/<session>/<name>.wav`."""
    if "/" not in name:
        return name.removesuffix(".wav")
    path = PurePosixPath(name)
    return "-".join([*path.parts[:-1], path.stem])


def write_published(path, trials: Trials, utt2spk, utt2session) -> None:
    """Write a list in VoxCeleb's own form, atomically.

    Raises UserError for an utterance that is not in the tables, or not named
    `<speaker>-<session>-<name>` after them.
    """
    of = _paths(trials.used_keys(), utt2spk, utt2session, trials.path)
    rows = trials.blocks(trials.is_target)
    write_lines(
        path, (f"{int(label)} {of[one]} {of[other]}" for one, other, label in rows)
    )


def _paths(utts, utt2spk, utt2session, source) -> dict[str, str]:
    """`<speaker>/<session>/<name>.wav` of each of `utts`."""
    found = {}
    for utt in utts:
        if utt not in utt2spk or utt not in utt2session:
            raise UserError(f"{source}: no '{utt}' in utt2spk or utt2session")
        spk, session = utt2spk[utt], utt2session[utt]
        name = utt.removeprefix(f"{spk}-{session}-")
        if name == utt:
            raise UserError(
                f"{source}: '{utt}' does not begin with '{spk}-{session}-': no path "
                "of VoxCeleb's form can be made of it"
            )
        found[utt] = f"{spk}/{session}/{name}.wav"
    return found
