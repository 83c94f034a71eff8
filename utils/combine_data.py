#!/usr/bin/env python3
"""Put the utterances of several data directories into one.

usage: utils/combine_data.py DST SRC SRC [SRC ...]
e.g.:  utils/combine_data.py data/train_all data/train data/train_noise

All tables are combined, ages, sessions, dates and faces too. A table that one of
the sources lacks is left out, and trial lists and lhotse manifests are; both is
said. An utterance that two sources have, or tables and settings that contradict
each other, are refused.
"""

import itertools

from chronovox import cli, datadir_ops


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("dst", metavar="DST")
    parser.add_argument("src", metavar="SRC", nargs="+")
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    for src, other in itertools.combinations([*args.src, args.dst], 2):
        datadir_ops.refuse_same(src, other)
    sources = {src: datadir_ops.load(src) for src in args.src}
    datadir_ops.save(datadir_ops.combine(sources), args.dst)
    return 0


if __name__ == "__main__":
    cli.run(main)
