#!/usr/bin/env python3
"""Train a back end: what becomes of embeddings, and how two are compared.

Usage: steps/train_backend.py CONFIG DATA EMBEDDINGS OUT_DIR
  e.g.: steps/train_backend.py conf/backends/plda.yaml data/train \\
            exp/xvector_aam_s1/embeddings_train exp/xvector_aam_s1/backends/plda

Reads EMBEDDINGS/xvector.scp and DATA/utt2spk; for a cohort by ages DATA/utt2age, where
utterances without an age are left out. Settings that learn nothing, such as those of
plain cosine, read no vectors.

Writes OUT_DIR/config.yaml, the settings; mean.vec, transform.mat, plda, in Kaldi's
formats, as the settings ask for them; cohort.{ark,scp} and cohort, `<entry> <speaker>`;
speakers, `<spk> <number of utterances>`, which no trial may share; made_from, the
network of the embeddings. steps/score_trials.py takes the folder.
"""

from pathlib import Path

import numpy as np

from chronovox import cli, config, kaldi_io
from chronovox.cli import UserError, log
from chronovox.datadir import read_floats, read_table
from chronovox.scoring import backend, origin
from chronovox.scoring.backend import BackendConfig

# The oldest of each age group but the last, in years.
AGE_GROUPS = (20, 30, 40, 50, 60, 70)


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("config", help="such as conf/backends/plda.yaml")
    parser.add_argument("data", help="data directory of the training embeddings")
    parser.add_argument("embeddings", help="folder with xvector.scp")
    parser.add_argument("out_dir")
    return parser


def means_of(vectors, names: list) -> tuple[list, np.ndarray]:
    """The distinct names, sorted, and the mean vector of each."""
    distinct = sorted(set(names))
    numbers = {name: number for number, name in enumerate(distinct)}
    rows = np.array([numbers[name] for name in names])
    total = np.zeros((len(distinct), vectors.shape[1]))
    np.add.at(total, rows, vectors)
    return distinct, (total / np.bincount(rows)[:, None]).astype(np.float32)


def by_ages(vectors, speakers: list[str], ages) -> tuple[list[str], np.ndarray]:
    """Means of each speaker in each age group, of no group more than of the median one.

    ages `(N,)`, NaN where not known. Which of a larger group are taken is drawn.
    """
    known = np.flatnonzero(~np.isnan(ages))
    groups = np.searchsorted(AGE_GROUPS, ages[known], "left").tolist()
    names = [(group, speakers[row]) for group, row in zip(groups, known, strict=True)]
    names, means = means_of(vectors[known], names)
    sizes = np.bincount([group for group, _ in names])
    most = int(np.median(sizes[sizes > 0]))
    order = np.random.default_rng(0).permutation(len(names))
    taken: list[int] = []
    for group in range(len(sizes)):
        taken += [row for row in order.tolist() if names[row][0] == group][:most]
    taken.sort()
    return [names[row][1] for row in taken], means[taken]


def make_cohort(kind: str, data: Path, keys: list[str], vectors, speakers: list[str]):
    """The speakers and vectors of the cohort. Raises UserError."""
    if kind == "utterances":
        return speakers, vectors
    if kind == "speakers":
        return means_of(vectors, speakers)
    table = read_floats(data / "utt2age")
    ages = np.array([table.get(key, np.nan) for key in keys])
    if np.isnan(ages).all():
        raise UserError(f"{data}/utt2age: no utterance of the embeddings has an age")
    return by_ages(vectors, speakers, ages)


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    settings = config.load(args.config, BackendConfig)
    data, out, embeddings = Path(args.data), Path(args.out_dir), Path(args.embeddings)
    backend.clear(out)
    if not settings.learns:
        backend.save(backend.Backend(settings), out, {})
        return 0
    scp = embeddings / "xvector.scp"
    origin.check_origin(
        embeddings, [data / "corpus.json", data / "wav.scp"],
        "extract them again (./run.sh --stage 5)",
    )  # fmt: skip
    keys, vectors = kaldi_io.read_vectors(scp)
    speakers = origin.speakers_of(keys, data, scp)
    cohort = None
    if settings.norm is not None:
        cohort = make_cohort(settings.norm.cohort, data, keys, vectors, speakers)
    try:
        trained = backend.train(settings, vectors, speakers, cohort)
    except UserError as error:
        raise UserError(f"{scp}: {error}") from None
    utts_of = {spk: 0 for spk in speakers}
    for spk in speakers:
        utts_of[spk] += 1
    record = embeddings / "made_from"
    backend.save(trained, out, utts_of, record.exists() and read_table(record))
    size = "" if cohort is None else f", a cohort of {len(cohort[0])}"
    log.info("%s: %d vectors of %d speakers%s", out, len(keys), len(utts_of), size)
    return 0


if __name__ == "__main__":
    cli.run(main)
