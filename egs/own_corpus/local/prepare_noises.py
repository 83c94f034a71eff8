#!/usr/bin/env python3
"""Make a data directory of noises, or of impulse responses, from a tree of files.

Every wav or flac file below SRC is an entry, named by its path. Of several channels
the first is taken, and other sampling rates are resampled: such files are copied to
DATA/audio. What is silent, damaged or shorter than 25 ms is listed in
DATA/log/dropped with the reason.

Usage: local/prepare_noises.py [options] SRC DATA
e.g.:  local/prepare_noises.py ~/noises data/noises
"""

from pathlib import Path

from chronovox import cli, noises


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("src", help="folder of wav or flac files, at any depth")
    parser.add_argument("data", help="the data directory to write")
    parser.add_argument(
        "--nj", type=cli.positive_int, default=4, help="files at a time"
    )
    parser.add_argument(
        "--max-fail-ratio", type=cli.fraction, default=0.05,
        help="share of files that may be dropped (default: 0.05)",
    )  # fmt: skip
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    src = Path(args.src)
    if not src.is_dir():
        raise cli.UserError(f"{src}: no such folder")
    found = []
    for path in noises.find_files(src):
        key = noises.clean("_".join(path.relative_to(src).with_suffix("").parts))
        found.append(noises.Noise(key, key, "1", path))
    if not found:
        raise cli.UserError(f"{src}: no {' or '.join(noises.SUFFIXES)} file in it")
    settings = noises.Settings(nj=args.nj, max_fail_ratio=args.max_fail_ratio)
    noises.write_noise_dir(Path(args.data), found, settings)
    return 0


if __name__ == "__main__":
    cli.run(main)
