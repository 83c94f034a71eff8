"""Curves over thresholds and priors: what a picture shows of scored trials."""

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from chronovox.evaluation.metrics import MIN_ERRORS, SortedTrials


def error_rates(trials: SortedTrials) -> tuple[np.ndarray, np.ndarray]:
    """Misses and false alarms as fractions at rising thresholds, both `(R + 1,)`."""
    curve = trials.curve()
    p_miss = curve.targets / curve.targets[-1]
    return p_miss, 1.0 - curve.nontargets / curve.nontargets[-1]


def det_points(trials: SortedTrials, low: float) -> tuple[np.ndarray, np.ndarray]:
    """False alarms and misses on probit axes, both `(P,)`, from `low` on.

    Rates beyond `low` and 1 - low lie on the edge. Points that would fall on one
    another in print are left out.
    """
    p_miss, p_fa = error_rates(trials)
    points = norm.ppf(np.clip(np.stack([p_fa, p_miss]), low, 1.0 - low))
    cells = np.round(points * 80).astype(np.int64)
    new = np.append(True, (np.diff(cells, axis=1) != 0).any(axis=0))
    new[:-1] |= new[1:]  # and the last point of a cell, so that a corner stays one
    return points[0, new], points[1, new]


def bayes_errors(
    trials: SortedTrials, log_odds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normalised Bayes error rates over prior log-odds `(P,)`, all `(P,)`.

    The scores are natural log-likelihood ratios, and the threshold is the negative
    log-odds. Returns the actual and the minimum cost, each divided by that of deciding
    without the scores, and whether the actual one rests on fewer than 30 misses or
    false alarms (Bruemmer and de Villiers, 2013, "The BOSARIS Toolkit").
    """
    curve, prior = trials.curve(), expit(np.asarray(log_odds, np.float64))
    targets = trials.scores[trials.is_target]
    nontargets = trials.scores[~trials.is_target]
    missed = np.searchsorted(targets, -log_odds)
    accepted = len(nontargets) - np.searchsorted(nontargets, -log_odds)
    actual = prior * missed / len(targets)
    actual += (1.0 - prior) * accepted / len(nontargets)
    minimum = np.array([curve.min_dcf(p) for p in prior])
    few = np.minimum(missed, accepted) < MIN_ERRORS
    return actual / np.minimum(prior, 1.0 - prior), minimum, few
