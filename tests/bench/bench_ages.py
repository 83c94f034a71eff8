#!/usr/bin/env python3
"""Time the labelling of utterances with ages of faces; print `name value unit` rows.

Usage: tests/bench/bench_ages.py [--parts N ...]
  e.g.: tests/bench/bench_ages.py --parts 8 1

Runs label_ages.py over made-up data of VoxCeleb2-dev's size: 5,994 speakers, 1.09
million utterances of 150,000 videos, a face for each of their 8 seconds; and over an
Nth part of the speakers. Seconds are those of one core, MB the most memory at any
moment, growth is against the first.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from timed_process import measure, run_apart

from chronovox import cli
from chronovox.files import write_lines

ROOT = Path(__file__).resolve().parents[2]
NUM_SPEAKERS = 5994
NUM_VIDEOS, NUM_UTTS = 25, 182  # of a speaker
NUM_FACES = 8  # of an utterance


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--parts", type=cli.positive_int, nargs="+", default=[8, 4, 2, 1],
        help="of the corpus: 1/N; default: 8 4 2 1",
    )  # fmt: skip
    return parser


def write_data(data: Path, num_speakers: int) -> None:
    """A data directory with faces and their ages."""
    rng = np.random.default_rng(0)
    utts = [
        f"id{spk:05d}-{utt * NUM_VIDEOS // NUM_UTTS:011d}-{utt:05d}"
        for spk in range(num_speakers)
        for utt in range(NUM_UTTS)
    ]
    faces = [(f"{utt}-{face:07d}", utt) for utt in utts for face in range(NUM_FACES)]
    years = rng.uniform(15, 80, len(faces)).round(4).tolist()
    write_lines(data / "utt2spk", (f"{utt} {utt[:7]}" for utt in utts))
    write_lines(data / "utt2session", (f"{utt} {utt[8:19]}" for utt in utts))
    write_lines(data / "faces/face2utt", map(" ".join, faces))
    ages = (f"{face} {age}" for (face, _), age in zip(faces, years, strict=True))
    write_lines(data / "face2age", ages)


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    step, first = ROOT / "steps/label_ages.py", None
    for number in args.parts:
        with tempfile.TemporaryDirectory() as folder:
            data, name = Path(folder), f"label_ages_1/{number}"
            run_apart(write_data, data, NUM_SPEAKERS // number)
            command = [sys.executable, step, data, data / "face2age"]
            seconds, memory_mb = measure(command, data / "log")
        print(f"{name} {seconds:.1f} s")
        print(f"{name}_memory {memory_mb:.0f} MB")
        if first is None:
            first = seconds
        else:
            print(f"{name}_growth {seconds / first:.1f} times")
    return 0


if __name__ == "__main__":
    cli.run(main)
