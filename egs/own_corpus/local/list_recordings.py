#!/usr/bin/env python3
"""List the recordings of corpora laid out as <speaker>/<session>/<utterance>.EXT.

usage: local/list_recordings.py CORPORA RECORDINGS
e.g.:  local/list_recordings.py data/local/corpora data/local/recordings

CORPORA holds one directory a line. RECORDINGS gets tab-separated lines
`utterance speaker session path`, sorted by utterance id
<speaker>-<session>-<utterance>, in which every character other than letters,
digits, '.' and '_' is written as '_'. Files that are no recordings are listed in
RECORDINGS.dropped with the reason.
"""

import os
import re
from collections import Counter
from pathlib import Path

from chronovox import cli, datadir, files

EXTENSIONS = {".wav", ".flac", ".ogg", ".mp3", ".opus"}


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("corpora", help="file with one directory a line")
    parser.add_argument("recordings", help="table to write")
    return parser


def clean(name: str) -> str:
    """A part of an utterance id: no blank, and nothing that sorts before '-'."""
    return re.sub(r"[^\w.]", "_", name)


def find_files(corpus: Path):
    """Yield (path relative to the corpus) of every file, sorted, links followed."""
    for folder, folders, names in os.walk(corpus, followlinks=True):
        folders.sort()
        for name in sorted(names):
            yield (Path(folder) / name).relative_to(corpus)


def list_corpus(corpus: Path):
    """Return ([(utt, spk, session, path)], [(path, reason)]) of one corpus."""
    recordings, dropped = [], []
    for path in find_files(corpus):
        if path.suffix.lower() not in EXTENSIONS:
            dropped.append((corpus / path, f"'{path.suffix}' is not audio we read"))
        elif len(path.parts) != 3:
            dropped.append((corpus / path, "not <speaker>/<session>/<utterance>"))
        else:
            spk, session, utt = map(clean, (*path.parts[:2], path.stem))
            recordings.append((f"{spk}-{session}-{utt}", spk, session, corpus / path))
    return recordings, dropped


def check_unique(recordings) -> None:
    """Refuse two files with one id, and one speaker in two corpora or folders."""
    paths: dict[str, Path] = {}
    folders: dict[str, Path] = {}
    for utt, spk, _, path in recordings:
        if utt in paths:
            raise cli.UserError(f"{paths[utt]} and {path} both become '{utt}': rename")
        paths[utt] = path
        folder = folders.setdefault(spk, path.parents[1])
        if folder != path.parents[1]:
            raise cli.UserError(
                f"{folder} and {path.parents[1]} are both speaker '{spk}': "
                "rename one, or join them"
            )


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    recordings, dropped = [], []
    for line in datadir.read_lines(args.corpora):
        corpus = Path(line).expanduser().resolve()
        if not corpus.is_dir():
            raise cli.UserError(f"--corpus {line}: no such directory")
        found, unusable = list_corpus(corpus)
        if not found:
            raise cli.UserError(
                f"--corpus {line}: no <speaker>/<session>/<utterance> with ending "
                + " ".join(sorted(EXTENSIONS))
            )
        recordings += found
        dropped += unusable
    check_unique(recordings)
    files.write_lines(
        args.recordings, ("\t".join(map(str, row)) for row in sorted(recordings))
    )
    files.write_lines(
        f"{args.recordings}.dropped", (f"{path}\t{why}" for path, why in dropped)
    )
    reasons = Counter(reason for _, reason in dropped)
    cli.log.info(
        "%d files in, %d recordings out, %d dropped%s",
        len(recordings) + len(dropped),
        len(recordings),
        len(dropped),
        "".join(f"; {count} because {why}" for why, count in reasons.items()),
    )
    return 0


if __name__ == "__main__":
    cli.run(main)
