"""Whether every trial of a list obeys its rules, trial by trial and as a whole."""

from collections.abc import Iterator

import numpy as np

from chronovox.trials.allowance import YEARS_EPSILON, Allowance
from chronovox.trials.lists import Trials
from chronovox.trials.rules import in_proportion


class Check:
    """A list against its rules.

    enrol, test: rows of the pool, `(N,)`. Violations are `(line, message)`.
    """

    def __init__(self, trials: Trials, allowance: Allowance, base: Allowance | None):
        self._trials, self._allowance = trials, allowance
        self._main = base or allowance
        index = {utt: row for row, utt in enumerate(allowance.pool.utts)}
        self.enrol, self.test = trials.rows(index, "utt2spk")

    def violations(self, shortages: dict[tuple[str, str], int]) -> Iterator:
        """Every violation; shortages: (utterance, label) -> trials it has instead."""
        yield from self._pairs_of_a_kind()
        yield from self._repeated()
        yield from self._numbers(shortages)
        if self._main.rules.negatives.gap_tolerance is not None:
            yield from self._gaps()

    def gap(self) -> np.ndarray:
        """Years between the two sides, NaN where an age is not known, `(N,)`."""
        age = self._allowance.pool.age
        return np.abs(age[self.enrol] - age[self.test])

    def _pairs_of_a_kind(self):
        pool, is_target = self._allowance.pool, self._trials.is_target
        enrol, test = self.enrol, self.test
        same = pool.speaker[enrol] == pool.speaker[test]
        for line in np.flatnonzero(same != is_target):
            label = "target" if is_target[line] else "nontarget"
            who = "one speaker" if same[line] else "two speakers"
            yield line, f"labelled {label}, but the utterances are of {who}"
        for line in np.flatnonzero(enrol == test):
            yield line, "an utterance compared with itself"
        for line in np.flatnonzero(~self._main.eligible[enrol]):
            yield line, f"may not enrol: {self._main.reason(enrol[line])}"
        targets = np.flatnonzero(is_target & same & (enrol != test))
        wrong = ~self._allowance.targets(enrol[targets], test[targets])
        for line in targets[wrong]:
            yield line, f"no target by the rules: {self._describe(line)}"
        others = np.flatnonzero(~is_target & ~same)
        wrong = ~self._main.nontargets(enrol[others], test[others])
        traits = " and ".join(self._main.rules.negatives.same)
        for line in others[wrong]:
            yield line, f"the speakers do not share {traits}"

    def _describe(self, line: int) -> str:
        pool, pair = self._allowance.pool, [self.enrol[line], self.test[line]]
        same = pool.session[pair[0]] == pool.session[pair[1]]
        session = "one session" if same else "two sessions"
        ages = " and ".join(f"{age:.2f}" for age in pool.age[pair])
        return f"{session}, ages {ages}"

    def _repeated(self):
        low = np.minimum(self.enrol, self.test)
        pair = low * len(self._allowance.pool) + np.maximum(self.enrol, self.test)
        _, first, which = np.unique(pair, return_index=True, return_inverse=True)
        for line in np.flatnonzero(first[which] != np.arange(len(pair))):
            yield line, f"the pair stands in line {first[which[line]] + 1} already"

    def _numbers(self, shortages):
        """Enrolments with other than the number of trials that the rules ask for."""
        rules, utts = self._main.rules, self._main.pool.utts
        is_target, size = self._trials.is_target, len(utts)
        targets = np.bincount(self.enrol[is_target], minlength=size)
        others = np.bincount(self.enrol[~is_target], minlength=size)
        asked = np.full(size, rules.positives.per_enrolment)
        enrolments, lines = np.unique(self.enrol, return_index=True)
        for label, found, wanted in (
            ("target", targets, asked),
            ("nontarget", others, in_proportion(targets, rules)),
        ):
            wrong = found[enrolments] != wanted[enrolments]
            for row, line in zip(enrolments[wrong], lines[wrong], strict=True):
                if found[row] != shortages.get((utts[row], label)):
                    asked = f"{wanted[row]}, and no shortage is listed"
                    yield (
                        line,
                        f"{utts[row]} has {found[row]} {label} trials, not {asked}",
                    )

    def _gaps(self):
        """Enrolments whose non-targets do not pair up with the gaps of its targets."""
        tolerance = self._main.rules.negatives.gap_tolerance
        gap, is_target = self.gap(), self._trials.is_target
        order = np.lexsort((gap, ~is_target, self.enrol))
        starts = np.flatnonzero(np.diff(self.enrol[order], prepend=-1))
        for lines in np.split(order, starts[1:]):
            targets, others = (
                gap[lines[is_target[lines]]],
                gap[lines[~is_target[lines]]],
            )
            if len(targets) != len(others):
                continue
            far = np.abs(targets - others).max()
            if not far <= tolerance + 2 * YEARS_EPSILON:
                yield lines.min(), f"gaps of non-targets are up to {far:.2f} years off"
