#!/usr/bin/env python3
"""Time the selection and the check of trial lists; print `name value unit` rows.

Usage: tests/bench/bench_trials.py [options] [META_DIR]
  e.g.: tests/bench/bench_trials.py ../shared/data/voxceleb_meta --copies 1 8

Runs select_trials.py and check_trials.py, a process a list, over the utterances of
VoxCeleb1 (153,516 of 1,251 speakers): names, traits and durations from vox1_meta.csv
and vox1_utt2dur.txt.gz of META_DIR, or made up in the same numbers where there are
none; ages are made up. N copies are N times as many speakers, of other names and ages.
Seconds are those of one core (user and system time), MB the most memory at any moment,
growth is against one copy; `all` are the lists of conf/trials, one after the other.
"""

import csv
import gzip
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from timed_process import measure, run_apart

from chronovox import cli
from chronovox.datadir import write_table

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "conf/trials"
LISTS = ("our-E", "our-H", "only-CA20", "Vox-CA5", "Vox-CA20-matched", "match-CA10")
CHECKED = "Vox-CA5"
NUM_SPEAKERS, NUM_VIDEOS, NUM_UTTS = 1251, 22496, 153516
COUNTRIES = {"USA": 799, "UK": 215, "Canada": 54, "Australia": 37, "India": 26}
NUM_OTHER_COUNTRIES = 31


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--copies", type=cli.positive_int, nargs="+", default=[1, 2, 4, 8],
        help="of the speakers; default: 1 2 4 8",
    )  # fmt: skip
    parser.add_argument("--keep", type=Path, help="a folder to work in, and to keep")
    parser.add_argument("meta_dir", nargs="?", type=Path)
    return parser


def published_corpus(folder: Path):
    """speaker -> (gender, nationality), (speaker, video, utterance) -> seconds."""
    with open(folder / "vox1_meta.csv", encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        traits = {r["VoxCeleb1 ID"]: (r["Gender"], r["Nationality"]) for r in rows}
    dur_s = {}
    with gzip.open(folder / "vox1_utt2dur.txt.gz", "rt") as stream:
        for line in stream:
            name, seconds = line.split()
            dur_s[tuple(name.split("/"))] = float(seconds)
    return traits, dur_s


def made_up_corpus():
    """The same, with as many speakers of as many countries, videos and utterances."""
    rng = np.random.default_rng(0)
    countries = [name for name, count in COUNTRIES.items() for _ in range(count)]
    others = rng.integers(NUM_OTHER_COUNTRIES, size=NUM_SPEAKERS - len(countries))
    countries += [f"country{number}" for number in others]
    names = [f"id{10001 + number}" for number in range(NUM_SPEAKERS)]
    genders = rng.permutation(["m"] * 690 + ["f"] * 561).tolist()
    traits = dict(zip(names, zip(genders, countries, strict=True), strict=True))
    speaker_of = np.arange(NUM_VIDEOS) % NUM_SPEAKERS
    videos = np.sort(np.append(np.arange(NUM_VIDEOS), rng.integers(
        NUM_VIDEOS, size=NUM_UTTS - NUM_VIDEOS)))  # fmt: skip
    seconds = 4 + rng.exponential(4.2, NUM_UTTS).round(6)
    dur_s = {}
    for number, (video, duration) in enumerate(zip(videos, seconds, strict=True)):
        key = names[speaker_of[video]], f"video{video:05d}", f"{number:06d}"
        dur_s[key] = float(duration)
    return traits, dur_s


def years(videos, rng) -> dict[tuple[str, str], float]:
    """(speaker, video) -> the age that a face might be taken for.

    Most videos are recent, some speakers have old ones; each estimate is off by some
    years.
    """
    born, reach = {}, {}
    for speaker in sorted({speaker for speaker, _ in videos}):
        born[speaker] = min(1998, rng.normal(1965, 12))
        reach[speaker] = rng.gamma(1.2, 2.2)
    ages = {}
    for speaker, video in videos:
        recorded = 2017 - rng.exponential(reach[speaker])
        age = recorded - born[speaker] + rng.normal(0, 2)
        ages[speaker, video] = float(np.clip(age, 10, 90))
    return ages


def write_data(data: Path, corpus, copies: int) -> None:
    """A data directory with so many times the speakers of the corpus."""
    traits, dur_s = corpus
    tables: dict[str, dict] = defaultdict(dict)
    for copy in range(copies):
        rng = np.random.default_rng([1, copy])
        ages = years(dict.fromkeys(key[:2] for key in dur_s), rng)
        for speaker, (gender, country) in traits.items():
            tables["spk2gender"][f"{copy}{speaker}"] = gender
            tables["spk2nationality"][f"{copy}{speaker}"] = country
        for (speaker, video, name), seconds in dur_s.items():
            utt = f"{copy}{speaker}-{video}-{name}"
            tables["utt2spk"][utt] = f"{copy}{speaker}"
            tables["utt2session"][utt] = video
            tables["utt2dur"][utt] = seconds
            tables["utt2age"][utt] = f"{ages[speaker, video]:.4f}"
    for name, table in tables.items():
        write_table(data / name, table)


def make_data(folder: Path, meta_dir, copies: list[int]) -> None:
    if meta_dir and (meta_dir / "vox1_meta.csv").exists():
        corpus = published_corpus(meta_dir)
    else:
        print("bench_trials.py: no VoxCeleb1 at hand: made up", file=sys.stderr)
        corpus = made_up_corpus()
    for number in copies:
        write_data(folder / f"{number}x", corpus, number)


def measure_list(script: str, name: str, data: Path) -> tuple[float, float]:
    """Seconds of one core and MB of a process that makes or checks a list."""
    command = [
        sys.executable, ROOT / "steps" / script, "--rules", RULES / f"{name}.yaml",
        data, data / "trials" / name,
    ]  # fmt: skip
    return measure(command, data / "log")


class Table:
    """Prints rows, and remembers the seconds of one copy."""

    def __init__(self):
        self._first = {}

    def add(self, what: str, size: str, seconds: float, memory_mb: float) -> None:
        print(f"{what}_{size} {seconds:.1f} s")
        print(f"{what}_{size}_memory {memory_mb:.0f} MB")
        if what in self._first:
            print(f"{what}_{size}_growth {seconds / self._first[what]:.1f} times")
        elif size == "1x":
            self._first[what] = seconds


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    every = sorted({path.stem for path in RULES.glob("*.yaml")} - {"calibration"})
    table = Table()
    with tempfile.TemporaryDirectory() as folder:
        folder = args.keep or Path(folder)
        run_apart(make_data, folder, args.meta_dir, args.copies)
        for number in args.copies:
            data, size = folder / f"{number}x", f"{number}x"
            names = every if number == 1 else LISTS
            used = {n: measure_list("select_trials.py", n, data) for n in names}
            for name in LISTS:
                table.add(f"select_{name}", size, *used[name])
            if number == 1:
                seconds, memory_mb = np.array(list(used.values())).T
                table.add("select_all", size, seconds.sum(), memory_mb.max())
            used = measure_list("check_trials.py", CHECKED, data)
            table.add(f"check_{CHECKED}", size, *used)
    return 0


if __name__ == "__main__":
    cli.run(main)
