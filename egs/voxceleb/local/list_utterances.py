#!/usr/bin/env python3
"""List the recordings of VoxCeleb1 or VoxCeleb2, however they were unpacked.

Usage: local/list_utterances.py [--max-fail-ratio X] ROOT LIST
e.g.:  local/list_utterances.py /corpora/voxceleb1 data/local/vox1

Recordings are <speaker>/<video>/<utterance>.{wav,flac,m4a}, speakers id and five
digits. Their folders lie in ROOT or up to three folders below it: in wav,
vox1_dev_wav/wav, dev/wav and test/wav, dev/aac, dev/m4a, and so on, in one tree or
in several. An utterance that is there twice is taken as wav, else flac, else m4a.

LIST gets tab-separated lines `utterance speaker video path`, sorted by utterance
<speaker>-<video>-<utterance>. Recordings that do not fit are listed in LIST.dropped,
`path reason`; what else lies in the trees, or is there twice, in LIST.ignored. ROOT
may be a file, where there is no audio, with lines `speaker/video/utterance seconds`:
then LIST has no paths.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from voxceleb import trees
from voxceleb.metadata import SPEAKER, read_utt2dur

from chronovox import cli, files
from chronovox.coverage import UNWRITABLE, list_dropped, shown

SUFFIXES = (".wav", ".flac", ".m4a")
NAME = re.compile(r"[\w-]+", re.ASCII)


class Listed:
    """What was found: utterance -> `speaker video path`, tabs between, and path -> why.

    Paths are written in one word, as they go into lists.
    """

    def __init__(self):
        self.utts: dict[str, str] = {}
        self.dropped: dict[str, str] = {}
        self.ignored: dict[str, str] = {}

    def add(self, spk: str, video: str, path: str) -> None:
        """Take a recording, or list it with the reason why not."""
        name, _, suffix = path.rpartition("/")[2].rpartition(".")
        if UNWRITABLE.search(path):
            self.dropped[shown(path)] = "control characters, or no UTF-8: rename it"
        elif not (NAME.fullmatch(video) and NAME.fullmatch(name)):
            why = "names with more than letters, digits, _ and -: rename it"
            self.dropped[shown(path)] = why
        else:
            utt = f"{spk}-{video}-{name}"
            other = self.utts.setdefault(utt, f"{spk}\t{video}\t{path}").split("\t")[2]
            if other != path:
                first, second = sorted((other, path), key=_preference)
                self.utts[utt] = f"{spk}\t{video}\t{first}"
                self.ignored[shown(second)] = f"there twice: {shown(first)} is used"


def _preference(path: str) -> tuple[int, str]:
    return SUFFIXES.index(Path(path).suffix.lower()), path


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("root", help="folder that holds the corpus, or a file")
    parser.add_argument("list", help="table to write")
    parser.add_argument(
        "--max-fail-ratio", type=cli.fraction, default=0.05,
        help="share of recordings that may be dropped (0.05)",
    )  # fmt: skip
    return parser


def walk_speaker(folder: str) -> Iterator[tuple[str | None, str]]:
    """Every file of a speaker, and the video whose folder it lies in, or None."""
    videos, odd = trees.listing(folder)
    yield from ((None, f"{folder}/{name}") for name in odd)
    for video in videos:
        deeper, names = trees.listing(f"{folder}/{video}")
        yield from ((video, f"{folder}/{video}/{name}") for name in names)
        for inner in deeper:
            for _, path in walk_speaker(f"{folder}/{video}/{inner}"):
                yield None, path


def walk_tree(tree: Path, speakers: list[str]):
    """Every file of a tree, with the speaker and the video whose folder it lies in."""
    yield from (("", None, f"{tree}/{name}") for name in trees.listing(tree)[1])
    for spk in speakers:
        yield from ((spk, *file) for file in walk_speaker(f"{tree}/{spk}"))


def list_tree(tree: Path, speakers: list[str], found: Listed) -> None:
    for spk, video, path in walk_tree(tree, speakers):
        if not path.lower().endswith(SUFFIXES):
            found.ignored[shown(path)] = "no recording"
        elif video is None:
            found.dropped[shown(path)] = "not <speaker>/<video>/<utterance>: move it"
        else:
            found.add(spk, video, path)


def list_corpus(root: Path) -> Listed:
    """All recordings of all trees. Raises UserError if there are none."""
    found, places = Listed(), trees.find_trees(root, SPEAKER.fullmatch)
    for tree, speakers in places.items():
        if not trees.holds(tree, speakers, SUFFIXES):
            why = "no recordings in its first folders: not used"
            cli.log.warning("%s: %s", tree, why)
            found.ignored[shown(tree)] = why
            continue
        before = len(found.utts)
        list_tree(tree, speakers, found)
        cli.log.info(
            "%s: %d folders of speakers, %d recordings more",
            tree, len(speakers), len(found.utts) - before,
        )  # fmt: skip
        for folder in trees.others(tree, places):
            found.ignored[shown(folder)] = "no speaker: not id and 5 digits"
    if not found.utts:
        first = [f"; {path}: {why}" for path, why in found.dropped.items()][:1]
        raise cli.UserError(
            f"{root}: no id#####/<video>/<utterance> in it or {trees.DEPTH} folders "
            f"below it that ends in {', '.join(SUFFIXES)}{''.join(first)}"
        )
    return found


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    if Path(args.root).is_file():
        found = Listed()
        for names in read_utt2dur(args.root):
            found.utts["-".join(names)] = "\t".join(names[:2])
    else:
        found = list_corpus(Path(args.root).resolve())
    files.write_lines(
        args.list, (f"{utt}\t{found.utts[utt]}" for utt in sorted(found.utts))
    )
    ignored = [f"{path} {why}" for path, why in sorted(found.ignored.items())]
    files.write_lines(f"{args.list}.ignored", ignored)
    if ignored:
        cli.log.info("%d others ignored (%s.ignored)", len(ignored), args.list)
    list_dropped(
        len(found.utts) + len(found.dropped), dict(sorted(found.dropped.items())),
        f"{args.list}.dropped", args.max_fail_ratio,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    cli.run(main)
