#!/usr/bin/env python3
"""Compute the features of some utterances of a data directory: one job's part.

The settings are those of DATA/conf/features.yaml. Each utterance is computed by
itself, on one thread, so that its bytes depend on its samples alone. Beside the
ark come utt2num_frames.JOB, utt2dur.JOB (seconds) and dropped.JOB in PARTS_DIR.

Usage: steps/compute_features.py [options] DATA UTTS PARTS_DIR JOB ARK SCP
e.g.:  steps/compute_features.py data/train log/wav.1.scp log 1 f.1.ark f.1.scp

UTTS is any table whose first field is an utterance: a part of wav.scp or segments.
"""

from pathlib import Path

from chronovox import cli, config, kaldi_io
from chronovox.audio import WavTable
from chronovox.cli import UserError
from chronovox.coverage import Coverage, read_keys
from chronovox.datadir import write_table
from chronovox.features import Extractor, FeatureConfig


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("data", help="data directory with wav.scp (and segments)")
    parser.add_argument("utts", help="table of the utterances of this job")
    parser.add_argument("parts_dir", help="where this job's tables go")
    parser.add_argument("job", type=cli.positive_int, help="number of this job")
    parser.add_argument("ark", help="feature ark to write")
    parser.add_argument("scp", help="its table")
    parser.add_argument(
        "--compress", type=cli.boolean, default=False,
        help="true|false: 8 bits a value, as Kaldi has it (default: false)",
    )  # fmt: skip
    parser.add_argument(
        "--allow-pipes", type=cli.boolean, default=False,
        help="true|false: run the commands of wav.scp (default: false)",
    )  # fmt: skip
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    import torch

    torch.set_num_threads(1)
    settings = config.load(Path(args.data) / "conf" / "features.yaml", FeatureConfig)
    wavs = WavTable(args.data, args.allow_pipes)
    extractor = Extractor(settings)
    coverage = Coverage()
    num_frames, dur_s = {}, {}
    with kaldi_io.ArkWriter(args.ark, args.scp, 2, args.compress) as writer:
        for utt in read_keys(args.utts):
            with coverage.item(utt):
                samples, rate = wavs.read(utt, settings.sampling_rate)
                features = extractor(samples)
                if len(features) == 0:
                    raise UserError(f"too short: {len(samples)} samples, no frame")
                writer.write(utt, features)
                num_frames[utt] = len(features)
                dur_s[utt] = round(len(samples) / rate, 6)
    parts = Path(args.parts_dir)
    write_table(parts / f"utt2num_frames.{args.job}", num_frames)
    write_table(parts / f"utt2dur.{args.job}", dur_s)
    coverage.finish(parts / f"dropped.{args.job}")
    return 0


if __name__ == "__main__":
    cli.run(main)
