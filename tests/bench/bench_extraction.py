#!/usr/bin/env python3
"""Time extraction from arks on one core; print `name value unit` rows.

The real-time factor is the time of one core over the duration of the speech,
reading included, for the network of CONFIG and for Kaldi's size.

Usage: tests/bench/bench_extraction.py [options] [CONFIG]
  e.g.: tests/bench/bench_extraction.py conf/xvector_aam.yaml
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from chronovox import cli, kaldi_io, models
from chronovox.datadir import write_table
from chronovox.frontend import FrameTable, FrontendConfig
from chronovox.models.extraction import embed
from chronovox.training import settings

ROOT = Path(__file__).resolve().parents[2]
FEAT_DIM = 80
FRAME_SHIFT_S = 0.01
NUM_FRAMES = (200, 1500)
BATCH_FRAMES = 20000


def get_parser():
    parser = cli.parser(__doc__)
    default = str(ROOT / "conf/xvector_aam.yaml")
    parser.add_argument("config", nargs="?", default=default)
    parser.add_argument("--num-utts", type=cli.positive_int, default=100)
    return parser


def write_data(data: Path, num_utts: int) -> int:
    """A data directory of noise; returns the number of frames."""
    rng = np.random.default_rng(0)
    num_frames = {}
    with kaldi_io.ArkWriter(data / "feats.ark", data / "feats.scp", 2) as feats:
        for number in range(num_utts):
            utt = f"s-{number:06d}"
            num_frames[utt] = int(rng.integers(*NUM_FRAMES))
            shape = (num_frames[utt], FEAT_DIM)
            feats.write(utt, rng.standard_normal(shape, np.float32))
    write_table(data / "utt2num_frames", num_frames)
    return sum(num_frames.values())


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    torch.set_num_threads(1)
    configs = {
        Path(args.config).stem: settings.load(args.config).model,
        "xvector_kaldi_size": {"type": "xvector"},
    }
    with tempfile.TemporaryDirectory() as folder:
        dur_s = write_data(Path(folder), args.num_utts) * FRAME_SHIFT_S
        frames = FrameTable(folder, FrontendConfig(vad=False))
        for name, model in configs.items():
            network = models.build(model, FEAT_DIM).eval()
            rows = range(len(frames.utts))
            embed(network, frames, rows[:2], BATCH_FRAMES)
            begin = time.perf_counter()
            embed(network, frames, rows, BATCH_FRAMES)
            elapsed_s = time.perf_counter() - begin
            print(f"extraction_{name} {elapsed_s / dur_s:.6f} real_time_factor")
    return 0


if __name__ == "__main__":
    cli.run(main)
