#!/usr/bin/env python3
"""Label utterances with ages that were estimated from faces.

Usage: steps/label_ages.py [options] DATA FACE2AGE
  e.g.: steps/label_ages.py data/test exp/dex/face2age
        steps/label_ages.py --by utterance --statistic median --min-faces 5 \\
            data/test exp/dex/face2age

Reads FACE2AGE (<face> <years>), DATA/faces/face2utt, utt2spk and, by session,
utt2session. A face without an age does not count: none was found in the image, or it
could not be read. FACE2AGE may hold faces of other data.

Writes into DATA
  utt2age          <utt> <years>, the mean or median of the faces of the utterance, or
                   of all of its speaker's session, which is how published labels are
  utt2age_std      <utt> <years>, the standard deviation of those faces, divided by
                   their number less one: the spread of single faces, not the error
                   of their mean. Frames of a video err alike, so that many faces make
                   an age less sure than std / sqrt(number) says; and what all of them
                   share, such as make-up, no spread shows. Trial rules that ask for
                   `confidence` take the spread for the error. One face has none, and
                   no line: such rules leave it out.
  utt2num_faces    <utt> <number of those faces>, of every utterance
  utt2age.source   who wrote the ages, with which settings
  utt2age.dropped  utterances of too few faces, which get no age

Ages of another source are not written over.
"""

import statistics
from collections.abc import Hashable
from pathlib import Path

from chronovox import cli
from chronovox.ages import claim, read_sessions, write_ages
from chronovox.ages.tables import parse_age
from chronovox.cli import UserError, log
from chronovox.coverage import list_dropped
from chronovox.datadir import read_table

STATISTICS = {"mean": statistics.fmean, "median": statistics.median}


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--by", choices=["session", "utterance"], default="session",
        help="whose faces are taken together (session)",
    )  # fmt: skip
    parser.add_argument(
        "--statistic", choices=list(STATISTICS), default="mean", help="(mean)"
    )
    parser.add_argument(
        "--min-faces", type=cli.positive_int, default=1, metavar="N",
        help="that an age needs (1)",
    )  # fmt: skip
    parser.add_argument(
        "--max-fail-ratio", type=cli.fraction, default=0.05, metavar="X",
        help="utterances that may be without an age (0.05)",
    )  # fmt: skip
    parser.add_argument("data", help="data directory with faces/face2utt")
    parser.add_argument("face2age")
    return parser


def read_groups(data: Path, by: str) -> dict[str, Hashable]:
    """Utterance -> whose faces are taken together with its own."""
    if by == "session":
        return read_sessions(data)
    return {utt: utt for utt in read_table(data / "utt2spk")}


def read_face_ages(data: Path, face2age_path, groups) -> dict[Hashable, list[float]]:
    """Group -> the years of its faces, in the order of their keys.

    Raises UserError for a face of an utterance that is not in `groups`, an impossible
    age, and if no face has one.
    """
    face2utt_path = data / "faces" / "face2utt"
    face2utt = read_table(face2utt_path)
    face2age = {
        face: parse_age(text, f"{face2age_path}: {face}")
        for face, text in read_table(face2age_path).items()
    }
    ages: dict[Hashable, list[float]] = {}
    for face, utt in face2utt.items():
        if utt not in groups:
            raise UserError(
                f"{face2utt_path}: face '{face}' is of utterance '{utt}', which is not "
                "in utt2spk: run utils/fix_data_dir.py"
            )
        if face in face2age:
            ages.setdefault(groups[utt], []).append(face2age[face])
    num_used = sum(map(len, ages.values()))
    log.info(
        "%s: %d faces; %d have an age in %s, where %d are of other data",
        face2utt_path, len(face2utt), num_used, face2age_path, len(face2age) - num_used,
    )  # fmt: skip
    if not ages:
        raise UserError(f"{face2age_path}: no face of {face2utt_path} is in it")
    return ages


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    data = Path(args.data)
    source = (
        f"label_ages {Path(args.face2age).name}: --by {args.by} "
        f"--statistic {args.statistic} --min-faces {args.min_faces}"
    )
    groups = read_groups(data, args.by)
    faces = read_face_ages(data, args.face2age, groups)
    claim(data, source)
    num_faces = {utt: len(faces.get(group, ())) for utt, group in groups.items()}
    center = STATISTICS[args.statistic]
    age = {g: center(ages) for g, ages in faces.items() if len(ages) >= args.min_faces}
    std = {g: statistics.stdev(faces[g]) for g in age if len(faces[g]) > 1}
    dropped = {
        utt: f"its {args.by} has {num_faces[utt]} faces with an age, fewer than "
        f"--min-faces {args.min_faces}"
        for utt, group in groups.items()
        if group not in age
    }
    list_dropped(len(groups), dropped, data / "utt2age.dropped", args.max_fail_ratio)
    write_ages(
        data,
        source,
        {utt: age[group] for utt, group in groups.items() if group in age},
        utt2age_std={utt: std[group] for utt, group in groups.items() if group in std},
        utt2num_faces=num_faces,
    )
    return 0


if __name__ == "__main__":
    cli.run(main)
