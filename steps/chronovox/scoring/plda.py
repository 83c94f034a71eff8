"""Probabilistic linear discriminant analysis: the two-covariance model.

A vector is `mean + y + e`: y is the speaker's, drawn from N(0, B) once; e the
recording's, drawn from N(0, W) each time. Ioffe, "Probabilistic linear discriminant
analysis" (ECCV 2006); Brümmer and de Villiers, "The speaker partitioning problem"
(Odyssey 2010). What Kaldi calls length normalisation follows Garcia-Romero and
Espy-Wilson (Interspeech 2011).
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import linalg

from chronovox.cli import UserError
from chronovox.scoring.pairs import Sides

Length = Literal["expected", "simple", "none"]


@dataclass(frozen=True)
class Plda:
    """The model in coordinates `u = transform (x - mean)` in which W is the identity.

    mean `(D,)`; transform `(D, D)`; psi `(D,)`: B there is diagonal, largest first.
    """

    mean: np.ndarray
    transform: np.ndarray
    psi: np.ndarray

    @property
    def between(self) -> np.ndarray:
        """B, the covariance of speakers, `(D, D)`."""
        back = linalg.inv(self.transform)
        return back * self.psi @ back.T

    @property
    def within(self) -> np.ndarray:
        """W, the covariance of a speaker's recordings, `(D, D)`."""
        back = linalg.inv(self.transform)
        return back @ back.T

    def smoothed(self, factor: float) -> "Plda":
        """W grown by `factor` times B, dimension by dimension."""
        within = 1 + factor * self.psi
        return replace(
            self,
            transform=self.transform / np.sqrt(within)[:, None],
            psi=self.psi / within,
        )

    def coordinates(self, vectors, counts, length: Length) -> np.ndarray:
        """`u` of vectors `(N, D)`, float64, each the mean of `counts` recordings.

        length: "expected" scales each u to the norm that the model expects of it,
        "simple" to the square root of D, "none" leaves it. Raises UserError for a
        vector that has no direction.
        """
        found = (np.asarray(vectors, np.float64) - self.mean) @ self.transform.T
        if length == "none":
            return found
        spread = 1.0
        if length == "expected":
            spread = self.psi + 1 / np.broadcast_to(counts, len(found))[:, None]
        squares = (found**2 / spread).sum(axis=1)
        if not squares.all():
            raise UserError("a vector is the mean of the model: it has no direction")
        return found * np.sqrt(len(self.psi) / squares)[:, None]

    def sides(self, enrol, counts, test) -> Sides:
        """Log-likelihood ratios as products, of `u` of enrolments and of tests.

        enrol `(N, D)`: means of `counts` `(N,)` recordings; test `(M, D)`. With n
        recordings of mean u, y has the mean `n psi / (n psi + 1) u` and the variance
        `psi / (n psi + 1)`: the ratio is that of the normal densities of the test with
        this mean and variance + 1, and with mean 0 and variance psi + 1.
        """
        distinct, which = np.unique(counts, return_inverse=True)
        which = np.broadcast_to(which, len(enrol))
        share = self.psi / (distinct[:, None] * self.psi + 1)
        spread, alone = 1 + share, 1 + self.psi
        left = (distinct[:, None] * share / spread)[which] * enrol
        bias = np.log(alone / spread).sum(axis=1)[which]
        bias -= np.einsum("nd,nd,nd->n", left, left, spread[which])
        squares = (1 / alone - 1 / spread) / 2  # what the squares of a test count
        if len(distinct) == 1:
            return Sides(left, test, bias / 2, test**2 @ squares[0])
        left = np.concatenate([left, squares[which]], axis=1)
        return Sides(left, np.concatenate([test, test**2], axis=1), bias / 2)


def from_covariances(mean, between, within) -> Plda:
    """The model with these covariances `(D, D)`. Raises UserError if W is singular."""
    check_regular(within, "PLDA: of a speaker's vectors")
    psi, axes = linalg.eigh(between, within)
    return Plda(np.asarray(mean), axes.T[::-1].copy(), np.maximum(psi[::-1], 0))


def check_regular(covariance: np.ndarray, what: str) -> None:
    """Raise UserError for a covariance `(D, D)` that is singular, or nearly so."""
    values = linalg.eigvalsh(covariance)
    if not values[0] > 1e-10 * values[-1]:
        raise UserError(
            f"{what} the covariance is singular: they are too few for {len(values)} "
            "dimensions, or a dimension is constant or follows from others: use more "
            "utterances, or plain cosine"
        )


def train(vectors, speakers, num_iters: int = 10) -> Plda:
    """Fit to vectors `(N, D)` of `speakers` `(N,)`, numbered from 0 on, by EM.

    The mean is that of the speakers' means. Raises UserError for fewer than two
    speakers, or if no speaker has two vectors.
    """
    vectors, speakers = np.asarray(vectors, np.float64), np.asarray(speakers)
    means, counts, scatter = speaker_statistics(vectors, speakers)
    mean = means.mean(axis=0)
    means -= mean
    model = from_covariances(
        mean, means.T @ means / len(means), scatter / (len(vectors) - len(means))
    )
    for _ in range(num_iters):
        model = _step(model, means, counts, scatter)
    return model


def adapted(model: Plda, vectors, within_share: float, between_share: float) -> Plda:
    """The model adapted to vectors `(N, D)` whose speakers are not known.

    Its mean becomes theirs. In directions in which they vary more than B + W says, what
    they vary more goes to W and to B in these shares, as in Kaldi's ivector-adapt-plda
    (there with --mean-diff-scale=0). Directions in which they vary less stay.
    """
    vectors = np.asarray(vectors, np.float64)
    between, within = model.between, model.within
    total = between + within
    found = np.atleast_2d(np.cov(vectors.T, bias=True))
    ratio, axes = linalg.eigh(found, total)
    axes = total @ axes  # total is now axes axes', and found is axes ratio axes'
    surplus = axes * np.maximum(ratio - 1, 0) @ axes.T
    return from_covariances(
        vectors.mean(axis=0),
        between + between_share * surplus,
        within + within_share * surplus,
    )


def _step(model: Plda, means, counts, scatter) -> Plda:
    """One step of EM, computed where W is the identity and B diagonal.

    means `(S, D)` of the speakers, less the mean; counts `(S, 1)` of their vectors;
    scatter `(D, D)` of all around them.
    """
    found = means @ model.transform.T
    share = model.psi / (counts * model.psi + 1)  # the variance of y
    center = counts * share * found
    rest = found - center
    between = np.diag(share.mean(axis=0)) + center.T @ center / len(means)
    within = np.diag((counts * share).sum(axis=0)) + (counts * rest).T @ rest
    within = (within + model.transform @ scatter @ model.transform.T) / counts.sum()
    back = linalg.inv(model.transform)
    return from_covariances(model.mean, back @ between @ back.T, back @ within @ back.T)


def speaker_statistics(vectors, speakers):
    """The means `(S, D)` of speakers, their counts `(S, 1)`, the scatter `(D, D)`.

    scatter: the sum of squares of the vectors `(N, D)` around their speaker's mean.
    Raises UserError for fewer than two speakers, or if no speaker has two vectors.
    """
    counts = np.bincount(speakers)[:, None]
    if len(counts) < 2 or counts.max() < 2:
        raise UserError(
            "two speakers are needed, and one of them with two utterances: between "
            "and within speakers nothing can be told apart"
        )
    means = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(means, speakers, vectors)
    means /= counts
    rest = vectors - means[speakers]
    return means, counts, rest.T @ rest
