#!/usr/bin/env python3
"""Check that no speaker is in two of the data directories.

usage: utils/check_speakers.py DATA DATA [DATA ...]
e.g.:  utils/check_speakers.py data/train data/dev data/test
"""

import itertools

from chronovox import cli, datadir, datadir_ops


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("data", nargs="+", help="data directories with utt2spk")
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    for one, other in itertools.combinations(args.data, 2):
        datadir_ops.refuse_same(one, other)
    speakers = {
        data: set(datadir.read_table(f"{data}/utt2spk").values()) for data in args.data
    }
    for (one, ours), (other, theirs) in itertools.combinations(speakers.items(), 2):
        shared = sorted(ours & theirs)
        if shared:
            raise cli.UserError(
                f"{one} and {other} share {len(shared)} speakers, such as "
                f"{', '.join(shared[:3])}: give each speaker to one of them"
            )
    cli.log.info(
        "no speaker twice: %s",
        ", ".join(f"{data} has {len(names)}" for data, names in speakers.items()),
    )
    return 0


if __name__ == "__main__":
    cli.run(main)
