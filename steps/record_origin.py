#!/usr/bin/env python3
"""Record what embeddings are made from: the network, the features, the corpus.

Writes OUT_DIR/made_from.json; steps/score_trials.py refuses embeddings whose
network or data have changed since.

Usage: steps/record_origin.py EXP_M DATA OUT_DIR
e.g.:  steps/record_origin.py exp/xvector_s1 data/test exp/xvector_s1/embeddings_test
"""

from chronovox import cli
from chronovox.scoring import write_origin


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("exp", help="folder of the model")
    parser.add_argument("data", help="data directory with the features")
    parser.add_argument("out_dir", help="where the embeddings go")
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    write_origin(args.exp, args.data, args.out_dir)
    return 0


if __name__ == "__main__":
    cli.run(main)
