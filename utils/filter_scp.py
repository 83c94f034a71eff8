#!/usr/bin/env python3
"""Print the lines of a list whose key is among the ids of another list.

usage: utils/filter_scp.py [--exclude true] [-f N] IDS [IN] > OUT
e.g.:  utils/filter_scp.py data/test/spk2utt exp/x/spk_xvector.scp > test.scp
       utils/filter_scp.py --exclude true -f 2 noisy_speakers < utt2spk > clean

IDS: the first field of each line is an id. IN: a file, or else the input.
"""

from chronovox import cli, datadir


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--exclude", type=cli.boolean, default=False, help="print the other lines"
    )
    parser.add_argument(
        "-f", "--field", type=cli.positive_int, default=1, help="where the key is (1)"
    )
    parser.add_argument("ids", metavar="IDS")
    parser.add_argument("scp", metavar="IN", nargs="?", default="/dev/stdin")
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    ids = {(line.split() or [""])[0] for line in datadir.read_lines(args.ids)}
    num_in = num_out = 0
    for num_in, line in enumerate(datadir.read_lines(args.scp), 1):
        fields = line.split()
        if len(fields) < args.field:
            raise cli.UserError(
                f"{args.scp}:{num_in}: no field {args.field} in '{line}'"
            )
        if (fields[args.field - 1] in ids) != args.exclude:
            print(line)
            num_out += 1
    cli.log.info("%d in, %d out, %d ids", num_in, num_out, len(ids))
    if num_out == 0:
        raise cli.UserError(f"no line of {args.scp} is left by the ids of {args.ids}")
    return 0


if __name__ == "__main__":
    cli.run(main)
