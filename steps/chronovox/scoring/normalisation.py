"""Score normalisation by a cohort: Z-, T-, S- and adaptive S-norm.

Auckenthaler, Carey and Lloyd-Thomas (Digital Signal Processing, 2000); Matějka et al.,
"Analysis of score normalization in multilingual speaker recognition" (Interspeech
2017). The standard deviation is that of the N cohort scores themselves, divided by N.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy import sparse

from chronovox.cli import UserError
from chronovox.scoring.pairs import Sides, score_blocks

Kind = Literal["z", "t", "s", "as1", "as2"]
_GATHERED = 2**22
_TOO_FEW = "fewer than two members of the cohort are left for an utterance"
_ALL_THE_SAME = "the scores of an utterance with the cohort are all the same"


@dataclass(frozen=True)
class NormConfig:
    """kind: which scores of the cohort normalise a trial.

    z: all those with the enrolment; t: with the test; s: the mean of both. as1: of
    each side, the `top` highest; as2: of each side, those of the `top` cohort members
    that score highest with the other. cohort: a vector for each training speaker (the
    mean), or utterance, or for each speaker and age group, of no age group more than of
    the median one. PLDA takes each for one recording.
    """

    kind: Kind = "as1"
    top: int = 300
    cohort: Literal["speakers", "utterances", "ages"] = "speakers"

    def __post_init__(self):
        if self.top < 2:
            raise ValueError("top is from 2 on")

    @property
    def adaptive(self) -> bool:
        return self.kind in ("as1", "as2")


class CohortSide(NamedTuple):
    """One side of all trials, as left, against the cohort, as right; who they are.

    own `(N,)`, cohort `(C,)`: numbers of speakers; equal ones are left out.
    """

    sides: Sides
    own: np.ndarray
    cohort: np.ndarray

    def part(self, rows: slice) -> "CohortSide":
        """Some of the rows."""
        left_bias, right_bias = self.sides.biases()
        left = self.sides.left[rows]
        sides = Sides(left, self.sides.right, left_bias[rows], right_bias)
        return CohortSide(sides, self.own[rows], self.cohort)

    def blocks(self):
        """Blocks of rows and their scores `(B, C)`, -inf where the speaker is one."""
        shared = np.isin(self.own, self.cohort)
        for rows, scores in score_blocks(self.sides):
            for row in np.flatnonzero(shared[rows]):
                scores[row, self.cohort == self.own[rows][row]] = -np.inf
            yield rows, scores


def normalised(
    scores, enrol, test, enrolments: CohortSide, tests: CohortSide, config: NormConfig
) -> np.ndarray:
    """Scores `(T,)` of rows `enrol[n]` and `test[n]` after normalisation, float64.

    Raises UserError for a cohort that leaves fewer than two scores to a side, or whose
    scores do not vary.
    """
    scores = np.asarray(scores, np.float64)
    if config.kind == "as2":
        sides = [
            (_of_others(enrolments, tests, enrol, test, config.top)),
            (_of_others(tests, enrolments, test, enrol, config.top)),
        ]
    else:
        both = _of_sides(enrolments, tests, config)
        sides = [
            tuple(values[rows] for values in moments)
            for moments, rows in zip(both, (enrol, test), strict=True)
            if moments
        ]
    return np.mean([(scores - mean) / std for mean, std in sides], axis=0)


def normalised_blocks(
    sides: Sides, enrolments: CohortSide, tests: CohortSide, config: NormConfig
) -> Iterator[tuple[slice, np.ndarray]]:
    """All tests, as left of `sides`, against all enrolments, after normalisation.

    Yields blocks of rows and their scores `(B, N)`. Raises UserError as `normalised`.
    """
    if config.kind == "as2":
        yield from _adaptive_blocks(sides, enrolments, tests, config.top)
        return
    of_enrol, of_test = _of_sides(enrolments, tests, config)
    for rows, scores in score_blocks(sides):
        parts = []
        if of_enrol:
            parts.append((scores - of_enrol[0]) / of_enrol[1])
        if of_test:
            mean, std = (values[rows, None] for values in of_test)
            parts.append((scores - mean) / std)
        yield rows, sum(parts) / len(parts)


def _of_sides(enrolments: CohortSide, tests: CohortSide, config: NormConfig):
    """`of_own` of each side, or None where it has no part in this kind."""
    wanted = {"z": (True, False), "t": (False, True)}.get(config.kind, (True, True))
    top = config.top if config.adaptive else None
    return [
        of_own(side, top) if want else None
        for side, want in zip((enrolments, tests), wanted, strict=True)
    ]


def of_own(side: CohortSide, top: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, `(N,)`, of each row's `top` (or all) scores."""
    mean, std = np.empty((2, len(side.own)))
    for rows, scores in side.blocks():
        if top is not None and top < scores.shape[1]:
            scores.partition(scores.shape[1] - top, axis=1)
            scores = scores[:, -top:]
        mean[rows], std[rows] = _moments(scores)
    return mean, std


