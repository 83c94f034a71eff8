#!/usr/bin/env python3
"""List the recordings of corpora laid out as <speaker>/<session>/<utterance>.EXT.

usage: local/list_recordings.py CORPORA RECORDINGS
e.g.:  local/list_recordings.py data/local/corpora data/local/recordings

CORPORA holds one directory a line. RECORDINGS gets tab-separated lines
`utterance speaker session path`, sorted by utterance id
<speaker>-<session>-<utterance>, in which every character other than letters,
digits, '.' and '_' is written as '_'. Recordings that cannot be used are listed in
RECORDINGS.dropped, `path reason`, and files that are no recordings in `ignored`
beside it.
"""

import os
import re
from pathlib import Path

from chronovox import cli, datadir, files
from chronovox.coverage import UNWRITABLE, shown

EXTENSIONS = {".wav", ".flac", ".ogg", ".mp3", ".opus"}


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("corpora", help="file with one directory a line")
    parser.add_argument("recordings", help="table to write")
    return parser


def clean(name: str) -> str:
    """A part of an utterance id: no blank, and nothing that sorts before '-'."""
    return re.sub(r"[^\w.]", "_", name)


def refuse(error: OSError):
    raise cli.UserError(f"{error.filename}: cannot be listed: {error.strerror}")


def find_files(corpus: Path):
    """Yield (path relative to the corpus) of every file, sorted, links followed."""
    for folder, folders, names in os.walk(corpus, followlinks=True, onerror=refuse):
        folders.sort()
        for name in sorted(names):
            yield (Path(folder) / name).relative_to(corpus)


def list_corpus(corpus: Path):
    """Recordings [(utt, spk, session, path)], dropped and ignored [(path, reason)]."""
    recordings, dropped, ignored = [], [], []
    for path in find_files(corpus):
        whole = corpus / path
        if path.suffix.lower() not in EXTENSIONS:
            ignored.append((whole, f"'{shown(path.suffix)}' is not audio we read"))
        elif path.name.startswith("."):
            ignored.append((whole, "hidden"))
        elif UNWRITABLE.search(str(whole)):
            dropped.append((whole, "control characters, or no UTF-8: rename it"))
        elif len(path.parts) != 3:
            dropped.append((whole, "not <speaker>/<session>/<utterance>: move it"))
        else:
            spk, session, utt = map(clean, (*path.parts[:2], path.stem))
            recordings.append((f"{spk}-{session}-{utt}", spk, session, whole))
    return recordings, dropped, ignored


def check_unique(recordings) -> None:
    """Refuse two files, or two folders of a speaker or session, with one id."""
    seen: dict[tuple[str, str], Path] = {}
    for utt, spk, session, path in recordings:
        for kind, name, place in (
            ("speaker", spk, path.parents[1]),
            ("session", f"{spk}-{session}", path.parent),
            ("utterance", utt, path),
        ):
            other = seen.setdefault((kind, name), place)
            if other != place:
                raise cli.UserError(
                    f"{other} and {place} are both {kind} '{name}': "
                    "rename one, or join them"
                )


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    recordings, dropped, ignored = [], [], []
    lines = datadir.read_lines(args.corpora)
    corpora = {Path(line).expanduser().resolve(): line for line in lines}
    for corpus, line in corpora.items():
        if not corpus.is_dir():
            raise cli.UserError(f"--corpus {line}: no such directory")
        found, unusable, others = list_corpus(corpus)
        if not found:
            first = [f"; {shown(path)}: {why}" for path, why in unusable[:1]]
            raise cli.UserError(
                f"--corpus {line}: no <speaker>/<session>/<utterance> with ending "
                + " ".join(sorted(EXTENSIONS))
                + "".join(first)
            )
        recordings += found
        dropped += unusable
        ignored += others
    check_unique(recordings)
    files.write_lines(
        args.recordings, ("\t".join(map(str, row)) for row in sorted(recordings))
    )
    for path, items in (
        (f"{args.recordings}.dropped", dropped),
        (Path(args.recordings).parent / "ignored", ignored),
    ):
        files.write_lines(path, [f"{shown(item)} {why}" for item, why in items])
    cli.log.info(
        "%d recordings found, %d dropped, %d other files ignored",
        len(recordings) + len(dropped), len(dropped), len(ignored),
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    cli.run(main)
