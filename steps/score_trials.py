#!/usr/bin/env python3
"""Score the trials of a list by a back end.

Usage: steps/score_trials.py --model EXP_M --backend DIR [options] DATA TRIALS \\
           EMBEDDINGS SCORES
  e.g.: steps/score_trials.py --model exp/xv_s1 --backend exp/xv_s1/backends/plda \\
            data/test data/test/trials/hard exp/xv_s1/embeddings_test \\
            exp/xv_s1/scores_test/hard.plda

DIR is what steps/train_backend.py wrote. Reads EMBEDDINGS/xvector.scp, DATA/utt2spk,
and of the model EXP_M its spk2id and config.yaml where it has them (an untrained one
has none). What was made before EXP_M/final.pt, or DATA's corpus.json, wav.scp or
conf/features.yaml changed is refused: made_from tells.

A list that shares speakers with the training of the model or of the back end, its
cohort included, is refused, unless --allow-speaker-overlap true, which marks its
results; of a cohort, the speaker of an utterance is then left out.

Where there is DATA/enrolments, `<name> <utt> <utt> ...`, the first field of a trial may
be such a name: its vector is the mean of those of the utterances, and PLDA knows their
number, or, with --count sessions, that of their sessions (DATA/utt2session).

Writes
  SCORES       <enrol> <test> <score>, nine significant digits, exact for cosine
  SCORES.json  model, seed, back end, and fingerprints of what was scored
"""

from pathlib import Path

import numpy as np

from chronovox import cli, files, kaldi_io
from chronovox.cli import UserError, log
from chronovox.datadir import read_table
from chronovox.scoring import backend as backends
from chronovox.scoring import origin, write_scores
from chronovox.scoring.enrolments import read_enrolments, read_speakers, rows_of
from chronovox.trials import read_trials


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, help="the directory EXP_M")
    parser.add_argument("--backend", required=True, help="EXP_M/backends/NAME")
    parser.add_argument(
        "--count", choices=["utterances", "sessions"], default="utterances",
        help="of an enrolment, for PLDA (utterances)",
    )  # fmt: skip
    parser.add_argument(
        "--allow-speaker-overlap", type=cli.boolean, default=False, help="default false"
    )
    for name in ("data", "trials", "embeddings", "scores"):
        parser.add_argument(name)
    return parser


def enrolment_table(
    data: Path, keys: list[str], count: str, wanted: set[str]
) -> tuple[list[str], list[list[int]], np.ndarray]:
    """Names of enrolments, rows of `keys` that each is made of, and how many count.

    Every utterance is an enrolment of its own; others are those `wanted`. Raises
    UserError for an utterance that has no vector, or no session where these count.
    """
    index = {key: row for row, key in enumerate(keys)}
    sessions = read_table(data / "utt2session") if count == "sessions" else None
    table = read_enrolments(data).items()
    more = {name: utts for name, utts in table if name in wanted}
    rows, counts = rows_of(more, index, data, sessions)
    alone = [[row] for row in range(len(keys))]
    return [*keys, *more], alone + rows, np.array([1] * len(keys) + counts)


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    model, scp = Path(args.model), Path(args.embeddings) / "xvector.scp"
    folder, data = Path(args.backend), Path(args.data)
    network, backend = model / "final.pt", backends.load(folder)
    learns = backend.config.learns
    info, seen = origin.check_system(model, folder, learns, data, scp.parent)

    trials, speaker_of = read_trials(args.trials), read_speakers(data)
    keys, vectors = kaldi_io.read_vectors(scp)
    names, rows, counts = enrolment_table(data, keys, args.count, set(trials.keys))
    enrol, test = trials.rows({name: row for row, name in enumerate(names)}, scp)
    if (test >= len(keys)).any():
        line = int(np.argmax(test >= len(keys)))
        raise UserError(
            f"{args.trials}:{line + 1}: '{trials.pair(line)}': the test is an "
            "enrolment of several utterances: the second field is one utterance"
        )
    for line in np.flatnonzero(enrol >= len(keys)):  # of several utterances
        if test[line] in rows[enrol[line]]:
            raise UserError(
                f"{args.trials}:{line + 1}: '{trials.pair(line)}': the test is part of "
                "its enrolment: remove the trial"
            )
    speakers = trials.speakers(speaker_of, data / "utt2spk")
    marks = origin.find_overlap(set(speakers.names), seen, args.allow_speaker_overlap)
    try:
        scores = backend.score(vectors, rows, counts, enrol, test, speakers)
    except UserError as error:
        raise UserError(f"{scp}: {error}") from None
    write_scores(
        args.scores,
        trials,
        scores,
        {
            **info,
            "backend": folder.name,
            "marks": info["marks"] + marks,
            "llr": backend.config.gives_llr,
            "system_sha256": files.fingerprint("", [network, *backends.parts(folder)]),
            "embeddings_sha256": origin.fingerprint(keys, vectors),
        },
    )
    log.info("%s: %d trials in, %d scores out", args.scores, len(trials), len(scores))
    return 0


if __name__ == "__main__":
    cli.run(main)
