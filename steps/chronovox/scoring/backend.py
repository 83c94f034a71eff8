"""Back ends: what becomes of embeddings before they are compared, and how they are.

A trained back end is a folder: config.yaml; mean.vec and transform.mat (Kaldi), plda
(Kaldi's <Plda>), cohort.ark and cohort.scp, each where the settings ask for it;
speakers, `<spk> <number of utterances>`, if anything was learnt from their vectors.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import linalg

from chronovox import config, datadir, kaldi_io
from chronovox.cli import UserError
from chronovox.scoring import cosine, plda, plda_file
from chronovox.scoring.normalisation import (
    CohortSide,
    NormConfig,
    normalised,
    normalised_blocks,
    of_own,
)
from chronovox.scoring.pairs import Sides, pair_scores, score_blocks
from chronovox.trials.lists import Speakers

_PARTS = ("config.yaml", "mean.vec", "transform.mat", "plda", "cohort.ark", "cohort")
_FILES = (*_PARTS, "cohort.scp", "speakers", "made_from")


@dataclass(frozen=True)
class PldaConfig:
    """num_iters: of EM. smoothing: part of B added to W. length: how vectors are scaled
    in the model's coordinates, see `plda.Plda.coordinates`."""

    num_iters: int = 10
    smoothing: float = 0.0
    length: plda.Length = "expected"

    def __post_init__(self):
        if not 0 <= self.num_iters <= 1000 or not 0 <= self.smoothing <= 100:
            raise ValueError("num_iters is from 0 to 1000, smoothing from 0 to 100")


@dataclass(frozen=True)
class BackendConfig:
    """conf/backends/NAME.yaml, in the order in which it is done.

    center: the mean of the training vectors is subtracted. whiten: they get the
    identity as covariance. lda_dim: linear discriminant analysis to so many dimensions.
    length: of each vector, 1 or the square root of its dimension. score: how two are
    compared. norm: score normalisation, if any.
    """

    center: bool = False
    whiten: bool = False
    lda_dim: int | None = None
    length: Literal["none", "unit", "sqrt"] = "none"
    score: Literal["cosine", "plda"] = "cosine"
    plda: PldaConfig = field(default_factory=PldaConfig)
    norm: NormConfig | None = None

    def __post_init__(self):
        if self.whiten and self.lda_dim is not None:
            raise ValueError("whiten and lda_dim: LDA undoes it, so choose one")
        if self.lda_dim is not None and self.lda_dim < 1:
            raise ValueError("lda_dim is from 1 on")
        if self.score == "cosine" and self.plda != PldaConfig():
            raise ValueError("plda: has no part in `score: cosine`")

    @property
    def learns(self) -> bool:
        """Whether anything comes from training vectors."""
        parts = self.center, self.whiten, self.lda_dim, self.norm, self.score == "plda"
        return any(parts)

    @property
    def gives_llr(self) -> bool:
        """Whether scores are log-likelihood ratios, by the model at least."""
        return self.score == "plda" and self.norm is None


