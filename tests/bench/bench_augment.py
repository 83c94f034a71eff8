#!/usr/bin/env python3
"""Benchmark pieces for training: from feature arks, and from recordings, changed.

Prints rows `name value unit`, for pieces of 1.5 s on one thread: milliseconds a
piece of each kind.

Usage: tests/bench/bench_augment.py [--num-files N] [--repeats N] SPEECH_DIR
e.g.:  tests/bench/bench_augment.py ../shared/data/speech
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import soundfile
import torch
from speech_data import FEATURES, flac_files, make_data

from chronovox import cli, config
from chronovox.augment import AugmentConfig
from chronovox.datadir import write_table
from chronovox.frontend import AudioTable, FrameTable, FrontendConfig

PIECE_FRAMES = 150


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("speech_dir", help="folder with .flac files of 16 kHz")
    parser.add_argument("--num-files", type=cli.positive_int, default=60)
    parser.add_argument("--repeats", type=cli.positive_int, default=5)
    return parser


def make_response(data: Path) -> Path:
    """A data directory of one impulse response, half a second of decaying noise."""
    data.mkdir()
    decay = np.exp(-np.arange(8000) / 1000)
    noise = np.random.default_rng(0).standard_normal(8000)
    soundfile.write(data / "r.wav", 0.2 * decay * noise, FEATURES.sampling_rate)
    write_table(data / "wav.scp", {"r": str(data / "r.wav")})
    return data


def median_ms(function, utts: list[str], repeats: int) -> float:
    """Milliseconds a call of function(utt, number); the first turn warms up."""
    times = []
    for turn in range(repeats + 1):
        start = time.perf_counter()
        for number, utt in enumerate(utts):
            function(utt, 1000 * turn + number)
        times.append(1000 * (time.perf_counter() - start) / len(utts))
    return statistics.median(times[1:])


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    torch.set_num_threads(1)
    paths = flac_files(args.speech_dir, args.num_files)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        make_data(data, paths)
        rir = make_response(Path(folder) / "rir")
        noises = {"noise": {"data": str(data)}}
        kinds = {
            "as_they_are": {},
            "speed": {"speeds": [1.0, 0.9, 1.1]},
            "tempo": {"tempo": [0.9, 1.1]},
            "noise": {"prob": 1.0, "noises": noises},
            "babble": {"prob": 1.0, "babble": {}},
            "reverb": {"prob": 1.0, "reverb": {"data": str(rir)}},
        }
        tables = {"from_ark": FrameTable(data, FrontendConfig())}
        for name, changes in kinds.items():
            settings = config.from_dict(changes, AugmentConfig, name)
            tables[name] = AudioTable(data, FrontendConfig(), FEATURES, settings)
        for name, table in tables.items():

            def piece(row, number, table=table):
                table.piece(row, PIECE_FRAMES, np.random.default_rng(number))

            rows = range(len(table.utts))[:: len(table.utts) // args.num_files]
            print(f"piece_{name} {median_ms(piece, rows, args.repeats):.2f} ms")
    return 0


if __name__ == "__main__":
    cli.run(main)
