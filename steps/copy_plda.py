#!/usr/bin/env python3
"""Copy a PLDA model of Kaldi's form, as text or binary, or smooth it.

Usage: steps/copy_plda.py [--text BOOL] [--smoothing X] PLDA_IN PLDA_OUT
  e.g.: steps/copy_plda.py --text true exp/xvector_aam_s1/backends/plda/plda plda.txt

Reads either form. --smoothing adds X times the covariance of speakers to that within
speakers, dimension by dimension, as Kaldi's ivector-copy-plda does. Numbers are written
in double precision, and text restores them exactly.
"""

from chronovox import cli
from chronovox.scoring.plda_file import read_plda, write_plda


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--text", type=cli.boolean, default=False, metavar="BOOL", help="(false)"
    )
    parser.add_argument(
        "--smoothing", type=cli.fraction, default=0.0, metavar="X", help="0 to 1 (0)"
    )
    parser.add_argument("plda_in")
    parser.add_argument("plda_out")
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    model = read_plda(args.plda_in).smoothed(args.smoothing)
    write_plda(args.plda_out, model, args.text)
    return 0


if __name__ == "__main__":
    cli.run(main)
