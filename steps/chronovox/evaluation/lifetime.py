"""What a threshold that was fixed on other speakers does as enrolments grow older.

Draws of speakers are as in `evaluation.bootstrap`; here `(D, S)`, and in the first each
speaker is there once, which gives the value itself. A mean over the trials of a draw is
then a product of matrices: of draws and sums over each speaker, or pair of speakers.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_array

from chronovox.evaluation import bootstrap, results
from chronovox.evaluation.bootstrap import LEVEL, MIN_SPEAKERS
from chronovox.evaluation.conditions import bins
from chronovox.evaluation.metrics import SortedTrials, few_errors
from chronovox.evaluation.tables import Table
from chronovox.trials.lists import Speakers

# False-alarm rates at which thresholds are fixed: one in so many.
ONE_IN = {"0.01": 100, "0.001": 1000}
PRIORS = 0.01, 0.05
LLR_COSTS = *(f"actdcf_{prior}" for prior in PRIORS), "cllr_loss"
# Of a bin, what tells it and what has an interval; of a list; what tells a list's row.
EDGES = "low", "high", "center", "n_target", "n_spk"
RATES = *(f"frr_{rate}" for rate in ONE_IN), "shift", *LLR_COSTS
ALL = *RATES, *(f"{name}_{rate}" for name in ("far", "doubling") for rate in ONE_IN)
KEY = *results.KEY, "unit"


@dataclass(frozen=True)
class Scored:
    """A scored list of N trials: gap is the time between the sides, NaN if unknown."""

    scores: np.ndarray
    is_target: np.ndarray
    gap: np.ndarray
    speakers: Speakers
    llr: bool
    draws: np.ndarray


def edges(text: str) -> tuple[float, ...]:
    """Where bins begin: rising numbers from 0 on. Raises ValueError."""
    values = [float(word) for word in text.split()]
    if not values or values != sorted(set(values)) or values[0] < 0:
        raise ValueError(text)
    if not np.isfinite(values).all():
        raise ValueError(text)
    return tuple(int(value) if value.is_integer() else value for value in values)


def thresholds(nontargets) -> dict[str, float]:
    """For each rate the lowest threshold that at most one score in so many exceeds.

    It is a score itself; what equals it is rejected. NaN for fewer scores than that.
    """
    falling = np.sort(nontargets)[::-1]
    return {
        rate: float(falling[len(falling) // number]) if len(falling) >= number
        else np.nan
        for rate, number in ONE_IN.items()
    }  # fmt: skip


def _exceeds(scores, threshold: float) -> np.ndarray:
    """1 for what is accepted and 0 for the rest; all NaN if there is no threshold."""
    return np.where(np.isnan(threshold), np.nan, scores > threshold)


def target_means(draws, speaker, columns) -> np.ndarray:
    """Means over target trials, `(D, K)`; NaN where a draw has none.

    speaker `(N,)`: of each trial. columns: K of `(N,)`.
    """
    total = draws @ np.stack([
        np.bincount(speaker, column, minlength=draws.shape[1])
        for column in (np.ones(len(speaker)), *columns)
    ], axis=1)  # fmt: skip
    with np.errstate(invalid="ignore"):
        return total[:, 1:] / total[:, :1]


def nontarget_means(draws, enrol, test, columns) -> np.ndarray:
    """The same over non-target trials of the speakers `enrol` and `test`."""
    shape = (draws.shape[1],) * 2
    total = np.stack([
        (draws.T * (coo_array((column, (enrol, test)), shape).tocsr() @ draws.T)).sum(0)
        for column in (np.ones(len(enrol)), *columns)
    ], axis=1)  # fmt: skip
    with np.errstate(invalid="ignore"):
        return total[:, 1:] / total[:, :1]


def triple(values: np.ndarray) -> list[float | None]:
    """The value and its 95 % interval, from those of all draws; None for NaN."""
    bounds = bootstrap.interval(values[1:]) or (np.nan, np.nan)
    return [None if np.isnan(x) else float(x) for x in (values[0], *bounds)]


def false_alarm_rates(scored: Scored, fixed: dict[str, float]) -> dict[str, list]:
    """The rate of false alarms at each threshold, and its interval."""
    some = ~scored.is_target
    people, scores = scored.speakers, scored.scores[some]
    columns = [_exceeds(scores, limit) for limit in fixed.values()]
    means = nontarget_means(
        scored.draws, people.enrol[some], people.test[some], columns
    )
    return {rate: triple(mean) for rate, mean in zip(fixed, means.T, strict=True)}


def measure_bins(
    scored: Scored, fixed: dict[str, float], unit_score: float, edges
) -> tuple[list[dict], dict[str, list | None]]:
    """What targets of each bin of the gap give, and when the miss rates have doubled.

    edges: of the bins, the last of which has no end. unit_score: the score shift is in
    units of it. A bin with targets of fewer than MIN_SPEAKERS speakers has no rates;
    no rates at all are an empty list.
    """
    code, enrol = bins(scored.gap, edges), scored.speakers.enrol
    rows, means = [], []
    for place, (low, high) in enumerate(pairwise([*edges, None])):
        some = scored.is_target & (code == place)
        number = int(some.sum())
        row = {
            "low": low, "high": high,
            "center": float(scored.gap[some].mean()) if number else None,
            "n_target": number, "n_spk": len(np.unique(enrol[some])),
        }  # fmt: skip
        rows.append(row)
        scores = scored.scores[some]
        missed = [1 - _exceeds(scores, limit) for limit in fixed.values()]
        mean = target_means(
            scored.draws, enrol[some], [*missed, scores, scored.gap[some]]
        )
        few = row["n_spk"] < MIN_SPEAKERS
        means.append(np.full(mean.shape, np.nan) if few else mean)
    rated = [place for place, mean in enumerate(means) if not np.isnan(mean[0, -1])]
    if not rated:
        return [], {}
    means = np.stack(means)  # (B, D, K): miss rates, score, gap
    for place, (row, mean) in enumerate(zip(rows, means, strict=True)):
        for rate, column in zip(fixed, mean.T, strict=False):
            row[f"frr_{rate}"] = triple(column)
        row["shift"] = triple((mean[:, -2] - means[rated[0], :, -2]) / unit_score)
        row |= {**dict.fromkeys(LLR_COSTS), "few_errors": []}
        if scored.llr and place in rated:
            row |= ratio_costs(scored, scored.is_target & (code == place))
    later = means[rated[0] :]
    return rows, {
        rate: doubling(later[:, :, -1], later[:, :, number])
        for number, rate in enumerate(fixed)
    }


def ratio_costs(scored: Scored, targets) -> dict[str, list]:
    """The costs of log-likelihood ratios: of some targets against all non-targets; and
    which of them rest on few errors."""
    some = targets | ~scored.is_target
    people = scored.speakers
    people = Speakers(people.names, people.enrol[some], people.test[some])
    ordered = SortedTrials(scored.scores[some], scored.is_target[some], PRIORS)
    found = np.array([
        [*map(curve.act_dcf, PRIORS), curve.cllr() - curve.min_cllr()]
        for curve in bootstrap.curves(ordered, people, scored.draws)
    ])  # fmt: skip
    few = few_errors(ordered.curve(), PRIORS)
    return {
        **dict(zip(LLR_COSTS, map(triple, found.T), strict=True)),
        "few_errors": [name for name in few if name in LLR_COSTS],
    }


def doubling(centers: np.ndarray, rates: np.ndarray) -> list[float | None] | None:
    """When the rate has doubled, and its 95 % interval, from `(B, D)`.

    None for a time beyond the last bin, and as a whole if the rate of the first bin is
    0 or none. Draws in which it is never count as later than any other.
    """
    if np.isnan(rates[0, 0]) or rates[0, 0] == 0:
        return None
    times = np.array(list(map(doubling_time, centers.T, rates.T)))
    drawn, tail = times[1:][~np.isnan(times[1:])], (1.0 - LEVEL) / 2.0
    found = [times[0]]
    if len(drawn):
        found += [np.quantile(drawn, tail, method="lower"),
                  np.quantile(drawn, 1.0 - tail, method="higher")]  # fmt: skip
    else:
        found += [np.inf, np.inf]
    return [float(time) if np.isfinite(time) else None for time in found]


def doubling_time(centers, rates) -> float:
    """When a rate, straight between centers, is first twice what it is at the first.

    centers, rates `(B,)`; a bin without a rate is left out. From 0: when it leaves 0.
    Infinite if that is never, NaN if there is no first rate.
    """
    if np.isnan(rates[0]):
        return np.nan
    there = ~np.isnan(rates)
    centers, rates = centers[there], rates[there]
    goal = 2.0 * rates[0]
    reached = (rates >= goal) & (rates > 0)
    if not reached.any():
        return np.inf
    after = int(np.argmax(reached))
    before = after - 1
    share = (goal - rates[before]) / (rates[after] - rates[before])
    return float(centers[before] + share * (centers[after] - centers[before]))


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
    lines = ["\t".join([*KEY, "dev_trials", *EDGES, *spread, "few_errors", "marks"])]
    for row in table:
        common = [results.cell(row, name) for name in (*KEY, "dev_trials")]
        of_list = [row[name][rate] for name in ("far", "doubling") for rate in ONE_IN]
        for one in row["bins"]:
            cells = [*common, *(number(one[name], name) for name in EDGES)]
            triples = [*(one[name] for name in RATES), *of_list]
            for name, values in zip(ALL, triples, strict=True):
                cells += [number(value, name) for value in values or [None] * 3]
            few = results.cell(one, "few_errors")
            lines.append("\t".join([*cells, few, results.cell(row, "marks")]))
    return lines


def _check(row: dict) -> None:
    """Raise KeyError, TypeError or ValueError for a row that no step wrote."""
    for name in (*KEY, "dev_trials", "marks", "trials_sha256", "embeddings_sha256"):
        results.cell({name: row[name]}, name)
    to_lines([row])


TABLE = Table(
    "lifetime.json", KEY, _check, "steps/measure_lifetime.py", "measure again"
)
