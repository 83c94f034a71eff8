"""Cosine scoring."""

import numpy as np

from chronovox.cli import UserError
from chronovox.scoring.pairs import Sides, pair_scores


def normalise_length(vectors: np.ndarray) -> np.ndarray:
    """Scale each row of `vectors` `(N, D)` to unit length; float32.

    Raises UserError for a row of zeros, which has no direction.
    """
    vectors = np.asarray(vectors, np.float32)
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    if not norms.all():
        raise UserError(f"vector {int(np.argmin(norms))} is zero: it has no direction")
    return vectors / norms.astype(np.float32)[:, None]


def cosine_scores(vectors, enrol, test) -> np.ndarray:
    """The cosine between rows `enrol[n]` and `test[n]` of `vectors`; `(N,)` float32.

    vectors `(U, D)`; enrol, test: row numbers `(N,)`. Raises UserError for a zero
    vector.
    """
    units = normalise_length(vectors)
    return pair_scores(Sides(units, units), enrol, test)