@dataclass(frozen=True)
class Backend:
    """A trained back end; what the settings do not ask for is None."""

    config: BackendConfig
    mean: np.ndarray | None = None
    transform: np.ndarray | None = None
    model: plda.Plda | None = None
    cohort: tuple[list[str], np.ndarray] | None = None  # their speakers, raw vectors

    def prepared(self, vectors) -> np.ndarray:
        """Vectors `(N, D)` centred, transformed and scaled, float32. Raises UserError
        for one that is of another dimension, or zero where it is to be scaled."""
        vectors = np.asarray(vectors, np.float32)
        if self.mean is not None:
            _check_dim(vectors, len(self.mean))
            vectors = vectors - self.mean
        if self.transform is not None:
            dim = vectors.shape[1]
            if self.transform.shape[1] != dim + 1:  # as Kaldi's LDA, with an offset
                _check_dim(vectors, self.transform.shape[1])
            offset = self.transform[:, dim:].sum(axis=1)
            vectors = vectors @ self.transform[:, :dim].T + offset
        if self.model is not None:
            _check_dim(vectors, len(self.model.mean))
        if self.config.length != "none":
            vectors = cosine.normalise_length(vectors)
        if self.config.length == "sqrt":
            vectors = vectors * np.sqrt(np.float32(vectors.shape[1]))
        return vectors

    def sides(self, enrol, counts, test) -> Sides:
        """What enrolments `(N, D)`, means of `counts` vectors, and tests `(M, D)` are
        compared by; both prepared before. Raises UserError for zero vectors."""
        if self.model is None:
            left = cosine.normalise_length(enrol)
            return Sides(left, left if test is enrol else cosine.normalise_length(test))
        length = self.config.plda.length
        left = right = self.model.coordinates(enrol, counts, length)
        if test is not enrol or np.any(np.asarray(counts) != 1):
            right = self.model.coordinates(test, 1, length)
        return self.model.sides(left, counts, right)

    def score(
        self, vectors, members: list[list[int]], counts, enrol, test, speakers: Speakers
    ) -> np.ndarray:
        """The scores of trials, `(T,)`.

        vectors `(N, D)`; members: the rows of each enrolment; counts: how many
        recordings each stands for; enrol, test `(T,)`: enrolments and rows; speakers:
        those of the trials. What no trial uses is left aside. Raises UserError.
        """
        used_enrol, first_enrol, enrol = _used(enrol)
        used_test, first_test, test = _used(test)
        whose = speakers.enrol[first_enrol], speakers.test[first_test]
        sides, cohort = self._compared(
            vectors, [members[n] for n in used_enrol], counts[used_enrol], used_test,
            Speakers(speakers.names, *whose),
        )  # fmt: skip
        scores = pair_scores(sides, enrol, test)
        if cohort is None:
            return scores
        return normalised(scores, enrol, test, *cohort, self.config.norm)

    def score_all(
        self, vectors, members: list[list[int]], counts, test, speakers: Speakers
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """All tests against all enrolments: blocks of tests, and their scores `(B, N)`.

        As `score`, but test: rows `(M,)`; speakers: of each enrolment and each test.
        """
        sides, cohort = self._compared(vectors, members, counts, test, speakers)
        if cohort is None:
            return score_blocks(sides.turned())
        return normalised_blocks(sides.turned(), *cohort, self.config.norm)

    def _compared(self, vectors, members, counts, test, speakers: Speakers):
        """The sides of enrolments and tests, and, if scores are normalised, both
        against the cohort."""
        single = all(len(rows) == 1 for rows in members)
        enrol = np.concatenate(members)
        needed = np.union1d(enrol, test)
        prepared = self.prepared(_rows(vectors, needed))
        right = _rows(prepared, np.searchsorted(needed, test))
        left = _rows(prepared, np.searchsorted(needed, enrol))
        if not single:
            ends = np.cumsum([len(rows) for rows in members])[:-1]
            left = np.stack([rows.mean(axis=0) for rows in np.split(left, ends)])
        sides = self.sides(left, counts, right)
        if self.config.norm is None:
            return sides, None
        cohort, whose = self._prepared_cohort(vectors, speakers.names)
        of_tests = self.sides(cohort, np.ones(len(cohort)), right).turned()
        return sides, (
            CohortSide(self.sides(left, counts, cohort), speakers.enrol, whose),
            CohortSide(of_tests, speakers.test, whose),
        )

    def cohort_means(self, vectors, speakers: list[str]) -> np.ndarray:
        """The mean of each vector's scores with the cohort, `(N,)`.

        Of the `top` highest, or of all for the kinds without `top`. vectors `(N, D)` of
        `speakers`, each of whom is left out of the cohort. Raises UserError.
        """
        distinct, own = np.unique(speakers, return_inverse=True)
        cohort, whose = self._prepared_cohort(vectors, distinct.tolist())
        sides = self.sides(self.prepared(vectors), np.ones(len(vectors)), cohort)
        top = self.config.norm.top if self.config.norm.adaptive else None
        return of_own(CohortSide(sides, own, whose), top)[0]

    def _prepared_cohort(self, vectors, speakers: list[str]):
        """The cohort prepared, and which of `speakers` each is of, -1 for none.

        Raises UserError if `vectors` are of another dimension.
        """
        names, raw = self.cohort
        _check_dim(vectors, raw.shape[1])
        numbers = {spk: n for n, spk in enumerate(speakers)}
        return self.prepared(raw), np.array([numbers.get(spk, -1) for spk in names])


def _check_dim(vectors: np.ndarray, dim: int) -> None:
    if vectors.shape[1] != dim:
        raise UserError(
            f"dimension {vectors.shape[1]}, but the back end was trained on {dim}: use "
            "embeddings of one model"
        )


def _rows(matrix: np.ndarray, rows) -> np.ndarray:
    """Rows of a matrix; itself, and no copy, if they are all in order."""
    all_there = len(rows) == len(matrix) and (rows == np.arange(len(rows))).all()
    return matrix if all_there else matrix[rows]


def _used(rows):
    """The distinct rows, where each first stands, and all as numbers of those."""
    return np.unique(rows, return_index=True, return_inverse=True)


def train(
    settings: BackendConfig, vectors, speakers: list[str], cohort=None
) -> Backend:
    """Train on vectors `(N, D)` of speakers, one name each.

    cohort: the speakers and raw vectors of the cohort, where there is one.
    Raises UserError for too few speakers or vectors.
    """
    vectors = np.asarray(vectors, np.float64)
    numbers = np.unique(speakers, return_inverse=True)[1]
    mean = transform = model = None
    if settings.center:
        mean = vectors.mean(axis=0).astype(np.float32)
        vectors = vectors - mean
    if settings.whiten:
        transform = _whitening(vectors)
    if settings.lda_dim is not None:
        transform = _lda(vectors, numbers, settings.lda_dim)
    if settings.score == "plda":
        prepared = Backend(settings, None, transform).prepared(vectors)
        model = plda.train(prepared, numbers, settings.plda.num_iters)
        model = model.smoothed(settings.plda.smoothing)
    return Backend(settings, mean, transform, model, cohort)


def adapted(
    backend: Backend, vectors, within_share: float, between_share: float
) -> Backend:
    """The back end with its PLDA adapted, see `plda.adapted`, to vectors `(N, D)`.

    Where it centres, their mean replaces its own. Raises UserError.
    """
    if backend.model is None:
        raise UserError("it has no PLDA (`score: plda`): nothing can be adapted")
    if len(vectors) < 2:
        raise UserError("a single vector does not vary: use more utterances")
    vectors = np.asarray(vectors, np.float64)
    if backend.mean is not None:
        _check_dim(vectors, len(backend.mean))
        backend = replace(backend, mean=vectors.mean(axis=0).astype(np.float32))
    model = plda.adapted(
        backend.model, backend.prepared(vectors), within_share, between_share
    )
    return replace(backend, model=model)


def _whitening(vectors: np.ndarray) -> np.ndarray:
    """The symmetric matrix `(D, D)` that gives centred vectors the covariance 1."""
    covariance = np.atleast_2d(np.cov(vectors.T, bias=True))
    plda.check_regular(covariance, f"whiten: of {len(vectors)} vectors")
    values, axes = linalg.eigh(covariance)
    return (axes / np.sqrt(values) @ axes.T).astype(np.float32)


def _lda(vectors: np.ndarray, speakers: np.ndarray, dim: int) -> np.ndarray:
    """The directions `(dim, D)` in which speakers differ most for their own variance,
    scaled so that this is 1."""
    means, counts, scatter = plda.speaker_statistics(vectors, speakers)
    most = min(vectors.shape[1], len(means) - 1)
    if dim > most:
        raise UserError(
            f"lda_dim: {dim}, but {len(means)} speakers and vectors of dimension "
            f"{vectors.shape[1]} allow {most} at the most"
        )
    means = means - vectors.mean(axis=0)
    between = (counts * means).T @ means / len(vectors)
    plda.check_regular(scatter, f"lda_dim: of {len(vectors)} vectors around speakers")
    _, axes = linalg.eigh(between, scatter / len(vectors))
    return axes.T[::-1][:dim].astype(np.float32)


def parts(folder: Path) -> list[Path]:
    """The files that scores depend on, the same wherever the folder lies."""
    return [folder / name for name in _PARTS]


def clear(folder: Path) -> None:
    """Remove an earlier back end, config.yaml first: without it there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)


def save(
    backend: Backend, folder: Path, utts_of: dict[str, int], made_from=None
) -> None:
    """Write a back end into a folder that was cleared, config.yaml last.

    utts_of: speaker -> number of utterances. made_from: that of the embeddings, if any.
    """
    if backend.mean is not None:
        kaldi_io.write_array(folder / "mean.vec", backend.mean)
    if backend.transform is not None:
        kaldi_io.write_array(folder / "transform.mat", backend.transform)
    if backend.model is not None:
        plda_file.write_plda(folder / "plda", backend.model)
    if backend.cohort is not None:
        names = [f"{number:07d}" for number in range(len(backend.cohort[0]))]
        with kaldi_io.ArkWriter(
            folder / "cohort.ark", folder / "cohort.scp", ndim=1
        ) as writer:
            for name, vector in zip(names, backend.cohort[1], strict=True):
                writer.write(name, vector)
        speakers = dict(zip(names, backend.cohort[0], strict=True))
        datadir.write_table(folder / "cohort", speakers)
    if backend.config.learns:
        datadir.write_table(folder / "speakers", utts_of)
    if made_from:
        datadir.write_table(folder / "made_from", made_from)
    config.save(backend.config, folder / "config.yaml")


def load(folder: Path) -> Backend:
    """Read a trained back end. Raises UserError if a part is missing or damaged."""
    if not (folder / "config.yaml").exists():
        raise UserError(
            f"{folder}: no trained back end: steps/train_backend.py makes it"
        )
    settings = config.load(folder / "config.yaml", BackendConfig)
    mean = transform = model = cohort = None
    if settings.center:
        mean = kaldi_io.read_vector(str(folder / "mean.vec"))
    if settings.whiten or settings.lda_dim is not None:
        transform = kaldi_io.read_matrix(str(folder / "transform.mat"))
    if settings.score == "plda":
        model = plda_file.read_plda(folder / "plda")
    if settings.norm is not None:
        # Not by the scp: it may name the ark of a folder that this one was copied of.
        found = dict(kaldi_io.read_ark(folder / "cohort.ark"))
        speakers = datadir.read_table(folder / "cohort")
        if sorted(speakers) != sorted(found):
            raise UserError(f"{folder}/cohort: not of cohort.ark: train it again")
        vectors = np.stack([found[name] for name in sorted(found)])
        cohort = [speakers[name] for name in sorted(found)], vectors
    for part in (mean, transform, cohort and cohort[1]):
        if part is not None and not np.isfinite(part).all():
            raise UserError(f"{folder}: holds NaN or infinity: train it again")
    return Backend(settings, mean, transform, model, cohort)
