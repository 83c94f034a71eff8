#!/usr/bin/env python3
"""Measure how long an enrolment lasts: misses at a fixed threshold, by its age.

Usage: steps/measure_lifetime.py [options] DATA_DEV TRIALS_DEV SCORES_DEV \\
           DATA TRIALS SCORES RESULTS_DIR
  e.g.: s=exp/xvector_aam_s1; steps/measure_lifetime.py \\
            data/dev data/dev/trials/calibration $s/scores_dev/calibration.plda \\
            data/test data/test/trials/random $s/scores_test/random.plda exp/results

Both score files are of one system. Thresholds are fixed on the non-targets of
TRIALS_DEV, whose speakers must not be in TRIALS: for false-alarm rates of 1 % and of
0.1 % the lowest threshold that at most so many of the scores exceed; what equals it is
rejected. Below 1,000 non-targets there is none for 0.1 %, below 100 none at all.

The targets of TRIALS fall into bins of the time between their sides, whichever is the
earlier: by DATA/session2date (ISO dates or day numbers) and utt2session; years, where
these are not there, by DATA/utt2age. An enrolment of several utterances has the mean of
theirs. For each bin:

  frr_P      the share of targets that the threshold for a false-alarm rate P rejects
  shift      the mean score less that of the first bin, in standard deviations of the
             scores of development non-targets
  actdcf_P   of log-likelihood ratios alone: the cost at the Bayes threshold of prior P,
  cllr_loss  and Cllr less the least Cllr; against all non-targets of TRIALS

and of the list far_P, the false-alarm rate that it has at the threshold, and the time
of doubling, at which frr_P, straight between the mean times of the bins, is first twice
that of the first bin. A bin with targets of fewer than 5 speakers has no rates; the
first bin is the first that has. Mind that bins may hold different speakers.

All have a 95 % interval over the speakers of TRIALS; thresholds are kept as they are. A
draw of speakers in which misses do not double counts as later than all others: a bound
may so be `-`, not within the bins. A draw without a miss in the first bin counts from
where there are some; if the list itself has none there, no time is told.

Data without times, a list without bins to rate, and too few development non-targets
give no row, and a warning that says so. Else it prints a table, rates in percent, and
writes it to RESULTS_DIR/lifetime.tsv and, rates as fractions, each with its interval,
lifetime.json. What stood there of the same system, list and unit is replaced.
"""

from pathlib import Path

import numpy as np

from chronovox import cli
from chronovox.cli import UserError, log
from chronovox.evaluation import bootstrap, conditions, lifetime, results
from chronovox.evaluation.lifetime import ONE_IN, Scored, edges, number
from chronovox.evaluation.metrics import MIN_ERRORS
from chronovox.evaluation.tables import aligned
from chronovox.files import write_lines
from chronovox.scoring import name_below, origin, read_info, read_scores
from chronovox.scoring.enrolments import read_speakers
from chronovox.trials import read_trials

BINS = {"years": "0 2 5 10 15 20", "days": "0 1 7 14 30 60 90"}
SYSTEM = "model", "seed", "config", "backend", "system_sha256"
HEADER = (
    "", "mean", "targets", "speakers", "FRR at 1 %", "[95 %]", "at 0.1 %", "[95 %]",
    "shift", "[95 %]", "DCF.01", ".05", "Cllr lost",
)  # fmt: skip


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--unit", choices=list(BINS), default="years", help="default: years"
    )
    parser.add_argument(
        "--bins", type=edges, metavar="NUMBERS",
        help=f"where bins begin, split at blanks; the last has no end; default: {BINS}",
    )  # fmt: skip
    parser.add_argument(
        "--draws", type=cli.positive_int, default=1000, help="of speakers; default 1000"
    )
    sides = [f"{x}{end}" for end in ("_dev", "") for x in ("data", "trials", "scores")]
    for name in (*sides, "results_dir"):
        parser.add_argument(name)
    return parser


class NothingToMeasure(UserError):
    """The data have not what it takes; nothing is wrong with them."""


class ScoredList:
    """A data directory, a list of trials, and their scores."""

    def __init__(self, data: str, trials: str, scores: str):
        self.data, self.path = Path(data), scores
        self.trials = read_trials(trials)
        self.info = read_info(scores, self.trials)
        self.scores = read_scores(scores, self.trials)
        is_target = self.trials.is_target
        if is_target.all() or not is_target.any():
            kind = "non-target" if is_target.all() else "target"
            raise UserError(f"{trials}: there is no {kind} trial")
        self.speakers = self.trials.speakers(
            read_speakers(self.data), self.data / "utt2spk"
        )


def check_pair(dev: ScoredList, test: ScoredList) -> None:
    """Raise UserError if scores are of two systems, or lists share speakers."""
    for name in SYSTEM:
        values = dev.info[name], test.info[name]
        if values[0] != values[1]:
            raise UserError(
                f"{dev.path}: {name} {values[0]}, but {values[1]} in {test.path}: give "
                "scores of one system"
            )
    shared = sorted(set(dev.speakers.names) & set(test.speakers.names))
    if shared:
        raise UserError(
            f"{len(shared)} speakers of {dev.trials.path} are in {test.trials.path}, "
            f"too, such as {shared[0]}: fix the threshold on other speakers"
        )


