#!/usr/bin/env python3
"""Print the EER by the years between the two sessions of a target trial.

Usage: tests/full/gap_report.py DATA TRIALS SCORES
  e.g.: tests/full/gap_report.py data/test data/test/trials/random \\
            exp/xvector_aam_s1/scores_test/random.cosine

Reads DATA/utt2spk, utt2session and session2date (ISO dates or day numbers). Each
bin holds the targets of its gap and all non-targets, so that the bins differ in
their targets alone. Columns: gap in years, number of targets, of their speakers,
EER in percent and its 95 % interval over speakers. The last row is the rise from
the first bin to the last, its interval from the same draws of speakers.
"""

import datetime
from pathlib import Path

import numpy as np

from chronovox import cli
from chronovox.cli import UserError
from chronovox.datadir import parse_float, read_session2date, read_table
from chronovox.evaluation import bootstrap
from chronovox.evaluation.metrics import SortedTrials
from chronovox.scoring import read_scores
from chronovox.trials import read_trials
from chronovox.trials.lists import Speakers

BINS = ((0, 5), (5, 10), (10, 15), (15, 20), (20, np.inf))
DAYS_PER_YEAR = 365.25


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--draws", type=cli.positive_int, default=1000, help="of speakers; default 1000"
    )
    for name in ("data", "trials", "scores"):
        parser.add_argument(name)
    return parser


def day_number(text: str, where: str) -> float:
    """Days from a fixed day: of an ISO date, or the number itself."""
    try:
        return float(datetime.date.fromisoformat(text).toordinal())
    except ValueError:
        return parse_float(text, where)


def read_days(data: Path, utts: list[str]) -> dict[str, float]:
    """utterance -> day of its session. Raises UserError if one has no date."""
    utt2spk = read_table(data / "utt2spk")
    utt2session = read_table(data / "utt2session")
    dates = read_session2date(data / "session2date")
    days = {}
    for utt in sorted(set(utts)):
        spk, session = utt2spk[utt], utt2session.get(utt)
        where = f"{data}/session2date"
        if (spk, session) not in dates:
            raise UserError(f"{where}: no date of session {session} of {spk} ('{utt}')")
        days[utt] = day_number(dates[spk, session], f"{where}: {spk} {session}")
    return days


def measure_bin(scores, is_target, gap_years, speakers, draws, low, high):
    """The cells of one bin, its EER, and the EER of every draw (NaN without any)."""
    inside = is_target & (gap_years >= low) & (gap_years < high)
    name = f"{low}+" if high == np.inf else f"{low}-{high}"
    num_spk = len(np.unique(speakers.enrol[inside]))
    if not inside.any():
        return [name, "0", "0"], np.nan, np.full(len(draws), np.nan)
    kept = inside | ~is_target
    ordered = SortedTrials(scores[kept], is_target[kept])
    people = Speakers(speakers.names, speakers.enrol[kept], speakers.test[kept])
    drawn = bootstrap.eer_of_draws(ordered, people, draws)
    return [name, str(inside.sum()), str(num_spk)], ordered.eer(), drawn


def rate_cells(value: float, drawn: np.ndarray) -> list[str]:
    """A rate, or a difference of rates, in percent with its interval."""
    bounds = bootstrap.interval(drawn)
    if bounds is None:
        return ["-", "-"]
    low, high = np.multiply(bounds, 100)
    return [f"{100 * value:.2f}", f"[{low:.2f}, {high:.2f}]"]


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    data = Path(args.data)
    trials = read_trials(args.trials)
    speakers = trials.speakers(read_table(data / "utt2spk"), data / "utt2spk")
    days = read_days(data, trials.enrol + trials.test)
    gap_days = [
        abs(days[enrol] - days[test])
        for enrol, test in zip(trials.enrol, trials.test, strict=True)
    ]
    gap_years = np.array(gap_days) / DAYS_PER_YEAR
    scores = read_scores(args.scores, trials)
    draws = bootstrap.draw_speakers(len(speakers.names), args.draws)
    rows = [["years", "targets", "speakers", "EER %", "95 % interval"]]
    bins = [
        measure_bin(scores, trials.is_target, gap_years, speakers, draws, low, high)
        for low, high in BINS
    ]
    rows += [[*cells, *rate_cells(eer, drawn)] for cells, eer, drawn in bins]
    (_, first, first_drawn), (_, last, last_drawn) = bins[0], bins[-1]
    rise = rate_cells(last - first, last_drawn - first_drawn)
    rows.append(["rise", "", "", *rise])
    for row in rows:
        print("{:>6} {:>8} {:>9} {:>7}  {}".format(*row))
    return 0


if __name__ == "__main__":
    cli.run(main)
