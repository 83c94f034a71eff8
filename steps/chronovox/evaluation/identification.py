"""Identification: which of those enrolled is it, if any?

In the words of ISO/IEC 19795-1: a test is a search among N enrolments, mated if its
speaker is one of them. FPIR(N, T) is the share of the searches that are not mated with
a score above T. FNIR(N, R, T) is the share of the mated ones whose enrolment is not
among the R best, or has no score above T. The detection and identification rate (DIR)
is 1 - FNIR(N, 1, T), at the lowest T of which the FPIR is no higher than is asked for.

Ties count against the system: an enrolment ranks behind all that score as high.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from chronovox.cli import UserError
from chronovox.evaluation import bootstrap
from chronovox.evaluation.tables import Table

RANKS = (1, 5)
ONE_IN = {"0.01": 100, "0.1": 10}  # FPIR -> of so many searches one may be wrong
RATES = (*(f"top_{rank}" for rank in RANKS), *(f"dir_{fpir}" for fpir in ONE_IN))
KEY = ("model", "data", "list", "backend", "seed")


@dataclass(frozen=True)
class Searches:
    """rank `(M,)`: of each test's own enrolment, from 1 on; 0 where it has none. best
    `(M,)`: the highest score of each test."""

    rank: np.ndarray
    best: np.ndarray


def search(blocks: Iterable[tuple[slice, np.ndarray]], own) -> Searches:
    """Search every test among the enrolments.

    blocks: rows of tests and their scores `(B, N)`; own `(M,)`: each test's enrolment,
    -1 for none. Raises UserError for a score that is not finite.
    """
    rank, best = np.zeros(len(own), np.int64), np.empty(len(own))
    for rows, scores in blocks:
        if not np.isfinite(scores).all():
            raise UserError("a score is NaN or infinite")
        best[rows] = scores.max(axis=1)
        mate = own[rows]
        score = np.take_along_axis(scores, np.maximum(mate, 0)[:, None], axis=1)
        rank[rows] = np.where(mate < 0, 0, (scores >= score).sum(axis=1))
    return Searches(rank, best)


def rates(searches: Searches, weights) -> dict[str, float]:
    """RATES, as fractions; weights `(M,)`: how often each test counts, whole numbers.

    NaN for a rate of no searches; so all `dir_` without searches that are not mated.
    """
    rank, best = searches.rank, searches.best
    mated = rank > 0
    total = int(weights[mated].sum())

    def share(found) -> float:
        return int(weights[found].sum()) / total if total else float("nan")

    found = {f"top_{most}": share(mated & (rank <= most)) for most in RANKS}
    others = np.flatnonzero(~mated)
    others = others[np.argsort(-best[others], kind="stable")]
    passed = np.cumsum(weights[others])  # from the highest score on
    for fpir, one_in in ONE_IN.items():
        found[f"dir_{fpir}"] = float("nan")
        if len(others) and passed[-1]:
            first = np.searchsorted(passed, passed[-1] // one_in, "right")
            found[f"dir_{fpir}"] = share((rank == 1) & (best > best[others[first]]))
    return found


def measure(searches: Searches, speakers, num_draws: int) -> dict:
    """RATES, None for none, and intervals `RATE_lo`, `RATE_hi` of 95 %.

    speakers `(M,)`: those of the tests, who are drawn with replacement; the enrolments
    stay. There is no interval for fewer than five speakers with mated
    searches, or, of DIR, with others.
    """
    names, speakers = np.unique(speakers, return_inverse=True)
    mated = searches.rank > 0
    row: dict = rates(searches, np.ones(len(speakers), np.int64))
    draws = bootstrap.draw_speakers(len(names), num_draws)
    drawn = [rates(searches, counts[speakers]) for counts in draws]
    for name in RATES:
        kinds = [mated, ~mated] if name.startswith("dir") else [mated]
        fewest = min(len(np.unique(speakers[kind])) for kind in kinds)
        bounds = None
        if fewest >= bootstrap.MIN_SPEAKERS:
            bounds = bootstrap.interval(np.array([rate[name] for rate in drawn]))
        row[f"{name}_lo"], row[f"{name}_hi"] = bounds or (None, None)
        row[name] = None if np.isnan(row[name]) else row[name]
    return row


def _check(row: dict) -> None:
    """Raise KeyError, TypeError or ValueError for a row that no step wrote."""
    kinds: dict = dict.fromkeys(
        ("model", "data", "list", "backend", "list_sha256"), str
    )
    kinds |= dict.fromkeys(("n_enrolled", "n_mated", "n_impostor"), int)
    kinds |= {"seed": int | None, "marks": list}
    for name in RATES:
        kinds |= dict.fromkeys((name, f"{name}_lo", f"{name}_hi"), float | None)
    for name, kind in kinds.items():
        if not isinstance(row[name], kind):
            raise TypeError(f"{name}: {row[name]!r}")
    for name in RATES:
        if (row[f"{name}_lo"] is None) != (row[f"{name}_hi"] is None):
            raise ValueError(f"{name}: one bound without the other")


TABLE = Table(
    "identification.json", KEY, _check, "steps/score_identification.py", "score again"
)


def lines_of(rows: list[dict]) -> list[str]:
    """Rows of one list as a table for people: rates in percent, with intervals."""
    names = ("model", "backend", "seed", *RATES)
    table = [names]
    for row in rows:
        star = " *" if row["marks"] else ""
        seed = "-" if row["seed"] is None else str(row["seed"])
        table.append(
            (row["model"] + star, row["backend"], seed, *(_cell(row, n) for n in RATES))
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        " ".join(word.ljust(width) for word, width in zip(line, widths, strict=True))
        .rstrip()
        for line in table
    ]  # fmt: skip


def _cell(row: dict, name: str) -> str:
    """A rate and its interval, such as `95.20 [93.11, 96.84]`; `-` for none."""
    value, low, high = (row[name + end] for end in ("", "_lo", "_hi"))
    if value is None:
        return "-"
    bounds = "" if low is None else f" [{100 * low:.2f}, {100 * high:.2f}]"
    return f"{100 * value:.2f}{bounds}"
