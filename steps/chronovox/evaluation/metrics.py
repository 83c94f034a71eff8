"""Error rates, detection costs and Cllr, all from one sort of the scores.

A higher score speaks for the same speaker. All rates are fractions, not percent.

Detection cost: NIST speaker recognition evaluations; costs of errors other than 1 are
a prior of their own, `effective_prior`. Cllr: Brümmer and du Preez,
"Application-independent evaluation of speaker detection" (Computer Speech and Language,
2006). Pool adjacent violators gives the lowest cost at every prior at once: Brümmer and
de Villiers, "The BOSARIS toolkit" (2013).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import isotonic_regression

from chronovox.cli import UserError

# The prior probabilities of a target at which the detection cost is reported.
P_TARGETS = (0.01, 0.05, 0.001, 0.5)
# A rate that rests on fewer errors is uncertain by more than 30 % (Doddington et al.,
# Speech Communication, 2000).
MIN_ERRORS = 30
_BLOCK = 2**20


def effective_prior(p_target: float, c_miss: float, c_fa: float) -> float:
    """The prior at which costs of 1 give the same normalised cost."""
    odds = p_target * c_miss / ((1.0 - p_target) * c_fa)
    return odds / (1.0 + odds)


def bayes_threshold(p_target: float) -> float:
    """The log-likelihood ratio from which to accept, at costs of 1."""
    return float(np.log((1.0 - p_target) / p_target))


def trial_losses(scores, is_target) -> np.ndarray:
    """What each score, as a log-likelihood ratio, costs in bits, `(N,)`."""
    return np.logaddexp(0.0, np.where(is_target, -1, 1) * scores) / np.log(2.0)


@dataclass(frozen=True)
class Curve:
    """What is rejected at rising thresholds, the first of which rejects nothing.

    targets, nontargets: int64 `(R + 1,)`. Between two thresholds lie trials of one
    kind, or of one score, so that no point of the ROC is missing but those on straight
    lines. decisions: the place of the Bayes threshold of each prior asked for.
    losses: the sums of `trial_losses` of targets and of non-targets.
    """

    targets: np.ndarray
    nontargets: np.ndarray
    decisions: dict[float, int]
    losses: tuple[float, float] | None

    @property
    def has_both(self) -> bool:
        """Whether trials of both kinds have weight: without, every rate is NaN."""
        return bool(self.targets[-1] and self.nontargets[-1])

    def eer(self) -> float:
        """The equal error rate, straight between neighbouring points of the ROC.

        Counts are compared as whole numbers, so the crossing is exact.
        """
        if not self.has_both:
            return float("nan")
        num_targets, num_nontargets = int(self.targets[-1]), int(self.nontargets[-1])
        # (miss rate - false-alarm rate) x targets x non-targets: never falls.
        gap = self.targets * num_nontargets + self.nontargets * num_targets
        gap -= num_targets * num_nontargets
        after = int(np.searchsorted(gap, 0))
        before = after - 1
        share = -gap[before] / (gap[after] - gap[before])
        missed = share * (self.targets[after] - self.targets[before])
        return float((self.targets[before] + missed) / num_targets)

    def _cost(self, places, p_target: float) -> np.ndarray:
        """Normalised cost at some thresholds: 1 is that of the better constant."""
        p_miss = self.targets[places] / self.targets[-1]
        p_fa = 1.0 - self.nontargets[places] / self.nontargets[-1]
        cost = p_target * p_miss + (1.0 - p_target) * p_fa
        return cost / min(p_target, 1.0 - p_target)

    @cached_property
    def _hull(self) -> np.ndarray:
        """The thresholds between the blocks of pool adjacent violators.

        They are the corners of the ROC's convex hull, one of which has the lowest cost
        at any prior.
        """
        targets = np.diff(self.targets)
        both = targets + np.diff(self.nontargets)
        some = np.flatnonzero(both)
        pooled = isotonic_regression(targets[some] / both[some], weights=both[some])
        return np.append(some[pooled.blocks[:-1]], len(both))

    def _best(self, p_target: float) -> tuple[int, float]:
        costs = self._cost(self._hull, p_target)
        place = int(np.argmin(costs))
        return int(self._hull[place]), float(costs[place])

    def min_dcf(self, p_target: float) -> float:
        """The lowest detection cost of any threshold, at most 1."""
        return self._best(p_target)[1] if self.has_both else float("nan")

    def act_dcf(self, p_target: float) -> float:
        """The detection cost of the Bayes threshold of one of the priors asked for."""
        if not self.has_both:
            return float("nan")
        return float(self._cost(self.decisions[p_target], p_target))

    def cllr(self) -> float:
        """The cost of the scores as log-likelihood ratios, in bits."""
        if not self.has_both:
            return float("nan")
        of_targets, of_nontargets = self.losses
        losses = of_targets / self.targets[-1] + of_nontargets / self.nontargets[-1]
        return float(losses) / 2

    def min_cllr(self) -> float:
        """The Cllr of the best rising function of the scores, in bits."""
        if not self.has_both:
            return float("nan")
        targets = np.diff(self.targets[self._hull])
        nontargets = np.diff(self.nontargets[self._hull])
        ratio = self.targets[-1] / self.nontargets[-1]
        total = 0.0
        for own, other, scale in (
            (targets, nontargets, ratio), (nontargets, targets, 1 / ratio)
        ):  # fmt: skip
            some = own > 0
            lost = own[some] * np.log2(1.0 + scale * other[some] / own[some])
            total += lost.sum() / own.sum()
        return float(total) / 2

    def few_errors(self, p_target: float, actual: bool) -> bool:
        """Whether the (actual or lowest) cost rests on fewer than MIN_ERRORS misses or
        false alarms."""
        place = self.decisions[p_target] if actual else self._best(p_target)[0]
        false_alarms = self.nontargets[-1] - self.nontargets[place]
        return bool(min(self.targets[place], false_alarms) < MIN_ERRORS)


class SortedTrials:
    """Scored trials in the order of their scores.

    scores, is_target: `(N,)`. p_targets: the priors of whose Bayes thresholds the cost
    will be asked, and whether Cllr, as of log-likelihood ratios. Raises UserError for a
    score that is not finite and for trials of one kind only: no error rate exists then.
    Sixty million trials take 2 GB.
    """

    def __init__(self, scores, is_target, p_targets=()):
        scores = np.asarray(scores, np.float64)
        is_target = np.asarray(is_target, bool)
        if not np.isfinite(scores).all():
            raise UserError("a score is NaN or infinite")
        if not is_target.any():
            raise UserError("there is no target trial")
        if is_target.all():
            raise UserError("there is no non-target trial")
        self.order = np.argsort(scores, kind="stable").astype(np.int32)
        self.scores = scores[self.order]
        self.is_target = is_target[self.order]
        thresholds = [bayes_threshold(p) for p in p_targets]
        places = np.searchsorted(self.scores, thresholds)
        self._starts = self._run_starts(places)
        self._decisions = dict(
            zip(p_targets, np.searchsorted(self._starts, places).tolist(), strict=True)
        )
        self._losses = None
        if p_targets:
            self._losses = np.empty(len(scores))
            for block, _ in self._blocks():
                self._losses[block] = trial_losses(
                    self.scores[block], self.is_target[block]
                )

    def _run_starts(self, places) -> np.ndarray:
        """Where runs of trials of one kind, or of one score, begin, and at `places`."""
        first = np.append(True, self.scores[1:] != self.scores[:-1])
        starts = np.flatnonzero(first)
        has_target = np.logical_or.reduceat(self.is_target, starts)
        pure = has_target == np.logical_and.reduceat(self.is_target, starts)
        goes_on = pure[1:] & pure[:-1] & (has_target[1:] == has_target[:-1])
        starts = starts[np.append(True, ~goes_on)]
        return np.union1d(starts, places[places < len(first)])

    def _blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Slices of the trials, at most so long if runs are, and their runs."""
        first, ends = 0, np.append(self._starts[1:], len(self.scores))
        while first < len(self._starts):
            begin = self._starts[first]
            last = max(first + 1, int(np.searchsorted(ends, begin + _BLOCK, "right")))
            yield slice(begin, ends[last - 1]), self._starts[first:last] - begin
            first = last

    def curve(self, weigh: Callable[[slice], np.ndarray] | None = None) -> Curve:
        """What is rejected at each threshold.

        weigh: how often trials of a slice, in sorted order, count; once, without it.
        """
        targets, both, losses = [[0]], [[0]], np.zeros(2)
        for block, starts in self._blocks():
            size = block.stop - block.start
            weights = weigh(block) if weigh else np.ones(size, np.int64)
            of_targets = np.where(self.is_target[block], weights, 0)
            both.append(np.add.reduceat(weights, starts, dtype=np.int64))
            targets.append(np.add.reduceat(of_targets, starts, dtype=np.int64))
            if self._losses is not None:
                lost = self._losses[block]
                losses += lost @ of_targets, lost @ (weights - of_targets)
        targets, both = (np.cumsum(np.concatenate(part)) for part in (targets, both))
        found = None if self._losses is None else tuple(losses.tolist())
        return Curve(targets, both - targets, self._decisions, found)

    def eer(self) -> float:
        """The equal error rate."""
        return self.curve().eer()

    def eer_kaldi(self) -> float:
        """The equal error rate by the step rule of Kaldi's `compute-eer`.

        With T targets and N non-targets, each sorted from the lowest score: the
        first p < T - 1 such that target p scores above the non-target that
        floor(N p / T) others exceed, else T - 1; the rate is p / T.
        """
        targets = self.scores[self.is_target]
        nontargets = self.scores[~self.is_target]
        num_targets, last = len(targets), len(nontargets) - 1

        def met(missed: int) -> bool:  # once it is, it stays so
            above = len(nontargets) * missed // num_targets
            return bool(nontargets[last - above] < targets[missed])

        first = bisect_left(range(num_targets - 1), True, key=met)
        return first / len(targets)


