#!/usr/bin/env python3
"""Print the utt2spk that belongs to a spk2utt: `<utt> <spk>`, sorted.

usage: utils/spk2utt_to_utt2spk.py [SPK2UTT] > UTT2SPK
e.g.:  utils/spk2utt_to_utt2spk.py data/train/spk2utt > data/train/utt2spk
"""

from chronovox import cli, datadir


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("spk2utt", nargs="?", default="/dev/stdin", help="(the input)")
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    utt2spk: dict[str, str] = {}
    for spk, utts in datadir.read_table(args.spk2utt, None).items():
        for utt in utts.split():
            if utt in utt2spk:
                raise cli.UserError(
                    f"{args.spk2utt}: '{utt}' is listed twice, at '{utt2spk[utt]}' "
                    f"and '{spk}'"
                )
            utt2spk[utt] = spk
    for utt in sorted(utt2spk):
        print(utt, utt2spk[utt])
    return 0


if __name__ == "__main__":
    cli.run(main)
