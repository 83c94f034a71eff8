#!/usr/bin/env python3
"""Measure what tells of utterances how far their scores can be trusted.

Usage: steps/measure_quality.py [--backend DIR] DATA EMBEDDINGS OUT_DIR
  e.g.: steps/measure_quality.py --backend exp/xv_s1/backends/asnorm data/test \\
            exp/xv_s1/embeddings_test exp/xv_s1/quality_test

Writes tables `<utt> <number>` of the utterances of EMBEDDINGS/xvector.scp, of
conf/calibration's `quality`, as far as there is what they come from:

  OUT_DIR/duration   seconds, of DATA/utt2dur
  OUT_DIR/norm       Euclidean norm of the embedding
  OUT_DIR/cohort     with --backend, of a back end with a cohort: the mean of its `top`
                     highest scores with the cohort (of all, for kinds without `top`),
                     those of the utterance's own speaker left out
  OUT_DIR/faces      number of faces, of DATA/utt2num_faces
  OUT_DIR/made_from  fingerprints of the embeddings and of the back end

An enrolment of several utterances (DATA/enrolments) has the mean over them.
"""

from pathlib import Path

import numpy as np

from chronovox import cli, files, kaldi_io
from chronovox.cli import UserError, log
from chronovox.datadir import read_floats, read_table
from chronovox.scoring import backend as backends
from chronovox.scoring import origin, quality
from chronovox.scoring.enrolments import read_enrolments, read_speakers


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--backend", help="EXP_M/backends/NAME, with a cohort")
    parser.add_argument("data")
    parser.add_argument("embeddings", help="folder with xvector.scp")
    parser.add_argument("out_dir")
    return parser


def load_backend(folder: Path, embeddings: Path) -> backends.Backend:
    """A back end with a cohort, of the network of the embeddings. Raises UserError."""
    backend = backends.load(folder)
    if backend.cohort is None:
        raise UserError(
            f"{folder}: no cohort: name a back end with `norm`, such as that of "
            "conf/backends/asnorm.yaml"
        )
    records = [path / "made_from" for path in (folder, embeddings)]
    networks = [read_table(p).get("final.pt") if p.exists() else None for p in records]
    if networks[0] != networks[1]:
        raise UserError(
            f"{folder}: trained on embeddings of another network than those of "
            f"{embeddings}: train it again (steps/train_backend.py)"
        )
    return backend


def copied(path: Path, keys: list[str]) -> dict[str, str]:
    """The numbers of a table of the data directory, of those `keys` that it has."""
    table = read_floats(path)
    return {key: f"{table[key]:.9g}" for key in keys if key in table}


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    data, embeddings, out = map(Path, (args.data, args.embeddings, args.out_dir))
    quality.clear(out)
    scp = embeddings / "xvector.scp"
    origin.check_origin(
        embeddings, [data / "corpus.json", data / "wav.scp"],
        "extract them again (./run.sh --stage 5)",
    )  # fmt: skip
    keys, vectors = kaldi_io.read_vectors(scp)
    speaker_of = read_speakers(data)
    unknown = [key for key in keys if key not in speaker_of]
    if unknown:
        raise UserError(f"{data}/utt2spk: no line for '{unknown[0]}', which {scp} has")

    found = {"norm": np.linalg.norm(vectors.astype(np.float64), axis=1)}
    made_from = {"embeddings": origin.fingerprint(keys, vectors)}
    if args.backend:
        folder = Path(args.backend)
        backend = load_backend(folder, embeddings)
        speakers = [speaker_of[key] for key in keys]
        try:
            found["cohort"] = backend.cohort_means(vectors, speakers)
        except UserError as error:
            raise UserError(f"{scp}: {error}") from None
        made_from["backend"] = files.fingerprint("", backends.parts(folder))
    tables = {
        name: {key: f"{v:.9g}" for key, v in zip(keys, values.tolist(), strict=True)}
        for name, values in found.items()
    }
    for name, source in (("duration", "utt2dur"), ("faces", "utt2num_faces")):
        if (data / source).exists():
            tables[name] = copied(data / source, keys)
    enrolments = read_enrolments(data)
    tables = {n: quality.with_enrolments(t, enrolments) for n, t in tables.items()}
    quality.save(out, tables, made_from)
    counts = ", ".join(
        f"{name} of {len(tables[name])}" if name in tables else f"no {name}"
        for name in quality.TABLES
    )
    log.info("%s: %d utterances in; %s out", out, len(keys), counts)
    return 0


if __name__ == "__main__":
    cli.run(main)
