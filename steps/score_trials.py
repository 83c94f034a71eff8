#!/usr/bin/env python3
"""Score the trials of a list by the cosine of their embeddings.

Usage: steps/score_trials.py --model EXP_M [options] DATA TRIALS EMBEDDINGS SCORES
  e.g.: steps/score_trials.py --backend cosine_mean --model exp/xvector_aam_s1 \\
            --mean-embeddings exp/xvector_aam_s1/embeddings_train data/test \\
            data/test/trials/hard exp/xvector_aam_s1/embeddings_test \\
            exp/xvector_aam_s1/scores_test/hard.cosine_mean

Reads EMBEDDINGS/xvector.scp, DATA/utt2spk, and of the model EXP_M its spk2id and
config.yaml where it has them (an untrained one has none). The back end
cosine_mean first subtracts the mean of all vectors of --mean-embeddings, a
directory of other speakers' embeddings; the back end cosine reads none. What was
made before EXP_M/final.pt, or DATA's corpus.json, wav.scp or conf/features.yaml
changed is refused: EMBEDDINGS/made_from tells.

A list that shares speakers with the training of the model or with the mean is
refused, unless --allow-speaker-overlap true, which marks its results.

Writes
  SCORES       <enrol> <test> <score>, nine significant digits: exact float32
  SCORES.json  model, seed, back end, and fingerprints of what was scored
"""

import hashlib
import re
from pathlib import Path

import numpy as np

from chronovox import cli, kaldi_io
from chronovox.cli import UserError, log
from chronovox.datadir import read_lines, read_table
from chronovox.files import sha256
from chronovox.scoring import cosine_scores, name_below, write_scores
from chronovox.trials import read_trials

BACKENDS = ("cosine", "cosine_mean")
OVERLAP_MARK = "speaker-overlap"


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--backend", choices=BACKENDS, default="cosine")
    parser.add_argument("--model", required=True, help="the directory EXP_M")
    parser.add_argument("--mean-embeddings", help="for cosine_mean: a directory")
    parser.add_argument(
        "--allow-speaker-overlap", type=cli.boolean, default=False, help="default false"
    )
    for name in ("data", "trials", "embeddings", "scores"):
        parser.add_argument(name)
    return parser


def describe_model(model: Path) -> dict:
    """Name, seed and fingerprint of the configuration, the seed left out of it."""
    if not model.is_dir():
        raise UserError(
            f"{model}: no such directory: train it (./run.sh --stage 4), or give "
            "--model EXP_M"
        )
    seed, fingerprint = None, "-"
    config = model / "config.yaml"
    if config.exists():
        text = "\n".join([*read_lines(config), ""])
        line = re.search(r"^seed: *([0-9]{1,10}) *$\n?", text, re.MULTILINE)
        if line:
            seed = int(line[1])
            text = text.replace(line[0], "", 1)
        fingerprint = hashlib.sha256(text.encode()).hexdigest()[:12]
    return {"model": name_below("exp", model), "seed": seed, "config": fingerprint}


def training_speakers(model: Path) -> list[Path]:
    """The table of the speakers that trained the model; none if it is untrained.

    Raises UserError if a trained model has lost it.
    """
    path = model / "spk2id"
    if path.exists():
        return [path]
    for name in ("config.yaml", "final.pt"):
        if (model / name).exists():
            raise UserError(
                f"{path}: no such file, but {model / name} is there: without the "
                "speakers of the training no honest trial can be told: restore it"
            )
    return []


def check_origin(embeddings: Path, sources: list[Path]) -> None:
    """Refuse embeddings of which one of `sources` has changed since they were made.

    Raises UserError. The record of what they were made from is `made_from`.
    """
    record = embeddings / "made_from"
    made_from = read_table(record) if record.exists() else {}
    remedy = "extract them again (./run.sh --stage 5)"
    for path in sources:
        now = sha256(path) if path.exists() else None
        if now and not record.exists():
            raise UserError(
                f"{record}: no such file: nothing tells whether {path} made these "
                f"embeddings: {remedy}"
            )
        if made_from.get(path.name) != now:
            raise UserError(
                f"{record}: {path} has changed since these embeddings were made: "
                f"{remedy}"
            )


def find_overlap(speakers: set[str], tables, allow: bool) -> list[str]:
    """Marks for a list whose `speakers` occur in tables keyed by speaker.

    Raises UserError if some do and `allow` is false.
    """
    marks = []
    for table in tables:
        shared = sorted(speakers.intersection(read_table(table, None)))
        if not shared:
            continue
        problem = (
            f"{len(shared)} of {len(speakers)} speakers of the trials are in {table}: "
            f"{', '.join(shared[:5])}{', ...' if len(shared) > 5 else ''}"
        )
        if not allow:
            raise UserError(
                f"{problem}: use trials of other speakers, or mark the results by "
                "score_trials.py --allow-speaker-overlap true"
            )
        log.warning("%s: the results will be marked", problem)
        marks = [OVERLAP_MARK]
    return marks


def main(argv=None) -> int:
    parser = get_parser()
    args = parser.parse_args(argv)
    model, scp = Path(args.model), Path(args.embeddings) / "xvector.scp"
    seen = training_speakers(model)
    mean = None
    if args.backend == "cosine_mean":
        if args.mean_embeddings is None:
            parser.error("--backend cosine_mean needs --mean-embeddings")
        seen.append(Path(args.mean_embeddings) / "spk_xvector.scp")

    info = describe_model(model)
    network, data = model / "final.pt", Path(args.data)
    sources = [network, data / "corpus.json", data / "wav.scp"]
    if network.exists():  # untrained references have feature settings of their own
        sources.append(data / "conf" / "features.yaml")
    check_origin(scp.parent, sources)
    if args.backend == "cosine_mean":
        check_origin(Path(args.mean_embeddings), [network])
    trials = read_trials(args.trials)
    keys, vectors = kaldi_io.read_vectors(scp)
    enrol, test = trials.rows({key: row for row, key in enumerate(keys)}, scp)
    utt2spk = Path(args.data) / "utt2spk"
    speakers = set(trials.speakers(read_table(utt2spk), utt2spk).names)
    marks = find_overlap(speakers, seen, args.allow_speaker_overlap)

    if args.backend == "cosine_mean":
        mean_scp = Path(args.mean_embeddings) / "xvector.scp"
        others = kaldi_io.read_vectors(mean_scp)[1]
        if others.shape[1] != vectors.shape[1]:
            raise UserError(
                f"{mean_scp}: dimension {others.shape[1]}, but {scp} has "
                f"{vectors.shape[1]}: use embeddings of one model"
            )
        mean = others.mean(axis=0, dtype=np.float64)
    try:
        scores = cosine_scores(vectors, enrol, test, mean)
    except UserError as error:
        raise UserError(f"{scp}: {error}") from None
    fingerprint = hashlib.sha256("\n".join(keys).encode() + vectors.tobytes())
    write_scores(
        args.scores,
        trials,
        scores,
        {
            **info,
            "backend": args.backend,
            "marks": marks,
            "embeddings_sha256": fingerprint.hexdigest(),
        },
    )
    log.info("%s: %d trials in, %d scores out", args.scores, len(trials), len(scores))
    return 0


if __name__ == "__main__":
    cli.run(main)
