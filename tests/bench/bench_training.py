#!/usr/bin/env python3
"""Time training from arks; print `name value unit` rows.

Features of made-up utterances are written to arks, and read in pieces while the
network of CONFIG trains, as train_embedding.py does it. The share of the time
that is spent waiting for data is beside the number of utterances a second.

Usage: tests/bench/bench_training.py [options] [CONFIG]
  e.g.: OMP_NUM_THREADS=2 tests/bench/bench_training.py conf/xvector_aam.yaml
"""

import dataclasses
import logging
import re
import tempfile
from pathlib import Path

import numpy as np
import torch

from chronovox import cli, kaldi_io
from chronovox.datadir import write_table
from chronovox.features import FeatureConfig
from chronovox.training import loop, settings
from chronovox.training.checkpoint import Checkpoints
from chronovox.training.data import TrainingSet

ROOT = Path(__file__).resolve().parents[2]
FEAT_DIM = 80
NUM_FRAMES = (200, 500)
WARM_UP = 5


class Collect(logging.Handler):
    """Keeps the lines of the log."""

    def __init__(self):
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record) -> None:
        self.lines.append(record.getMessage())


class NoDevelopment:
    """In the place of development trials, which are not timed."""

    def eer(self, network) -> float:
        return 0.0


def get_parser():
    parser = cli.parser(__doc__)
    default = str(ROOT / "conf/xvector_aam.yaml")
    parser.add_argument("config", nargs="?", default=default)
    parser.add_argument("--num-speakers", type=cli.positive_int, default=100)
    parser.add_argument("--utts-per-speaker", type=cli.positive_int, default=10)
    parser.add_argument("--num-steps", type=cli.positive_int, default=40)
    return parser


def write_data(data: Path, num_speakers: int, utts_per_speaker: int) -> None:
    """A data directory of noise; every frame is voiced but for one in ten."""
    rng = np.random.default_rng(0)
    utt2spk, num_frames = {}, {}
    with (
        kaldi_io.ArkWriter(data / "feats.ark", data / "feats.scp", 2) as feats,
        kaldi_io.ArkWriter(data / "vad.ark", data / "vad.scp", 1) as vad,
    ):
        for number in range(num_speakers * utts_per_speaker):
            utt = f"s{number // utts_per_speaker:04d}-{number:06d}"
            utt2spk[utt] = utt[:5]
            num_frames[utt] = int(rng.integers(*NUM_FRAMES))
            shape = (num_frames[utt], FEAT_DIM)
            feats.write(utt, rng.standard_normal(shape, np.float32))
            vad.write(utt, np.arange(num_frames[utt]) % 10 != 5)
    write_table(data / "utt2spk", utt2spk)
    write_table(data / "utt2num_frames", num_frames)


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    config = dataclasses.replace(
        settings.load(args.config, seed=0),
        num_steps=WARM_UP + args.num_steps, log_every=WARM_UP,
        evaluate_every=10**9, checkpoint_every=10**9,
    )  # fmt: skip
    collected = Collect()
    cli.log.addHandler(collected)
    cli.log.setLevel("INFO")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        write_data(data, args.num_speakers, args.utts_per_speaker)
        train_set = TrainingSet(
            data, config, FeatureConfig(type="fbank", num_mel_bins=FEAT_DIM)
        )
        checkpoints = Checkpoints(Path(folder) / "checkpoints")
        device = torch.device("cpu")
        loop.train(config, train_set, NoDevelopment(), checkpoints, "", device)
    cli.log.removeHandler(collected)
    pattern = r"(\d+) utts/s, waited for data ([\d.]+) %"
    rows = re.findall(pattern, "\n".join(collected.lines))[1:]
    speed, waited = np.median(np.array(rows, dtype=float), axis=0)
    print(f"training {speed:.0f} utts/s")
    print(f"training_step {1000 * config.batch_size / speed:.0f} ms")
    print(f"training_data_wait {waited:.1f} %")
    print(f"training_threads {torch.get_num_threads()} threads")
    return 0


if __name__ == "__main__":
    cli.run(main)
