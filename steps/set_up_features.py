#!/usr/bin/env python3
"""Check feature settings and put them into a data directory.

Writes DATA/conf/features.yaml, with every default spelled out, and
DATA/frame_shift in seconds, and removes feats.scp and vad.scp, which were made
with other settings. make_fbank.sh and make_mfcc.sh begin with it.

Usage: steps/set_up_features.py fbank|mfcc CONFIG DATA
e.g.:  steps/set_up_features.py fbank conf/fbank.yaml data/train
"""

from pathlib import Path

from chronovox import cli, config
from chronovox.cli import UserError
from chronovox.features import FeatureConfig
from chronovox.files import write_lines


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("type", choices=["fbank", "mfcc"], help="the type to expect")
    parser.add_argument("config", help="settings, such as conf/fbank.yaml")
    parser.add_argument("data", help="data directory")
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    settings = config.load(args.config, FeatureConfig)
    if settings.type != args.type:
        raise UserError(
            f"{args.config}: type is {settings.type}, but {args.type} is wanted: "
            f"use steps/make_{settings.type}.sh, or give another --config"
        )
    data = Path(args.data)
    for name in ("feats.scp", "vad.scp"):
        (data / name).unlink(missing_ok=True)
    config.save(settings, data / "conf" / "features.yaml")
    shift_s = settings.shift / settings.sampling_rate
    write_lines(data / "frame_shift", [f"{shift_s:g}"])
    return 0


if __name__ == "__main__":
    cli.run(main)
