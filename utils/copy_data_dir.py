#!/usr/bin/env python3
"""Copy a data directory, with other names for its utterances and speakers if asked.

usage: utils/copy_data_dir.py [options] SRC DST
e.g.:  utils/copy_data_dir.py --utt-suffix -noise data/train data/train_noise
       utils/copy_data_dir.py --utt-prefix sp0.9- --spk-prefix sp0.9- data/a data/b

All tables are copied, ages, sessions, dates and faces too; trial lists and lhotse
manifests are not. A speaker's prefix has to be given to the utterances as well.
"""

import sys

from chronovox import cli, datadir_ops

OPTIONS = ("--utt-prefix", "--utt-suffix", "--spk-prefix", "--spk-suffix")


def get_parser():
    parser = cli.parser(__doc__)
    for option in OPTIONS:
        parser.add_argument(option, default="", metavar="TEXT")
    parser.add_argument("src", metavar="SRC")
    parser.add_argument("dst", metavar="DST")
    return parser


def join_values(words: list[str]) -> list[str]:
    """`--utt-suffix -noise` as one word, or argparse takes -noise for an option."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in OPTIONS:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def main(argv=None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    args = get_parser().parse_args(join_values(words))
    datadir_ops.refuse_same(args.src, args.dst)
    for text in (args.utt_prefix, args.utt_suffix, args.spk_prefix, args.spk_suffix):
        if text.split() not in ([], [text]):
            raise cli.UserError(f"'{text}': names hold no blanks")
    data = datadir_ops.rename(
        datadir_ops.load(args.src),
        lambda utt: args.utt_prefix + utt + args.utt_suffix,
        lambda spk: args.spk_prefix + spk + args.spk_suffix,
    )
    datadir_ops.save(data, args.dst)
    return 0


if __name__ == "__main__":
    cli.run(main)
