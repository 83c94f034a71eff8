"""Cosine scoring."""

import numpy as np

from chronovox.cli import UserError

_BLOCK_VALUES = 2**16  # values of each side gathered at a time: they fit a cache


def normalise_length(vectors: np.ndarray) -> np.ndarray:
    """Scale each row of `vectors` `(N, D)` to unit length; float32.

    Raises UserError for a row of zeros, which has no direction.
    """
    vectors = np.asarray(vectors, np.float32)
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    if not norms.all():
        raise UserError(f"vector {int(np.argmin(norms))} is zero: it has no direction")
    return vectors / norms.astype(np.float32)[:, None]


def cosine_scores(vectors, enrol, test, mean=None) -> np.ndarray:
    """The cosine between rows `enrol[n]` and `test[n]` of `vectors`; `(N,)` float32.

    vectors `(U, D)`; enrol, test: row numbers `(N,)`. mean `(D,)` is subtracted
    first. Memory stays bounded: trials are gathered in blocks.
    Raises UserError for a zero vector.
    """
    if mean is not None:
        vectors = vectors - mean
    units = normalise_length(vectors)
    scores = np.empty(len(enrol), np.float32)
    step = max(1, _BLOCK_VALUES // units.shape[1])
    for begin in range(0, len(enrol), step):
        block = slice(begin, begin + step)
        np.vecdot(units[enrol[block]], units[test[block]], out=scores[block])
    return scores
