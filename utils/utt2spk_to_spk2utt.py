#!/usr/bin/env python3
"""Print the spk2utt that belongs to an utt2spk: `<spk> <utt> <utt> ...`.

usage: utils/utt2spk_to_spk2utt.py [UTT2SPK] > SPK2UTT
e.g.:  utils/utt2spk_to_spk2utt.py data/train/utt2spk > data/train/spk2utt
"""

from chronovox import cli, datadir


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("utt2spk", nargs="?", default="/dev/stdin", help="(the input)")
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    for spk, utts in datadir.invert(datadir.read_table(args.utt2spk)).items():
        print(spk, *utts)
    return 0


if __name__ == "__main__":
    cli.run(main)
