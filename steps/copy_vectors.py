#!/usr/bin/env python3
"""Copy the vectors of a table into one ark.

All must be of one dimension. The bytes do not depend on where the vectors lay.

Usage: steps/copy_vectors.py SCP_IN ARK SCP
e.g.:  steps/copy_vectors.py exp/dex/parts/face_age.scp exp/dex/face_age.ark \\
         exp/dex/face_age.scp
"""

from chronovox import cli, vectors


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("scp_in", help="table of vectors")
    parser.add_argument("ark", help="ark to write")
    parser.add_argument("scp", help="its table")
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    vectors.write_joined(args.scp_in, args.ark, args.scp)
    return 0


if __name__ == "__main__":
    cli.run(main)
