"""Scores of pairs as products of matrices, in blocks of bounded memory.

Cosine and PLDA alike are a product of two vectors and a number of each side, computed
once for each utterance, so that a pair costs a product and no more.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_GATHERED = 2**16  # values of each side gathered at a time: they fit a cache
_BLOCK = 2**24  # scores of a block of all against all: 64 or 128 MB


class Sides(NamedTuple):
    """Scores are `left[i] @ right[j] + left_bias[i] + right_bias[j]`.

    left `(N, K)` and left_bias `(N,)` of enrolments; right `(M, K)` and right_bias
    `(M,)` of tests.
    """

    left: np.ndarray
    right: np.ndarray
    left_bias: np.ndarray | float = 0.0
    right_bias: np.ndarray | float = 0.0

    def turned(self) -> "Sides":
        """Tests as left, enrolments as right: the same scores."""
        return Sides(self.right, self.left, self.right_bias, self.left_bias)

    def biases(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each row, also where all are the same."""
        return (
            np.broadcast_to(self.left_bias, len(self.left)),
            np.broadcast_to(self.right_bias, len(self.right)),
        )


def pair_scores(sides: Sides, enrol, test) -> np.ndarray:
    """The scores of rows `enrol[n]` with rows `test[n]`, `(N,)` of the sides' type.

    A score does not depend on the other pairs.
    """
    left, right = sides.left, sides.right
    scores = np.empty(len(enrol), left.dtype)
    step = max(1, _GATHERED // left.shape[1])
    for begin in range(0, len(enrol), step):
        block = slice(begin, begin + step)
        np.vecdot(left[enrol[block]], right[test[block]], out=scores[block])
    left_bias, right_bias = sides.biases()
    return (scores + left_bias[enrol] + right_bias[test]).astype(left.dtype)


def score_blocks(sides: Sides, width: int = 0) -> Iterator[tuple[slice, np.ndarray]]:
    """All enrolments against all tests: blocks of rows, and their scores `(B, M)`.

    width: what else of each row takes memory, in scores, if that is more than M.
    """
    left_bias, right_bias = sides.biases()
    step = max(1, _BLOCK // max(width, len(sides.right)))
    for begin in range(0, len(sides.left), step):
        rows = slice(begin, begin + step)
        scores = sides.left[rows] @ sides.right.T
        scores += left_bias[rows, None]
        scores += right_bias
        yield rows, scores
