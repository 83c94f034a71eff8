#!/usr/bin/env python3
"""Benchmark where training reads from; prints rows `name value unit`.

Pieces of recordings in the order of a training, from small files of their own and
from packed arks of FLAC that are read one after the other (shuffle_arks), with
nothing of them in the system's cache and with all of it; and the training of CONFIG
from feature arks (as of copies changed offline) against one that changes recordings
on the fly, in its own process and with one worker.

Usage: tests/bench/bench_input.py [--num-files N] [--config CONFIG] SPEECH_DIR
e.g.:  tests/bench/bench_input.py ../shared/data/speech
"""

import dataclasses
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
from speech_data import FEATURES, flac_files, make_data
from timed_training import for_timing, ours

from chronovox import cli, config
from chronovox.augment import AugmentConfig
from chronovox.training import settings
from chronovox.training.data import BatchPlan, TrainingSet

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 3
CHANGES = {
    "speeds": [0.9, 1.0, 1.1], "tempo": [0.9, 1.1], "prob": 0.8,
    "babble": {"num_speakers": [3, 8]},
}  # fmt: skip


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("speech_dir", help="folder with .flac files of 16 kHz")
    parser.add_argument("--num-files", type=cli.positive_int, default=600)
    parser.add_argument("--num-steps", type=cli.positive_int, default=12)
    parser.add_argument("--config", default=str(ROOT / "conf/xvector_aam.yaml"))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    return parser


def forget(data: Path) -> None:
    """Take the recordings out of the system's cache."""
    os.sync()
    for path in [*data.glob("wav/*"), *data.glob("*.ark")]:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def pieces_per_s(data: Path, given, num_pieces: int, cold: bool) -> float:
    """Pieces a second, in the order in which a training takes them."""
    train_set = TrainingSet(data, given, FEATURES)
    files = train_set.files() if given.shuffle_arks else None
    plan = BatchPlan(len(train_set), given, files)
    if cold:
        forget(data)
    begin = time.perf_counter()
    for step in range(num_pieces // given.batch_size):
        batch = plan.batch(step)
        if given.shuffle_arks:
            train_set.read_ahead(batch)
        for sample in batch:
            train_set[sample]
    return num_pieces / (time.perf_counter() - begin)


def measure_reading(data: Path, given, num_pieces: int) -> None:
    """Print the rows of small files against packed arks."""
    plain = dataclasses.replace(given, augment=AugmentConfig())
    packed = dataclasses.replace(plain, shuffle_arks=1)
    tables = {name: (data / name).read_bytes() for name in ("wav.scp", "flac.scp")}
    for name, cold in (("cold", True), ("cached", False)):
        speeds = []
        for _ in range(ROUNDS):
            (data / "wav.scp").write_bytes(tables["wav.scp"])
            files = pieces_per_s(data, plain, num_pieces, cold)
            (data / "wav.scp").write_bytes(tables["flac.scp"])
            speeds.append((files, pieces_per_s(data, packed, num_pieces, cold)))
        files = statistics.median(pair[0] for pair in speeds)
        ratio = statistics.median(pair[1] / pair[0] for pair in speeds)
        print(f"small_files_{name} {files:.0f} pieces/s")
        print(f"packed_arks_{name} {ratio:.2f} times_as_fast")
    (data / "wav.scp").write_bytes(tables["wav.scp"])


def measure_training(data: Path, given, device) -> None:
    """Print the rows of training from features against on the fly."""
    changes = config.from_dict(CHANGES, AugmentConfig, "changes")
    on_the_fly = dataclasses.replace(given, augment=changes)
    kinds = {
        "offline": (given, 0, False),
        "on_the_fly": (on_the_fly, 0, False),
        "on_the_fly_worker": (on_the_fly, 1, False),
        "on_the_fly_batches": (on_the_fly, 1, True),
    }
    speeds: dict[str, list] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, (config_of, num_workers, in_batches) in kinds.items():
            train_set = TrainingSet(data, config_of, FEATURES, in_batches)
            speeds[name].append(ours(config_of, train_set, device, num_workers))
    for name, rows in speeds.items():
        speed, waited = (
            statistics.median(column) for column in zip(*rows, strict=True)
        )
        print(f"training_{name} {speed:.0f} utts/s")
        print(f"training_{name}_data_wait {waited:.1f} %")


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    given = for_timing(settings.load(args.config, seed=0), args.num_steps)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        make_data(data, flac_files(args.speech_dir, args.num_files))
        measure_reading(data, given, 2 * args.num_files)
        measure_training(data, given, torch.device(args.device))
    return 0


if __name__ == "__main__":
    cli.run(main)
