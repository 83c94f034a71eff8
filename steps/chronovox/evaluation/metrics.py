"""Equal error rate and minimum detection cost, all from one sort of the scores.

A higher score speaks for the same speaker. All rates are fractions, not percent.
"""

import numpy as np

from chronovox.cli import UserError

# The prior probabilities of a target at which the detection cost is reported.
P_TARGETS = (0.01, 0.05, 0.001)


class SortedTrials:
    """Scored trials in the order of their scores, ties kept together.

    scores, is_target: `(N,)`. Raises UserError for a score that is not finite
    and for trials of one kind only: no error rate exists then.
    """

    def __init__(self, scores, is_target):
        scores = np.asarray(scores, np.float64)
        is_target = np.asarray(is_target, bool)
        if not np.isfinite(scores).all():
            raise UserError("a score is NaN or infinite")
        if not is_target.any():
            raise UserError("there is no target trial")
        if is_target.all():
            raise UserError("there is no non-target trial")
        self.order = np.argsort(scores, kind="stable")
        self.scores = scores[self.order]
        self.is_target = is_target[self.order]
        self._ends = np.append(np.flatnonzero(np.diff(self.scores)), len(scores) - 1)

    def rejected(self, weights=None) -> tuple[np.ndarray, np.ndarray]:
        """Targets and non-targets rejected at each threshold, both `(K + 1,)` int64.

        The first threshold rejects nothing, the k-th everything up to the k-th
        distinct score. weights `(N,)` in sorted order: how often each trial counts.
        """
        if weights is None:
            weights = np.ones(len(self.scores), np.int64)
        targets = np.cumsum(np.where(self.is_target, weights, 0))[self._ends]
        both = np.cumsum(weights)[self._ends]
        return np.append(0, targets), np.append(0, both - targets)

    def eer(self, weights=None) -> float:
        """The equal error rate on the ROC, straight between neighbouring points."""
        return _equal_error(*self.rejected(weights))

    def eer_kaldi(self) -> float:
        """The equal error rate by the step rule of Kaldi's `compute-eer`.

        With T targets and N non-targets, each sorted from the lowest score: the
        first p < T - 1 such that target p scores above the non-target that
        floor(N p / T) others exceed, else T - 1; the rate is p / T.
        """
        targets = self.scores[self.is_target]
        nontargets = self.scores[~self.is_target]
        position = np.arange(len(targets) - 1)
        above = len(nontargets) * position // len(targets)
        met = nontargets[len(nontargets) - 1 - above] < targets[:-1]
        first = int(np.argmax(met)) if met.any() else len(targets) - 1
        return first / len(targets)

    def min_dcf(self, p_target: float, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
        """The lowest detection cost of any threshold.

        Divided by the cost of the better of accepting and rejecting all trials
        (NIST SRE), so at most 1.
        """
        targets, nontargets = self.rejected()
        p_miss = targets / targets[-1]
        p_fa = 1.0 - nontargets / nontargets[-1]
        cost = c_miss * p_target * p_miss + c_fa * (1.0 - p_target) * p_fa
        return float(cost.min()) / min(c_miss * p_target, c_fa * (1.0 - p_target))


def _equal_error(targets: np.ndarray, nontargets: np.ndarray) -> float:
    """Where miss and false-alarm rate meet; NaN if one kind has no weight.

    targets, nontargets: the rejected counts of `SortedTrials.rejected`. They are
    compared as whole numbers, so the crossing is exact.
    """
    num_targets, num_nontargets = int(targets[-1]), int(nontargets[-1])
    if num_targets == 0 or num_nontargets == 0:
        return float("nan")
    # (miss rate - false-alarm rate) x targets x non-targets: never falls.
    gap = targets * num_nontargets + nontargets * num_targets
    gap -= num_targets * num_nontargets
    after = int(np.searchsorted(gap, 0))
    before = after - 1
    share = -gap[before] / (gap[after] - gap[before])
    missed = targets[before] + share * (targets[after] - targets[before])
    return float(missed / num_targets)


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
    return _joined(target, nontarget).min_dcf(p_target, c_miss, c_fa)


def measure(trials: SortedTrials) -> dict[str, float]:
    """All rates of the table of results: `eer`, `eer_kaldi`, `mindcf_<P>`."""
    return {
        "eer": trials.eer(),
        "eer_kaldi": trials.eer_kaldi(),
        **{f"mindcf_{p}": trials.min_dcf(p) for p in P_TARGETS},
    }
