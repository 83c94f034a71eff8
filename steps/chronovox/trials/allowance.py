"""What the rules allow: which utterances may enrol, and which pairs are trials.

Selection draws from it and the check of a list asks it, so both read the rules alike.
"""

from functools import cached_property
from statistics import NormalDist

import numpy as np

from chronovox.trials.pool import Pool, members
from chronovox.trials.rules import Rules

# Ages are decimal fractions: 35.3 - 25.3 years are 10.
YEARS_EPSILON = 1e-6
_AGE_STEP = 1000.0  # more than any age: groups one after the other on a line of ages


class Allowance:
    """The rules of a list, applied to a pool.

    group `(U,)`: equal for speakers who share the traits of `rules.negatives.same`;
    utterances that take no part, as they lack an age, are one of their own. eligible:
    bool `(U,)`, who may enrol.
    """

    def __init__(self, pool: Pool, rules: Rules):
        self.pool, self.rules = pool, rules
        self.group = np.zeros(len(pool), int)
        if rules.negatives.same:
            self.group = pool.groups(rules.negatives.same)
        self._out = np.isnan(pool.age) if rules.need_ages else np.zeros(len(pool), bool)
        self.group[self._out] = self.group.max() + 1
        pairs = np.unique(np.stack([self.group, pool.speaker]), axis=1)
        self._group_size = np.bincount(pairs[0])
        self._of_speaker = np.bincount(pool.speaker)
        self._of_session = np.bincount(pool.session)
        self._span = _age_spans(pool) if rules.speakers.min_age_span else None
        self.eligible = self._group_size[self.group] >= rules.negatives.min_group_size
        self.eligible &= ~self._out
        if self._span is not None:
            self.eligible &= self._span_suffices()[pool.speaker]

    @cached_property
    def _lines_of_ages(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Numbers of groups and of speakers; their ages sorted, one after the other."""
        return [
            (keys, np.sort((keys * _AGE_STEP + self.pool.age)[~self._out]))
            for keys in (self.group, self.pool.speaker)
        ]

    def targets(self, rows, others) -> np.ndarray:
        """Whether each row may be a target trial with each of `others`.

        Both are row numbers that broadcast, of the same speakers.
        """
        pool, rule, negatives = self.pool, self.rules.positives, self.rules.negatives
        allowed = (rows != others) & ~self._out[rows] & ~self._out[others]
        if rule.session != "any":
            same = pool.session[rows] == pool.session[others]
            allowed = allowed & (same if rule.session == "same" else ~same)
        bounds = rule.min_gap, rule.max_gap, negatives.gap_tolerance
        if bounds == (None, None, None):
            return allowed
        gap = np.abs(pool.age[rows] - pool.age[others])
        doubt = 0.0
        if rule.confidence is not None:
            std = np.hypot(pool.age_std[rows], pool.age_std[others])
            doubt = NormalDist().inv_cdf(rule.confidence) * std
        if rule.min_gap is not None:
            allowed = allowed & (gap - doubt >= rule.min_gap - YEARS_EPSILON)
        if rule.max_gap is not None:
            allowed = allowed & (gap + doubt <= rule.max_gap + YEARS_EPSILON)
        if negatives.gap_tolerance is not None:
            where = np.nonzero(allowed)
            pairs = (
                np.broadcast_to(side, allowed.shape)[where] for side in (rows, others)
            )
            allowed[where] = self._have_match(*pairs)
        return allowed

    def _have_match(self, rows, targets) -> np.ndarray:
        """Whether there is any non-target of the age of each target, `(N,)`."""
        low, high = self.age_bounds(rows, targets)
        of_group, of_speaker = (
            np.searchsorted(order, keys[rows] * _AGE_STEP + high, "right")
            - np.searchsorted(order, keys[rows] * _AGE_STEP + low, "left")
            for keys, order in self._lines_of_ages
        )
        return of_group > of_speaker

    def nontargets(self, rows, others) -> np.ndarray:
        """Whether each row may be a non-target trial with each of `others`."""
        same_group = self.group[rows] == self.group[others]
        other_speaker = self.pool.speaker[rows] != self.pool.speaker[others]
        return same_group & other_speaker & ~self._out[rows]

    def num_nontargets(self, row: int) -> int:
        """How many non-target partners the rules allow a row."""
        return int(self.nontargets(row, np.arange(len(self.pool))).sum())

    def age_bounds(self, rows, targets) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest age, both included, of non-targets beside these targets.

        The age of the target, give or take the tolerance, and at no gap that no target
        may have, which would give the non-targets away.
        """
        rule, age = self.rules.positives, self.pool.age
        tolerance = self.rules.negatives.gap_tolerance + YEARS_EPSILON
        gap = np.abs(age[targets] - age[rows])
        side = np.where(age[targets] >= age[rows], 1, -1)
        nearest, farthest = gap - tolerance, gap + tolerance
        if rule.min_gap is not None:
            nearest = np.maximum(nearest, rule.min_gap - YEARS_EPSILON)
        if rule.max_gap is not None:
            most = rule.max_gap + YEARS_EPSILON
            nearest, farthest = np.maximum(nearest, -most), np.minimum(farthest, most)
        ends = age[rows] + side * nearest, age[rows] + side * farthest
        return np.minimum(*ends), np.maximum(*ends)

    def reason(self, row: int) -> str:
        """Why a row may not enrol, or else why it finds no target partner."""
        if self._out[row]:
            return "it has no age"
        size = int(self._group_size[self.group[row]])
        if size < self.rules.negatives.min_group_size:
            return f"its group has {size} speakers"
        if not self.eligible[row]:
            span, rule = self._span[self.pool.speaker[row]], self.rules.speakers
            asked = "more than" if rule.strict else "at least"
            return (
                f"the ages of its speaker span {span:.2f} years, not {asked} "
                f"{rule.min_age_span:g}"
            )
        of_speaker = self._of_speaker[self.pool.speaker[row]]
        of_session = self._of_session[self.pool.session[row]]
        session = self.rules.positives.session
        if of_speaker == 1:
            return "its speaker has no other utterance"
        if session == "different" and of_session == of_speaker:
            return "its speaker has one session (utt2session)"
        if session == "same" and of_session == 1:
            return "its session has no other utterance (utt2session)"
        return "no utterance of its speaker is so many years away"

    def _span_suffices(self) -> np.ndarray:
        rule = self.rules.speakers
        if rule.strict:
            return self._span > rule.min_age_span + YEARS_EPSILON
        return self._span >= rule.min_age_span - YEARS_EPSILON


def _age_spans(pool: Pool) -> np.ndarray:
    """Years between the lowest and the highest age of each speaker, `(S,)`."""
    spans = np.zeros(pool.speaker.max() + 1)
    for number, rows in enumerate(members(pool.speaker)):
        ages = pool.age[rows][~np.isnan(pool.age[rows])]
        spans[number] = np.ptp(ages) if len(ages) else 0.0
    return spans
