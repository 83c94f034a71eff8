#!/usr/bin/env python3
"""Write the durations of some utterances of a data directory: one job's part.

Only headers are read; a segment is as long as it is cut out. What a header shows to
be unusable (no audio, several channels, a wav shorter than it says) is dropped with
the reason. A flac or m4a that is cut off behind its header is not noticed, and an
m4a may be given up to 4096 samples too much: only who decodes it can tell.

Usage: steps/get_utt2dur.py [options] DATA UTTS PARTS_DIR JOB
e.g.:  steps/get_utt2dur.py data/train log/utts.1 log 1

PARTS_DIR gets utt2dur.JOB (seconds) and dropped.JOB. UTTS is a part of DATA/wav.scp
or segments.
"""

from pathlib import Path

from chronovox import cli
from chronovox.audio import WavTable
from chronovox.coverage import Coverage, read_keys
from chronovox.datadir import write_table


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("data", help="data directory with wav.scp (and segments)")
    parser.add_argument("utts", help="table of the utterances of this job")
    parser.add_argument("parts_dir", help="where this job's tables go")
    parser.add_argument("job", type=cli.positive_int, help="number of this job")
    parser.add_argument(
        "--allow-pipes", type=cli.boolean, default=False,
        help="true|false: run the commands of wav.scp, whole (default: false)",
    )  # fmt: skip
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    wavs = WavTable(args.data, args.allow_pipes)
    coverage, dur_s = Coverage(), {}
    for utt in read_keys(args.utts):
        with coverage.item(utt):
            dur_s[utt] = wavs.duration_s(utt)
    parts = Path(args.parts_dir)
    write_table(parts / f"utt2dur.{args.job}", dur_s)
    coverage.finish(parts / f"dropped.{args.job}")
    return 0


if __name__ == "__main__":
    cli.run(main)
