"""Scores of pairs as products of matrices, in blocks of bounded memory.

Cosine and PLDA alike are `left[i] @ right[j] + bias[i]` of two vectors, computed once
for each utterance, so that a pair costs a product and no more.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_GATHERED = 2**16  # values of each side gathered at a time: they fit a cache
_BLOCK = 2**24  # scores of a block of all against all: 64 or 128 MB


class Sides(NamedTuple):
    """left `(N, K)` and bias `(N,)` of enrolments, right `(M, K)` of tests."""

    left: np.ndarray
    right: np.ndarray
    bias: np.ndarray


def pair_scores(sides: Sides, enrol, test) -> np.ndarray:
    """The scores of rows `enrol[n]` with rows `test[n]`, `(N,)` of the sides' type.

    A score does not depend on the other pairs.
    """
    left, right, bias = sides
    scores = np.empty(len(enrol), left.dtype)
    step = max(1, _GATHERED // left.shape[1])
    for begin in range(0, len(enrol), step):
        block = slice(begin, begin + step)
        np.vecdot(left[enrol[block]], right[test[block]], out=scores[block])
    return scores + bias[enrol]


def score_blocks(sides: Sides) -> Iterator[tuple[slice, np.ndarray]]:
    """All enrolments against all tests: blocks of rows, and their scores `(B, M)`."""
    left, right, bias = sides
    step = max(1, _BLOCK // len(right))
    for begin in range(0, len(left), step):
        rows = slice(begin, begin + step)
        yield rows, left[rows] @ right.T + bias[rows, None]