def gaps_of(test: ScoredList, unit: str) -> np.ndarray:
    """The time between the sides of each trial, NaN where it is not known."""
    keys = conditions.Keys(test.data, test.trials)
    times = keys.years() if unit == "years" else keys.days()
    if times is None:
        other = ", or utt2age" if unit == "years" else ""
        raise NothingToMeasure(
            f"{test.data}: no time is known: add session2date and utt2session{other}"
        )
    gap = conditions.gaps(times, test.trials)
    unknown = int(np.isnan(gap[test.trials.is_target]).sum())
    if unknown:
        log.warning(
            "%s: %d of %d targets have no time between their sides: left out",
            test.trials.path, unknown, test.trials.is_target.sum(),
        )  # fmt: skip
    return gap


def fix_thresholds(dev: ScoredList) -> tuple[dict[str, float], float]:
    """The thresholds, and the standard deviation of the scores that they are of."""
    nontargets = dev.scores[~dev.trials.is_target]
    fixed = lifetime.thresholds(nontargets)
    where = f"{dev.trials.path}: {len(nontargets)} non-targets"
    if np.isnan(list(fixed.values())).all():
        raise NothingToMeasure(
            f"{where}: too few to fix a threshold: it takes 100 for 1 %, 1000 for 0.1 %"
        )
    for rate, one_in in ONE_IN.items():
        few = len(nontargets) // one_in
        if np.isnan(fixed[rate]):
            log.warning("%s: no threshold for %s: it takes %d", where, rate, one_in)
        elif few < MIN_ERRORS:
            log.warning("%s: that for %s rests on %d false alarms", where, rate, few)
    if np.ptp(nontargets) == 0:
        raise UserError(f"{dev.path}: all non-targets have one score: score again")
    return fixed, float(nontargets.std())


def measure(dev: ScoredList, test: ScoredList, unit: str, bins, num_draws: int) -> dict:
    """The row of a system, list and unit."""
    check_pair(dev, test)
    fixed, unit_score = fix_thresholds(dev)
    num_speakers = len(test.speakers.names)
    draws = bootstrap.draw_speakers(num_speakers, num_draws)
    once = np.ones((1, num_speakers), draws.dtype)
    scored = Scored(
        test.scores, test.trials.is_target, gaps_of(test, unit), test.speakers,
        test.info["llr"], np.concatenate([once, draws]),
    )  # fmt: skip
    rows, doubling = lifetime.measure_bins(scored, fixed, unit_score, bins)
    if not rows:
        raise NothingToMeasure(
            f"{test.trials.path}: no bin has targets of {bootstrap.MIN_SPEAKERS} "
            f"speakers: choose other --bins (in {unit})"
        )
    return {
        **results.identity(test.info, test.data, test.trials),
        "unit": unit,
        "dev_trials": f"{name_below('data', dev.data)}/{Path(dev.trials.path).name}",
        "thresholds": {r: None if np.isnan(x) else x for r, x in fixed.items()},
        "far": lifetime.false_alarm_rates(scored, fixed),
        "bins": rows, "doubling": doubling,
        "marks": sorted(
            {*dev.info["marks"]} - {origin.OWN_LIST_MARK} | {*test.info["marks"]}
        ),
        "embeddings_sha256": test.info["embeddings_sha256"],
        "trials_sha256": test.info["trials_sha256"],
    }  # fmt: skip


def interval(values: list | None, name: str, digits: int = 2) -> list[str]:
    """Cells of a value and of its interval."""
    value, low, high = (number(x, name, digits) for x in values or [None] * 3)
    return [value, f"[{low}, {high}]"]


def show(row: dict) -> None:
    """Print the row of a system."""
    marks = f" (marked: {', '.join(row['marks'])})" if row["marks"] else ""
    print(
        f"{row['model']}, {row['backend']}{marks}: {row['data']}, trials "
        f"{row['trials']}, thresholds of {row['dev_trials']}"
    )
    table = [HEADER]
    for one in row["bins"]:
        end = "+" if one["high"] is None else f"-{one['high']}"
        cells = [number(one[name], name, 0) for name in lifetime.EDGES[2:]]
        for name in lifetime.RATES[:3]:
            cells += interval(one[name], name)
        for name in lifetime.LLR_COSTS:
            few = "\N{DAGGER}" if name in one["few_errors"] else ""
            cells.append(interval(one[name], name)[0] + few)
        table.append((f"{one['low']}{end}", *cells))
    print("\n".join(aligned(table)))
    if any(one["few_errors"] for one in row["bins"]):
        print(f"  \N{DAGGER} rests on fewer than {MIN_ERRORS} misses or false alarms")
    for rate in ONE_IN:
        value, bounds = interval(row["far"][rate], "far")
        time, later = interval(row["doubling"][rate], "doubling", 0)
        print(
            f"  at {100 * float(rate):g} %: false alarms of this list {value} {bounds} "
            f"%; misses double after {time} {later} {row['unit']}"
        )
    print()


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    dev = ScoredList(args.data_dev, args.trials_dev, args.scores_dev)
    test = ScoredList(args.data, args.trials, args.scores)
    bins = args.bins or edges(BINS[args.unit])
    system = {**results.identity(test.info, test.data, test.trials), "unit": args.unit}
    try:
        found = [measure(dev, test, args.unit, bins, args.draws)]
    except NothingToMeasure as error:
        log.warning("%s: nothing to measure", error)
        found = []
    path = Path(args.results_dir) / "lifetime.json"
    gone = [lifetime.TABLE.key_of(system)]
    with lifetime.TABLE.updated(args.results_dir, found, gone) as rows:
        write_lines(path.with_suffix(".tsv"), lifetime.to_lines(rows))
    for row in found:
        show(row)
        log.info("%d bins out to %s", len(row["bins"]), path)
    return 0


if __name__ == "__main__":
    cli.run(main)
