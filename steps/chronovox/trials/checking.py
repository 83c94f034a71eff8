"""Whether every trial of a list obeys its rules, trial by trial and as a whole."""

from collections.abc import Iterator

import numpy as np

from chronovox.trials.allowance import YEARS_EPSILON, Allowance
from chronovox.trials.lists import LABELS, Trials
from chronovox.trials.rules import in_proportion


class Check:
    """A list against its rules.

    enrol, test: rows of the pool, `(N,)`. Violations are `(line, message)`, lines from
    0 on; None for what should be in the list and is not.
    """

    def __init__(self, trials: Trials, allowance: Allowance, base: Allowance | None):
        self._trials, self._allowance = trials, allowance
        self._main = base or allowance
        index = {utt: row for row, utt in enumerate(allowance.pool.utts)}
        self.enrol, self.test = trials.rows(index, "utt2spk")
        self._numbers = {
            label: np.bincount(
                self.enrol[trials.is_target == kind], minlength=len(index)
            )
            for label, kind in LABELS.items()
        }

    def violations(
        self,
        shortages: dict[tuple[str, str], int] | None,
        other: Trials | None = None,
    ) -> Iterator:
        """Every violation.

        shortages: (utterance, label) -> trials it has instead; None where nobody keeps
        account of them, so that nothing can be said of utterances that do not enrol.
        other: the list whose enrolments and non-targets this one shares, if any.
        """
        yield from self._pairs_of_a_kind()
        yield from self._repeated()
        yield from self._unbalanced(shortages or {})
        if self._main.rules.negatives.gap_tolerance is not None:
            yield from self._unmatched()
        if other is not None:
            yield from self._unlike(other)
        if shortages is not None:
            yield from self._unaccounted(shortages)

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

    def _unbalanced(self, shortages):
        """Enrolments with other than the number of trials that the rules ask for."""
        rules, utts = self._main.rules, self._main.pool.utts
        enrolments, lines = np.unique(self.enrol, return_index=True)
        asked = {
            "target": np.full(len(utts), rules.positives.per_enrolment),
            "nontarget": in_proportion(self._numbers["target"], rules),
        }
        for label, found in self._numbers.items():
            wrong = found[enrolments] != asked[label][enrolments]
            for row, line in zip(enrolments[wrong], lines[wrong], strict=True):
                if found[row] != shortages.get((utts[row], label)):
                    yield (
                        line,
                        f"{utts[row]} has {found[row]} {label} trials, not "
                        f"{asked[label][row]}, and no shortage is listed",
                    )

    def _unmatched(self):
        """Enrolments whose non-targets do not pair up in age with its targets."""
        rules, is_target = self._main.rules, self._trials.is_target
        gap, age = self.gap(), self._allowance.pool.age[self.test]
        low, high = rules.positives.min_gap, rules.positives.max_gap
        inside = gap >= (0 if low is None else low) - 2 * YEARS_EPSILON
        inside &= gap <= (np.inf if high is None else high) + 2 * YEARS_EPSILON
        for line in np.flatnonzero(~inside & ~is_target):
            yield line, f"no target may be {gap[line]:.2f} years apart"
        order = np.lexsort((age, ~is_target, self.enrol))
        starts = np.flatnonzero(np.diff(self.enrol[order], prepend=-1))
        for lines in np.split(order, starts[1:]):
            label = is_target[lines]
            targets, others = age[lines[label]], age[lines[~label]]
            if len(targets) != len(others):
                continue
            far = np.abs(targets - others).max()
            if not far <= rules.negatives.gap_tolerance + 2 * YEARS_EPSILON:
                yield (
                    lines.min(),
                    f"ages of non-targets are up to {far:.2f} years off the targets'",
                )

    def _unlike(self, other: Trials):
        """Enrolments and non-targets that the list that this is like has not."""
        trials, enrols, nontargets = self._trials, set(other.enrol), other.nontargets()
        for line, pair in enumerate(trials.blocks()):
            if pair[0] not in enrols:
                yield line, f"{pair[0]} does not enrol in {other.path}"
            elif not trials.is_target[line] and pair not in nontargets:
                yield line, f"no non-target of {other.path}"

    def _unaccounted(self, shortages):
        """Utterances that are missing unsaid, and shortages that are not so."""
        index = {utt: row for row, utt in enumerate(self._main.pool.utts)}
        for (utt, label), number in shortages.items():
            found = self._numbers[label][index[utt]] if utt in index else "unknown"
            if found != number:
                yield None, f"{utt}: a shortage of {number} {label} trials, not {found}"
        enrols = sum(self._numbers.values()) > 0
        for utt, row in index.items():
            if not enrols[row] and (utt, "target") not in shortages:
                yield None, f"{utt} enrols in no trial, and no shortage is listed"
