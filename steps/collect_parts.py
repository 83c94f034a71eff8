#!/usr/bin/env python3
"""Join the tables that the jobs of a stage wrote, and check that nothing is lost.

Every item of EXPECTED must stand in each table or in the list of what was
dropped. Too many dropped items, or no result at all, is an error.

Usage: steps/collect_parts.py --dropped PARTS=LIST NJ EXPECTED [PARTS=TABLE ...]
e.g.:  steps/collect_parts.py --dropped log/dropped.JOB=log/dropped 4 \\
         data/train/wav.scp fbank/raw_fbank_train.JOB.scp=data/train/feats.scp

PARTS holds JOB, which stands for 1 to NJ.
"""

import argparse

from chronovox import cli
from chronovox.coverage import collect, read_keys


def parts_and_table(text: str) -> tuple[str, str]:
    parts, equals, table = text.partition("=")
    if not (equals and table and "JOB" in parts):
        raise argparse.ArgumentTypeError(f"expected x.JOB.scp=y.scp, got '{text}'")
    return parts, table


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("nj", type=cli.positive_int, help="number of jobs")
    parser.add_argument("expected", help="table whose first fields went in")
    parser.add_argument(
        "tables", nargs="*", type=parts_and_table, metavar="PARTS=TABLE"
    )
    parser.add_argument(
        "--dropped", type=parts_and_table, required=True, metavar="PARTS=LIST",
        help="the lists of dropped items, and the whole list to write",
    )  # fmt: skip
    parser.add_argument(
        "--max-fail-ratio", type=cli.fraction, default=0.05,
        help="share of items that may be dropped (default: 0.05)",
    )  # fmt: skip
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    expected = read_keys(args.expected)
    tables = dict(args.tables)
    collect(args.nj, expected, tables, args.dropped, args.max_fail_ratio)
    return 0


if __name__ == "__main__":
    cli.run(main)
