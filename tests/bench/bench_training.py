#!/usr/bin/env python3
"""Time training from arks; print `name value unit` rows.

Features of made-up utterances are written to arks, and read in pieces while the
network of CONFIG trains, as train_embedding.py does it. Beside utterances a second
stand the share of the time that is spent waiting for data, the speed against that
of a bare torch step of the same network, and two processes against one, each on one
thread (or one GPU).

Usage: tests/bench/bench_training.py [options] [CONFIG ...]
  e.g.: OMP_NUM_THREADS=2 tests/bench/bench_training.py conf/xvector_aam.yaml
"""

import os
import statistics
import subprocess
import sys
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from timed_training import bare, for_timing, ours, rates_of

from chronovox import cli, config, kaldi_io
from chronovox.datadir import write_table
from chronovox.features import FeatureConfig
from chronovox.files import write_lines
from chronovox.training import settings
from chronovox.training.data import TrainingSet

ROOT = Path(__file__).resolve().parents[2]
FEATURES = FeatureConfig(type="fbank")
NUM_FRAMES = (200, 500)
CONFIGS = ("conf/xvector_aam.yaml", "conf/resnet34_aam.yaml")
ROUNDS = 3


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("configs", nargs="*", default=[ROOT / name for name in CONFIGS])
    parser.add_argument("--num-speakers", type=cli.positive_int, default=100)
    parser.add_argument("--num-steps", type=cli.positive_int, default=18)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    return parser


def write_data(data: Path, spk: str, num_speakers: int) -> Path:
    """A data directory of noise, ten utterances each; nine frames of ten are voiced."""
    rng = np.random.default_rng(0)
    utt2spk, num_frames = {}, {}
    with (
        kaldi_io.ArkWriter(data / "feats.ark", data / "feats.scp", 2) as feats,
        kaldi_io.ArkWriter(data / "vad.ark", data / "vad.scp", 1) as vad,
    ):
        for number in range(num_speakers * 10):
            utt = f"{spk}{number // 10:04d}-{number:06d}"
            utt2spk[utt] = utt[:5]
            num_frames[utt] = int(rng.integers(*NUM_FRAMES))
            shape = (num_frames[utt], FEATURES.dim)
            feats.write(utt, rng.standard_normal(shape, np.float32))
            vad.write(utt, np.arange(num_frames[utt]) % 10 != 5)
    write_table(data / "utt2spk", utt2spk)
    write_table(data / "utt2num_frames", num_frames)
    config.save(FEATURES, data / "conf/features.yaml")
    kinds = {True: "target", False: "nontarget"}
    pairs = combinations(list(utt2spk)[5:15], 2)
    trials = [f"{a} {b} {kinds[utt2spk[a] == utt2spk[b]]}" for a, b in pairs]
    write_lines(data / "trials/random", trials)
    return data


def in_processes(num_procs: int, path: Path, folder: Path, device: str) -> float:
    """Utterances a second of train_embedding.py in `num_procs` processes."""
    words = [
        sys.executable, ROOT / "steps/train_embedding.py", "--device", device,
        "--num-procs", str(num_procs), path, folder / "train", folder / "dev",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as exp:
        done = subprocess.run(
            [*words, exp], capture_output=True, text=True, check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    return rates_of(done.stderr.splitlines())[0]


def measure(path: Path, folder: Path, args) -> None:
    """Print the rows of one configuration."""
    name, device = path.stem, torch.device(args.device)
    short = for_timing(settings.load(path, seed=0), args.num_steps)
    train_set = TrainingSet(folder / "train", short, FEATURES)
    pairs = []
    for _ in range(ROUNDS):
        pairs.append((*ours(short, train_set, device), bare(short, train_set, device)))
    speed = statistics.median(pair[0] for pair in pairs)
    print(f"training_{name} {speed:.0f} utts/s")
    print(f"training_{name}_step {1000 * short.batch_size / speed:.0f} ms")
    waited = statistics.median(pair[1] for pair in pairs)
    print(f"training_{name}_data_wait {waited:.1f} %")
    ratio = statistics.median(pair[0] / pair[2] for pair in pairs)
    print(f"training_{name}_against_bare_torch {ratio:.3f} times_as_fast")
    if args.device == "cuda" and torch.cuda.device_count() < 2:
        return
    config.save(short, folder / "config.yaml")
    both = []
    for _ in range(ROUNDS):
        one, two = (
            in_processes(count, folder / "config.yaml", folder, args.device)
            for count in (1, 2)
        )
        both.append(two / one)
    ratio = statistics.median(both)
    print(f"training_{name}_two_processes {ratio:.2f} times_as_fast_as_one")


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder) / "train", "s", args.num_speakers)
        write_data(Path(folder) / "dev", "d", 3)
        for path in args.configs:
            measure(Path(path), Path(folder), args)
    print(f"training_threads {torch.get_num_threads()} threads")
    return 0


if __name__ == "__main__":
    cli.run(main)
