#!/usr/bin/env python3
"""Split a list into parts of consecutive lines, as even as can be.

usage: utils/split_scp.py IN OUT [OUT ...]
e.g.:  utils/split_scp.py data/train/wav.scp wav.1.scp wav.2.scp wav.3.scp

The parts differ by one line at most, the longer ones first.
"""

from chronovox import cli, datadir, files


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("scp", metavar="IN", help="any list, such as wav.scp")
    parser.add_argument("parts", metavar="OUT", nargs="+", help="one file a part")
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    lines = datadir.read_lines(args.scp)
    size, longer = divmod(len(lines), len(args.parts))
    if size == 0:
        raise cli.UserError(
            f"{args.scp}: {len(lines)} lines cannot fill {len(args.parts)} parts: "
            f"use at most --nj {len(lines)}"
        )
    begin = 0
    for number, part in enumerate(args.parts):
        end = begin + size + (number < longer)
        files.write_lines(part, lines[begin:end])
        begin = end
    return 0


if __name__ == "__main__":
    cli.run(main)
