#!/usr/bin/env python3
"""Make a list for identification: who is enrolled, by which recordings, and tests.

Usage: steps/select_identification.py [options] DATA LIST
  e.g.: steps/select_identification.py data/test data/test/identification/first

Of each speaker the utterances of the first session enrol (--num-enrol-sessions: of
the first ones), and those of the later ones are tests; first by DATA/session2date where
there is one, else by the name. Of the speakers with tests, a share is drawn who are not
enrolled: their tests are impostors'. A speaker without tests is enrolled.

Writes LIST/enrolments, `<speaker> <utt> <utt> ...`, and LIST/tests, `<utt>` a line, for
steps/score_identification.py.
"""

import random
from pathlib import Path

from chronovox import cli
from chronovox.cli import UserError, log
from chronovox.datadir import invert, read_table
from chronovox.evaluation.conditions import read_days
from chronovox.scoring.identification import write_list


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the draw (1)")
    parser.add_argument(
        "--num-enrol-sessions", type=cli.positive_int, default=1, metavar="N",
        help="that enrol a speaker (1)",
    )  # fmt: skip
    parser.add_argument(
        "--impostor-share", type=cli.fraction, default=0.2, metavar="X",
        help="of the speakers, who are not enrolled (0.2)",
    )  # fmt: skip
    parser.add_argument("data")
    parser.add_argument("list", help="folder to write")
    return parser


def read_places(data: Path):
    """The place of a session `(speaker, session)` in time, to sort by."""
    path = data / "session2date"
    if not path.exists():
        return lambda key: key[1]
    days = read_days(path)

    def place(key: tuple[str, str]):
        if key not in days:
            raise UserError(f"{path}: no line for '{' '.join(key)}'")
        return days[key], key[1]

    return place


def split(utt2spk, utt2session, place, num_sessions: int):
    """Speaker -> utterances of the first sessions, and of the others."""
    first: dict[str, list[str]] = {}
    later: dict[str, list[str]] = {}
    for spk, utts in invert(utt2spk).items():
        sessions = {utt2session[utt] for utt in utts}
        order = sorted(sessions, key=lambda session: place((spk, session)))
        enrol = set(order[:num_sessions])
        first[spk] = [utt for utt in utts if utt2session[utt] in enrol]
        later[spk] = [utt for utt in utts if utt2session[utt] not in enrol]
    return first, later


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    data = Path(args.data)
    utt2spk, utt2session = (read_table(data / f"utt2{x}") for x in ("spk", "session"))
    lacking = sorted(utt2spk.keys() - utt2session.keys())
    if lacking:
        raise UserError(f"{data}/utt2session: no line for '{lacking[0]}'")
    first, later = split(
        utt2spk, utt2session, read_places(data), args.num_enrol_sessions
    )
    tested = sorted(spk for spk, utts in later.items() if utts)
    number = round(args.impostor_share * len(tested))
    impostors = set(random.Random(args.seed).sample(tested, number))
    enrolments = {spk: utts for spk, utts in first.items() if spk not in impostors}
    if len(enrolments) < 2 or len(tested) == number:
        raise UserError(
            f"{data}: of {len(first)} speakers {len(tested)} have tests, {number} of "
            f"these are impostors, and {len(enrolments)} are enrolled: two must be, "
            "one of them with tests"
        )
    tests = [utt for utts in later.values() for utt in utts]
    write_list(args.list, enrolments, tests)
    log.info(
        "%s: %d utterances in; %d speakers enrolled, %d tests, of these %d of %d "
        "impostors", args.list, len(utt2spk), len(enrolments), len(tests),
        sum(len(later[spk]) for spk in impostors), number,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    cli.run(main)
