#!/usr/bin/env python3
"""Make data/test of VoxCeleb1, and data/train and data/dev of VoxCeleb2-dev.

Usage: local/make_data_dirs.py [options] META1 LIST1 DATA [META2 LIST2]
e.g.:  local/make_data_dirs.py vox1_meta.csv data/local/vox1 data \\
           vox2_meta.csv data/local/vox2

META is vox1_meta.csv or vox2_meta.csv. LIST is what local/list_utterances.py made:
tab-separated lines `utterance speaker video path`, without the path where there is no
audio. All of VoxCeleb1 is for tests. Of the speakers of VoxCeleb2 whose set is dev,
some (--dev-speakers) are kept from training; those of set test are not used.

Utterances of speakers without a row in META are left out and listed with the reason
in LIST.speakers.dropped. DATA/local/shared_videos lists the videos that are in both
corpora: `<video> <speakers of VoxCeleb1> <speakers of VoxCeleb2>`, commas between.
"""

import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from voxceleb.metadata import read_speakers, read_utt2dur

from chronovox import cli, datadir, datadir_ops, files
from chronovox.coverage import list_dropped


class Utterance(NamedTuple):
    utt: str
    spk: str
    video: str
    path: str | None = None


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--exclude-shared-videos", type=cli.boolean, default=False,
        metavar="BOOL",
        help="take VoxCeleb1's videos out of the training side (false)",
    )  # fmt: skip
    parser.add_argument(
        "--dev-speakers", type=cli.positive_int, default=50, metavar="N",
        help="speakers of VoxCeleb2 that data/dev is made of, two at least (50)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of their draw (1)")
    parser.add_argument(
        "--utt2dur", metavar="FILE", help="lines `speaker/video/utterance seconds`"
    )
    parser.add_argument(
        "--max-fail-ratio", type=cli.fraction, default=0.05, metavar="X",
        help="share of utterances of unknown speakers (0.05)",
    )  # fmt: skip
    parser.add_argument("meta1", metavar="META1")
    parser.add_argument("list1", metavar="LIST1")
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("more", nargs="*", metavar="META2 LIST2")
    return parser


def read_list(path, meta_path, corpus: int, max_fail_ratio: float):
    """The utterances of known speakers, and their metadata. Raises UserError."""
    speakers = read_speakers(meta_path, corpus)
    rows = (line.split("\t") for line in datadir.read_lines(path))
    found = [Utterance(*row) for row in rows]
    unknown = {
        item.utt: f"no row of speaker {item.spk} in {meta_path}"
        for item in found
        if item.spk not in speakers
    }
    list_dropped(len(found), unknown, f"{path}.speakers.dropped", max_fail_ratio)
    kept = [item for item in found if item.spk in speakers]
    silent = sorted(speakers.keys() - {item.spk for item in kept})
    if silent:
        cli.log.warning(
            "%s: %d of %d speakers have no utterance, such as %s",
            meta_path, len(silent), len(speakers), silent[0],
        )  # fmt: skip
    return kept, speakers


def speakers_of(utterances: Iterable[Utterance]) -> dict[str, set[str]]:
    """Video -> who speaks in it."""
    found: dict[str, set[str]] = {}
    for item in utterances:
        found.setdefault(item.video, set()).add(item.spk)
    return found


def without_shared(ours, theirs, path, exclude: bool):
    """The training side `ours`; lists the videos that are in `theirs` too."""
    here, there = speakers_of(ours), speakers_of(theirs)
    shared = sorted(here.keys() & there.keys())
    lines = [
        " ".join([video, *(",".join(sorted(side[video])) for side in (there, here))])
        for video in shared
    ]
    files.write_lines(path, lines)
    kept = [item for item in ours if item.video not in there]
    cli.log.info(
        "%d of %d videos of the training side are in VoxCeleb1 too (%s), with %d of "
        "%d utterances: %s",
        len(shared), len(here), path, len(ours) - len(kept), len(ours),
        "left out" if exclude else "used (--exclude-shared-videos)",
    )  # fmt: skip
    return kept if exclude else ours


def log_shared_by_people(utterances, corpus: int) -> None:
    counts = Counter(len(people) for people in speakers_of(utterances).values())
    several = sum(number for people, number in counts.items() if people > 1)
    cli.log.info(
        "VoxCeleb%d: %d utterances, %d videos, %d of these of two people or more",
        corpus, len(utterances), sum(counts.values()), several,
    )  # fmt: skip


def split_dev(utterances, number: int, seed: int):
    """Training and development utterances. Raises UserError for too few speakers."""
    speakers = sorted({item.spk for item in utterances})
    if not 2 <= number <= len(speakers) - 2:
        raise cli.UserError(
            f"--dev-speakers {number}: of {len(speakers)} speakers of VoxCeleb2-dev, 2 "
            "or more must be taken, and 2 or more left for training"
        )
    dev = set(random.Random(seed).sample(speakers, number))
    train = [item for item in utterances if item.spk not in dev]
    return train, [item for item in utterances if item.spk in dev]


def write_set(data_dir: Path, utterances, speakers, dur_s: dict[str, str]) -> None:
    """Write the tables of a data directory; what was there before is removed."""
    datadir_ops.remove_earlier(data_dir)
    utt2spk = {item.utt: item.spk for item in utterances}
    people = {spk: speakers[spk] for spk in utt2spk.values()}
    tables = {
        "utt2spk": utt2spk,
        "utt2session": {item.utt: item.video for item in utterances},
        "spk2gender": {spk: row.gender for spk, row in people.items()},
        "spk2nationality": {
            spk: row.nationality for spk, row in people.items() if row.nationality
        },
        "wav.scp": {item.utt: item.path for item in utterances if item.path},
        "utt2dur": {utt: dur_s[utt] for utt in utt2spk if utt in dur_s},
    }
    if len(tables["utt2dur"]) < len(utt2spk):
        del tables["utt2dur"]
    for name, table in tables.items():
        if table:
            datadir.write_table(data_dir / name, table)
    datadir.write_spk2utt(data_dir / "spk2utt", utt2spk)
    cli.log.info(
        "%s: %d speakers, %d utterances%s",
        data_dir, len(people), len(utt2spk), "" if "utt2dur" in tables else
        "; utt2dur is to be made",
    )  # fmt: skip


def main(argv=None) -> int:
    parser = get_parser()
    args = parser.parse_args(argv)
    if len(args.more) not in (0, 2):
        parser.error("META2 and LIST2 go together")
    data, ratio = Path(args.data), args.max_fail_ratio
    table = read_utt2dur(args.utt2dur) if args.utt2dur else {}
    dur_s = {"-".join(names): seconds for names, seconds in table.items()}
    test, people = read_list(args.list1, args.meta1, 1, ratio)
    log_shared_by_people(test, 1)
    sets = {"test": (test, people)}
    if args.more:
        found, people = read_list(args.more[1], args.more[0], 2, ratio)
        log_shared_by_people(found, 2)
        ours = [item for item in found if people[item.spk].part == "dev"]
        others = {item.spk for item in found} - {item.spk for item in ours}
        cli.log.info(
            "%d speakers of VoxCeleb2's test set, with %d utterances, are not used",
            len(others), len(found) - len(ours),
        )  # fmt: skip
        ours = without_shared(
            ours, test, data / "local/shared_videos", args.exclude_shared_videos
        )
        train, dev = split_dev(ours, args.dev_speakers, args.seed)
        sets |= {"train": (train, people), "dev": (dev, people)}
    for name, (utterances, speakers) in sets.items():
        write_set(data / name, utterances, speakers, dur_s)
    return 0


if __name__ == "__main__":
    cli.run(main)
