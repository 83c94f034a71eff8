#!/usr/bin/env python3
"""Measure how long an enrolment lasts: misses at a fixed threshold, by its age.

Usage: steps/measure_lifetime.py [options] DATA_DEV TRIALS_DEV SCORES_DEV \\
           DATA TRIALS SCORES RESULTS_DIR
  e.g.: s=exp/xvector_aam_s1; steps/measure_lifetime.py \\
            data/dev data/dev/trials/many $s/scores_dev/many.plda \\
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

and of the list far_P, the false-alarm rate that it has at the threshold, and doubling_P,
the time at which frr_P, straight between the mean times of the bins, is first twice
that of the first bin. A bin with targets of fewer than 5 speakers has no rates; the
first bin is the first that has. Mind that bins may hold different speakers.

All have a 95 % interval over the speakers of TRIALS; thresholds are kept as they are. A
draw of speakers in which misses do not double counts as later than all others: a bound
may so be `-`, not within the bins. A draw without a miss in the first bin counts from
where there are some; if the list itself has none there, no time is told.

Prints a table, rates in percent, and writes it to RESULTS_DIR/lifetime.tsv and, rates
as fractions, each with its interval, lifetime.json. What stood there of the same system,
list and unit is replaced.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np

from chronovox import cli
from chronovox.cli import UserError, log
from chronovox.evaluation import bootstrap, conditions, lifetime, results
from chronovox.evaluation.lifetime import LLR_COSTS, ONE_IN, Scored
from chronovox.scoring import name_below, read_info, read_scores
from chronovox.scoring.enrolments import read_speakers
from chronovox.trials import read_trials

BINS = {"years": (0, 2, 5, 10, 15, 20), "days": (0, 1, 7, 14, 30, 60, 90)}
SYSTEM = "model", "seed", "config", "backend"
RATES = *(f"frr_{rate}" for rate in ONE_IN), "shift", *LLR_COSTS
ALL = *RATES, *(f"{name}_{rate}" for name in ("far", "doubling") for rate in ONE_IN)
KEY = *results.KEY, "unit"
EDGES = "low", "high", "center", "n_target", "n_spk"
HEADER = (
    "", "mean", "targets", "speakers", "FRR at 1 %", "[95 %]", "at 0.1 %", "[95 %]",
    "shift", "[95 %]", "DCF.01", ".05", "Cllr lost",
)  # fmt: skip


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--unit", choices=BINS, default="years", help="default: years")
    parser.add_argument(
        "--bins", type=edges, metavar="NUMBERS",
        help=f"where bins begin, split at blanks; the last has no end; default: {BINS}",
    )  # fmt: skip
    parser.add_argument(
        "--draws", type=cli.positive_int, default=1000, help="of speakers; default 1000"
    )
    for name in ("data", "trials", "scores"):
        parser.add_argument(f"{name}_dev")
    for name in ("data", "trials", "scores", "results_dir"):
        parser.add_argument(name)
    return parser


def edges(text: str) -> tuple[float, ...]:
    """Rising numbers from 0 on."""
    values = tuple(float(word) for word in text.split())
    rising = all(low < high for low, high in pairwise((-1e-9, *values, np.inf)))
    if not values or values[0] < 0 or not rising:
        raise ValueError(text)
    return tuple(int(value) if value.is_integer() else value for value in values)


class List:
    """A data directory, a list of trials, and their scores."""

    def __init__(self, data: str, trials: str, scores: str):
        self.data, self.path = Path(data), scores
        self.trials = read_trials(trials)
        self.info = read_info(scores, self.trials)
        self.scores = read_scores(scores, self.trials)
        for label, some in (
            ("", self.trials.is_target),
            ("non-", ~self.trials.is_target),
        ):
            if not some.any():
                raise UserError(f"{trials}: there is no {label}target trial")
        self.speakers = self.trials.speakers(
            read_speakers(self.data), self.data / "utt2spk"
        )


def check_pair(dev: List, test: List) -> None:
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


def gaps_of(test: List, unit: str) -> np.ndarray:
    """The time between the sides of each trial, NaN where it is not known."""
    keys = conditions.Keys(test.data, test.trials)
    times = keys.years() if unit == "years" else keys.days()
    if times is None:
        other = ", or utt2age" if unit == "years" else ""
        raise UserError(
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


def fix_thresholds(dev: List) -> tuple[dict[str, float], float]:
    """The thresholds, and the standard deviation of the scores that they are of."""
    nontargets = dev.scores[~dev.trials.is_target]
    fixed = lifetime.thresholds(nontargets)
    where = f"{dev.trials.path}: {len(nontargets)} non-targets"
    if np.isnan(list(fixed.values())).all():
        raise UserError(
            f"{where}: too few to fix a threshold: it takes 100 for 1 %, 1000 for 0.1 %"
        )
    for rate, number in ONE_IN.items():
        if np.isnan(fixed[rate]):
            log.warning("%s: no threshold for %s: it takes %d", where, rate, number)
    if np.ptp(nontargets) == 0:
        raise UserError(f"{dev.path}: all non-targets have one score: score again")
    return fixed, float(nontargets.std())


def measure(dev: List, test: List, unit: str, bins, num_draws: int) -> dict:
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
        raise UserError(
            f"{test.trials.path}: no bin has targets of {bootstrap.MIN_SPEAKERS} "
            f"speakers: choose other --bins (in {unit})"
        )
    info = test.info
    return {
        "model": info["model"], "data": name_below("data", test.data),
        "trials": Path(test.trials.path).name, "backend": info["backend"],
        "seed": info["seed"], "unit": unit,
        "dev_trials": f"{name_below('data', dev.data)}/{Path(dev.trials.path).name}",
        "thresholds": {r: None if np.isnan(x) else x for r, x in fixed.items()},
        "far": lifetime.false_alarm_rates(scored, fixed),
        "bins": rows, "doubling": doubling,
        "marks": sorted({*dev.info["marks"], *info["marks"]}),
        "trials_sha256": info["trials_sha256"],
    }  # fmt: skip


def number(value, name: str, digits: int = 3) -> str:
    """A number as text, rates in percent; others have a digit more."""
    if value is None or isinstance(value, int):
        return "-" if value is None else str(value)
    if name.startswith(("frr", "far")):
        return f"{100 * value:.{digits}f}"
    return f"{value:.{digits + 1}f}"


def to_lines(table: list[dict]) -> list[str]:
    """The lines of lifetime.tsv: one for each bin."""
    spread = [f"{name}{end}" for name in ALL for end in ("", "_lo", "_hi")]
    lines = ["\t".join([*KEY, "dev_trials", *EDGES, *spread])]
    for row in table:
        common = [results.cell(row, name) for name in (*KEY, "dev_trials")]
        of_list = [row[name][rate] for name in ("far", "doubling") for rate in ONE_IN]
        for one in row["bins"]:
            cells = [*common, *(number(one[name], name) for name in EDGES)]
            triples = [*(one[name] for name in RATES), *of_list]
            for name, values in zip(ALL, triples, strict=True):
                cells += [number(value, name) for value in values or [None] * 3]
            lines.append("\t".join(cells))
    return lines


def interval(values: list | None, name: str) -> list[str]:
    """Cells of a value and of its interval."""
    value, low, high = (number(x, name, 2) for x in values or [None] * 3)
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
        cells = [number(one[name], name, 0) for name in EDGES[2:]]
        for name in RATES[:3]:
            cells += interval(one[name], name)
        costs = [number((one[name] or [None])[0], name, 2) for name in LLR_COSTS]
        table.append((f"{one['low']}{end}", *cells, *costs))
    print("\n".join(results.aligned(table)))
    for rate in ONE_IN:
        value, bounds = interval(row["far"][rate], "far")
        time, later = interval(row["doubling"][rate], "doubling")
        print(
            f"  at {100 * float(rate):g} %: false alarms of this list {value} {bounds} "
            f"%; misses double after {time} {later} {row['unit']}"
        )
    print()


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    dev = List(args.data_dev, args.trials_dev, args.scores_dev)
    test = List(args.data, args.trials, args.scores)
    row = measure(dev, test, args.unit, args.bins or BINS[args.unit], args.draws)
    path = Path(args.results_dir) / "lifetime.json"
    results.update_table(path, [row], KEY, to_lines)
    show(row)
    log.info("%d bins out to %s", len(row["bins"]), path)
    return 0


if __name__ == "__main__":
    cli.run(main)
