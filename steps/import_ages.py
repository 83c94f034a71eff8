#!/usr/bin/env python3
"""Label utterances with ages that others have published for VoxCeleb's videos.

Usage: steps/import_ages.py --format segment2age|utt2age|csv [options] DATA FILE
  e.g.: steps/import_ages.py --format segment2age data/test vox1/segment2age.npy
        steps/import_ages.py --format utt2age data/train AgeVoxCeleb/utt2age.train
        steps/import_ages.py --format csv --columns VoxCeleb_ID,video_id,speaker_age \\
            --max-fail-ratio 1 data/train age-train.txt

Forms of FILE
  segment2age  of the cross-age trials: a .npy file that holds a dictionary
               <speaker>-<video> (or <speaker>/<video>) -> years. It is a pickle; no
               code in it is run
  utt2age      of AgeVoxCeleb: <speaker>/<video>/<utterance> <years>
  csv          a header that names columns, commas between fields

Reads DATA/utt2spk and utt2session. Every utterance of a session gets its age; a video
of two people has an age of each. Ages that are no number, 0 or less, or above 120 are
rejected. So are all ages of a session of which FILE tells different ones: at most one
is right, and their mean may be the age at which nobody was recorded.

Writes into DATA
  utt2age           <utt> <years>
  utt2age.source    who wrote them, from which file (the beginning of its SHA-256)
  utt2age.dropped   utterances without an age
  utt2age.rejected  entries of FILE that were not believed, with line or key

Ages of another source are not written over; another FILE is one, whatever its name.
"""

from pathlib import Path

from chronovox import cli
from chronovox.ages import claim, read_sessions, write_ages
from chronovox.ages.published import match, read_csv, read_segment2age, read_utt2age
from chronovox.cli import UserError, log
from chronovox.coverage import list_dropped
from chronovox.files import sha256, write_lines

COLUMNS = "VoxCeleb_ID,video_id,age"


def columns(text: str) -> list[str]:
    """The type of --columns. Raises ValueError, which argparse shows as usage."""
    names = [name.strip() for name in text.split(",")]
    if len(set(names)) != 3 or not all(names):
        raise ValueError
    return names


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--format", required=True, choices=["segment2age", "utt2age", "csv"]
    )
    parser.add_argument(
        "--columns", type=columns, default=COLUMNS, metavar="SPEAKER,VIDEO,AGE",
        help=f"names of the columns of a CSV file ({COLUMNS})",
    )  # fmt: skip
    parser.add_argument(
        "--max-fail-ratio", type=cli.fraction, default=0.05, metavar="X",
        help="utterances that may be without an age (0.05)",
    )  # fmt: skip
    parser.add_argument("data")
    parser.add_argument("file")
    return parser


def read_entries(args):
    if args.format == "csv":
        return read_csv(args.file, args.columns)
    return {"segment2age": read_segment2age, "utt2age": read_utt2age}[args.format](
        args.file
    )


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    data = Path(args.data)
    if not Path(args.file).is_file():
        raise UserError(f"{args.file}: no such file")
    source = f"import_ages {Path(args.file).name} {sha256(args.file)[:12]}: "
    source += f"--format {args.format}"
    if args.format == "csv":
        source += f" --columns {','.join(args.columns)}"
    sessions = read_sessions(data)
    entries = read_entries(args)
    matched = match(entries, sessions.values(), args.file)
    claim(data, source)
    path = data / "utt2age.rejected"
    write_lines(path, matched.rejected)
    log.info(
        "%s: %d entries, %d of sessions that %s lacks; %d rejections (%s)",
        args.file, len(entries), matched.num_unknown, data, len(matched.rejected), path,
    )  # fmt: skip
    ages = {
        utt: matched.ages[session]
        for utt, session in sessions.items()
        if session in matched.ages
    }
    dropped = {
        utt: f"session {session} of {spk}: "
        + (f"rejected: {path}" if (spk, session) in matched.refused else "not in FILE")
        for utt, (spk, session) in sessions.items()
        if utt not in ages
    }
    list_dropped(len(sessions), dropped, data / "utt2age.dropped", args.max_fail_ratio)
    write_ages(data, source, ages)
    return 0


if __name__ == "__main__":
    cli.run(main)