def _of_others(
    side: CohortSide, other: CohortSide, rows, other_rows, top: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, `(T,)`, of scores of `rows` with those cohort
    members that score highest with `other_rows`."""
    best = _best(other, top)
    top = best.shape[1]
    order = np.argsort(rows, kind="stable")
    bounds = np.searchsorted(rows[order], np.arange(len(side.own) + 1))
    mean, std = np.empty((2, len(rows)))
    for block, scores in side.blocks():
        pairs = order[bounds[block.start] : bounds[min(block.stop, len(side.own))]]
        step = max(1, _GATHERED // top)
        for first in range(0, len(pairs), step):
            some = pairs[first : first + step]
            picked = scores[rows[some, None] - block.start, best[other_rows[some]]]
            mean[some], std[some] = _moments(picked)
    return mean, std


def _best(side: CohortSide, top: int) -> np.ndarray:
    """The cohort members that score highest with each row, `(N, top)` or fewer."""
    top = min(top, len(side.cohort))
    best = np.empty((len(side.own), top), np.int32)
    for block, scores in side.blocks():
        best[block] = np.argpartition(scores, scores.shape[1] - top, axis=1)[:, -top:]
    return best


def _adaptive_blocks(sides: Sides, enrolments: CohortSide, tests: CohortSide, top: int):
    """`normalised_blocks` of kind as2, by products with tables of who is chosen."""
    size = len(tests.cohort)
    by_enrol = _chosen(_best(enrolments, top), size)
    for rows, scores in score_blocks(sides, 8 * size):
        part = tests.part(rows)
        by_test = _chosen(_best(part, top), size)
        total = np.empty(scores.shape)
        for some, cohort in part.blocks():
            mean, std = _moments_of_chosen(by_enrol, cohort)
            total[some] = (scores[some] - mean.T) / std.T
        for some, cohort in enrolments.blocks():
            mean, std = _moments_of_chosen(by_test, cohort)
            total[:, some] += (scores[:, some] - mean) / std
        yield rows, total / 2


def _chosen(best: np.ndarray, size: int) -> sparse.csr_array:
    """Ones at the columns `best (N, K)` of each row, `(N, size)`."""
    ends = np.arange(len(best) + 1) * best.shape[1]
    return sparse.csr_array((np.ones(best.size), best.ravel(), ends), (len(best), size))


def _moments_of_chosen(chosen, scores) -> tuple[np.ndarray, np.ndarray]:
    """`_moments` of each row of scores `(B, C)` over each row of chosen `(N, C)`: both
    `(N, B)`."""
    known = np.isfinite(scores)
    centre, _ = _moments(scores)  # so that squares lose no digits
    rest = np.where(known, scores - centre[:, None], 0).T
    number = chosen @ known.T.astype(np.float64)
    if number.min() < 2:
        raise UserError(_TOO_FEW)
    mean = chosen @ rest / number
    variance = chosen @ rest**2 / number - mean**2
    if not (variance > 1e-12 * mean**2).all():
        raise UserError(_ALL_THE_SAME)
    return mean + centre, np.sqrt(variance)


def _moments(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each row, those that are -inf left out."""
    known = np.isfinite(scores)
    if known.sum(axis=1).min() < 2:
        raise UserError(_TOO_FEW)
    mean = np.mean(scores, axis=1, dtype=np.float64, where=known)
    std = np.std(scores, axis=1, dtype=np.float64, where=known)
    if not std.all():
        raise UserError(_ALL_THE_SAME)
    return mean, std
