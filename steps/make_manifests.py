#!/usr/bin/env python3
"""Write the lhotse manifests of data directories from their Kaldi tables.

Usage: steps/make_manifests.py [--sampling-rate HZ] DATA [DATA ...]
e.g.:  steps/make_manifests.py data/train data/test

Reads wav.scp, utt2spk, utt2session and utt2dur, and where they are spk2gender,
spk2nationality and session2date. Writes DATA/recordings.jsonl.gz and
DATA/supervisions.jsonl.gz. No recording is opened: how many samples it has is what
utt2dur says.
"""

from chronovox import cli, manifests


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--sampling-rate", type=cli.positive_int, default=16000, metavar="HZ",
        help="of the recordings (16000)",
    )  # fmt: skip
    parser.add_argument("data", nargs="+", metavar="DATA")
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    for data_dir in args.data:
        number = manifests.import_kaldi(data_dir, args.sampling_rate)
        cli.log.info("%s: %d recordings and supervisions", data_dir, number)
    return 0


if __name__ == "__main__":
    cli.run(main)