def rates(curve: Curve, p_targets=P_TARGETS) -> dict[str, float]:
    """What a bootstrap can give an interval to: `eer`, `mindcf_<P>`, `min_cllr`; of
    log-likelihood ratios also `actdcf_<P>`, `cllr`."""
    found = {"eer": curve.eer()}
    found |= {f"mindcf_{p:g}": curve.min_dcf(p) for p in p_targets}
    found["min_cllr"] = curve.min_cllr()
    if curve.losses is not None:
        found |= {f"actdcf_{p:g}": curve.act_dcf(p) for p in p_targets}
        found["cllr"] = curve.cllr()
    return found


def few_errors(curve: Curve, p_targets=P_TARGETS) -> list[str]:
    """The costs of `rates` that rest on fewer than MIN_ERRORS errors of a kind."""
    kinds = ("mindcf",) if curve.losses is None else ("mindcf", "actdcf")
    return [
        f"{kind}_{p:g}"
        for kind in kinds
        for p in p_targets
        if curve.few_errors(p, kind == "actdcf")
    ]


def _joined(target, nontarget) -> SortedTrials:
    is_target = np.arange(len(target) + len(nontarget)) < len(target)
    return SortedTrials(np.concatenate([target, nontarget]), is_target)


def eer(target, nontarget) -> float:
    """Equal error rate of target and non-target scores, ROC-interpolated."""
    return _joined(target, nontarget).eer()


def eer_kaldi(target, nontarget) -> float:
    """Equal error rate by Kaldi's step rule."""
    return _joined(target, nontarget).eer_kaldi()


def min_dcf(target, nontarget, p_target, c_miss=1.0, c_fa=1.0) -> float:
    """Normalised minimum detection cost."""
    prior = effective_prior(p_target, c_miss, c_fa)
    return _joined(target, nontarget).curve().min_dcf(prior)


def cllr(target, nontarget) -> float:
    """The cost of log-likelihood ratios in bits; 1 is that of knowing nothing."""
    kinds = (target, True), (nontarget, False)
    losses = [trial_losses(np.asarray(scores), kind).mean() for scores, kind in kinds]
    return float(np.mean(losses))
