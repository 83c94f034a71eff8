#!/usr/bin/env python3
"""Identify speakers: search tests among enrolments, and put the rates into a table.

Usage: steps/score_identification.py --model EXP_M --backend DIR [options] DATA LIST \\
           EMBEDDINGS RESULTS_DIR
  e.g.: steps/score_identification.py --model exp/xv_s1 --backend \\
            exp/xv_s1/backends/plda data/test data/test/identification/first \\
            exp/xv_s1/embeddings_test exp/results

LIST is a folder: LIST/enrolments, `<name> <utt> <utt> ...`, one a speaker, whose vector
is the mean of those of the utterances; LIST/tests, `<utt>` a line. Each test is scored
with every enrolment by the back end, DIR, which steps/train_backend.py wrote.

  top_1, top_5        share of the tests of enrolled speakers whose enrolment is the
                      best, or among the five best
  dir_0.01, dir_0.1   only where there are tests of others, the impostors: share of
                      the same tests whose enrolment is the best and above a threshold
                      that 1 % (10 %) of the impostors' tests pass at most. This is
                      1 - FNIR(N, 1, T) at an FPIR(N, T) of 0.01 (0.1) in the words of
                      ISO/IEC 19795-1. Of fewer than 100 (10) of them, none passes

An enrolment that scores like another counts as the worse one. Intervals of 95 % are of
test speakers drawn with replacement; the enrolments stay as they are.

What shares speakers with the training of the model or of the back end is refused, and
so is what is older than what it was made from, as in steps/score_trials.py. Writes or
replaces a row of RESULTS_DIR/identification.json, rates as fractions, and prints the
rows of this list, in percent.
"""

from pathlib import Path

import numpy as np

from chronovox import cli, kaldi_io, runinfo
from chronovox.cli import UserError, log
from chronovox.datadir import read_table
from chronovox.evaluation import identification
from chronovox.scoring import backend as backends
from chronovox.scoring import name_below, origin
from chronovox.scoring.enrolments import rows_of
from chronovox.scoring.identification import SearchList, read_list


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, help="the directory EXP_M")
    parser.add_argument("--backend", required=True, help="EXP_M/backends/NAME")
    parser.add_argument(
        "--count", choices=["utterances", "sessions"], default="utterances",
        help="of an enrolment, for PLDA (utterances)",
    )  # fmt: skip
    parser.add_argument(
        "--draws", type=cli.positive_int, default=1000, help="of speakers; default 1000"
    )
    parser.add_argument(
        "--allow-speaker-overlap", type=cli.boolean, default=False,
        metavar="BOOL", help="mark the row instead of refusing it (false)",
    )  # fmt: skip
    for name in ("data", "list", "embeddings", "results_dir"):
        parser.add_argument(name)
    return parser


def score(backend, searched: SearchList, keys: list[str], vectors, args):
    """Search the tests of a list by a back end. Raises UserError."""
    index = {key: row for row, key in enumerate(keys)}
    sessions = None
    if args.count == "sessions":
        sessions = read_table(Path(args.data) / "utt2session")
    members, counts = rows_of(searched.enrolments, index, args.list, sessions)
    lacking = [utt for utt in searched.tests if utt not in index]
    if lacking:
        raise UserError(
            f"{args.list}/tests: {len(lacking)} have no vector, such as "
            f"'{lacking[0]}': if a stage dropped them, make the list again"
        )
    test = np.array([index[utt] for utt in searched.tests])
    blocks = backend.score_all(
        vectors, members, np.array(counts), test, searched.speakers
    )
    return identification.search(blocks, searched.own)


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    folder, data = Path(args.backend), Path(args.data)
    embeddings = Path(args.embeddings)
    backend = backends.load(folder)
    info, seen = origin.check_system(
        Path(args.model), folder, backend.config.learns, data, embeddings
    )
    searched = read_list(data, args.list)
    marks = origin.find_overlap(
        set(searched.speakers.names), seen, args.allow_speaker_overlap,
        "tests and enrolments",
    )  # fmt: skip
    scp = embeddings / "xvector.scp"
    keys, vectors = kaldi_io.read_vectors(scp)
    try:
        searches = score(backend, searched, keys, vectors, args)
    except UserError as error:
        raise UserError(f"{scp}: {error}") from None
    num_impostor = int((searched.own < 0).sum())
    row = {
        **info,
        "data": name_below("data", data),
        "list": Path(args.list).name,
        "backend": folder.name,
        "n_enrolled": len(searched.enrolments),
        "n_mated": len(searched.tests) - num_impostor,
        "n_impostor": num_impostor,
        **identification.measure(searches, searched.speakers.test, args.draws),
        "count": args.count,
        "list_sha256": searched.sha256,
        "embeddings_sha256": origin.fingerprint(keys, vectors),
        "commit": runinfo.commit(),
        "command": runinfo.command(),
        "marks": info["marks"] + marks,
    }
    with identification.TABLE.updated(args.results_dir, [row]) as table:
        same = [r for r in table if r["list_sha256"] == searched.sha256]
    log.info(
        "%s: %d enrolments, %d tests of their speakers and %d of impostors",
        args.list, row["n_enrolled"], row["n_mated"], num_impostor,
    )  # fmt: skip
    print("\n".join(identification.lines_of(same)))
    marks = sorted({mark for r in same for mark in r["marks"]})
    if marks:
        print(f"* marked: {', '.join(marks)}")
    return 0


if __name__ == "__main__":
    cli.run(main)
