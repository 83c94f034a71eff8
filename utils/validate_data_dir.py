#!/usr/bin/env python3
"""Check a data directory: what passes here, Kaldi's own validator accepts too.

usage: utils/validate_data_dir.py [--no-feats] [--no-wav] [--no-text] DIR
e.g.:  utils/validate_data_dir.py --no-feats --no-text data/train

Checks order, uniqueness and form of every table, that tables list the same
utterances, speakers, sessions and recordings, and that values make sense. Beyond
Kaldi, utt2session is required, and ages, dates, nationalities and faces are
checked. Lists all problems, up to 20.
"""

from chronovox import cli, datadir_check

SHOWN = 20


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--no-feats", action="store_true", help="feats.scp may be missing or partial"
    )
    parser.add_argument("--no-wav", action="store_true", help="wav.scp may be missing")
    parser.add_argument("--no-text", action="store_true", help="text may be missing")
    parser.add_argument("dir", metavar="DIR")
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    problems = datadir_check.find_problems(
        args.dir, args.no_feats, args.no_wav, args.no_text
    )
    if problems:
        shown = "".join(f"\n  {problem}" for problem in problems[:SHOWN])
        more = len(problems) - SHOWN
        raise cli.UserError(
            f"{args.dir} is not valid: {len(problems)} problems:{shown}"
            + (f"\n  and {more} more" if more > 0 else "")
        )
    print(f"validate_data_dir.py: Successfully validated data-directory {args.dir}")
    return 0


if __name__ == "__main__":
    cli.run(main)
