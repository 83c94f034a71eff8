"""Differences of two systems on one list of trials, and the table of them."""

import numpy as np

from chronovox.evaluation import bootstrap
from chronovox.evaluation.tables import Table

KEY = ("data", "trials", "metric", "a", "b")


def compare(value_a: float, value_b: float, drawn_a, drawn_b, few: bool) -> dict:
    """The difference of a rate, b minus a, its 95 % interval, and p.

    drawn_a, drawn_b: the rates in the same draws of speakers, `(num_draws,)`. p is
    twice the smaller share of draws on one side of 0. few: too few speakers for both.
    """
    difference = drawn_b - drawn_a
    known = difference[np.isfinite(difference)]
    bounds = None if few else bootstrap.interval(known)
    low, high = bounds or (None, None)
    p = None
    if bounds:
        smaller = min((known <= 0).sum(), (known >= 0).sum()) / len(known)
        p = float(min(1.0, max(2 * smaller, 2 / len(known))))
    return {
        "value_a": value_a, "value_b": value_b, "difference": value_b - value_a,
        "lo": low, "hi": high, "p": p,
    }  # fmt: skip


def _check(row: dict) -> None:
    """Raise KeyError or TypeError for a row that no step wrote."""
    kinds: dict = dict.fromkeys((*KEY, "trials_sha256", "command", "commit"), str)
    kinds |= dict.fromkeys(("value_a", "value_b", "difference"), float)
    kinds |= dict.fromkeys(("lo", "hi", "p"), float | None)
    kinds |= {"marks": list, "few_errors": bool}
    for name, kind in kinds.items():
        if not isinstance(row[name], kind):
            raise TypeError(f"{name}: {row[name]!r}")


TABLE = Table(
    "comparisons.json", KEY, _check, "steps/compare_systems.py", "compare again"
)
