#!/usr/bin/env python3
"""Compute error rates, detection costs and Cllr, and put them into the table.

Usage: steps/compute_metrics.py [options] DATA TRIALS SCORES [SCORES ...] RESULTS_DIR
  e.g.: steps/compute_metrics.py data/test data/test/trials/hard \\
            exp/xvector_aam_s1/scores_test/hard.cosine \\
            exp/xvector_aam_s2/scores_test/hard.cosine exp/results

Every trial must have one score, and every score one trial. Writes or replaces
one row for each score file in RESULTS_DIR/results.tsv and results.json, and one
more row with the mean over the seeds where score files of one configuration and
several seeds are given. Rows of the same model and list that are of other
embeddings, or of another version of the list, go.

  eer, eer_lo, eer_hi  in percent, interpolated on the ROC, with a 95 % interval
                       over speakers drawn with replacement (the same draws for
                       all score files, so that rows can be compared) and, of a mean,
                       seeds as well; none for targets of fewer than 5 speakers
  eer_kaldi            in percent, by the step rule of Kaldi's compute-eer
  mindcf_P             at target prior P, both costs 1, normalised; costs other than 1
                       are another prior: P C_miss / (P C_miss + (1 - P) C_fa)
  min_cllr             the Cllr after pool adjacent violators, in bits
  actdcf_P, cllr       of log-likelihood ratios alone: the cost at the Bayes threshold
                       log((1 - P) / P), and that of the ratios themselves, in bits
  few_errors           the costs that rest on fewer than 30 misses or false alarms
  n_spk                speakers with an enrolment
  config               fingerprint of the model's settings, `-` if untrained

results.json has the intervals of all of these (`intervals`), and which files a row is
of. With --best-of true only the score file of lowest EER gets a row, marked best-of.
That is for untrained reference systems: to choose on the list itself makes the
reference stronger, never the system that is compared with it.
"""

import json
from pathlib import Path

import numpy as np

from chronovox import cli, runinfo
from chronovox.cli import UserError, log
from chronovox.evaluation import bootstrap, metrics, results, systems
from chronovox.scoring import name_below, read_info, read_scores
from chronovox.scoring.enrolments import read_speakers
from chronovox.trials import read_trials


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--best-of", type=cli.boolean, default=False, help="default false"
    )
    parser.add_argument(
        "--draws", type=cli.positive_int, default=1000, help="of speakers; default 1000"
    )
    parser.add_argument(
        "--p-targets", type=priors, default=metrics.P_TARGETS, metavar="NUMBERS",
        help="further priors, split at blanks (beside 0.01 0.05 0.001 0.5)",
    )  # fmt: skip
    parser.add_argument("data")
    parser.add_argument("trials")
    parser.add_argument("scores", nargs="+")
    parser.add_argument("results_dir")
    return parser


def priors(text: str) -> tuple[float, ...]:
    """The usual priors, and other numbers between 0 and 1, split at blanks."""
    values = tuple(dict.fromkeys([*metrics.P_TARGETS, *map(float, text.split())]))
    if not values or not all(0 < value < 1 for value in values):
        raise ValueError(text)
    if any(float(f"{value:g}") != value for value in values):
        raise ValueError(text)  # columns are named by six digits
    return values


def describe_list(data: Path, trials, speakers) -> dict:
    """The columns that all score files of a list share."""
    path = data / "corpus.json"
    try:
        corpus = json.loads(path.read_bytes()) if path.exists() else {}
    except (ValueError, RecursionError):
        corpus = None
    if not isinstance(corpus, dict):
        raise UserError(f"{path}: damaged: make the corpus again, or remove it")
    return {
        "data": name_below("data", data),
        "trials": Path(trials.path).name,
        "data_path": str(data),
        "trials_path": trials.path,
        "n_target": int(trials.is_target.sum()),
        "n_nontarget": int((~trials.is_target).sum()),
        "n_spk": len(np.unique(speakers.enrol)),
        "commit": runinfo.commit(),
        "command": runinfo.command(),
        "corpus": corpus or None,
    }


def with_intervals(row: dict, draws: dict[str, np.ndarray], few: bool) -> dict:
    """Add the intervals of all rates from those of every draw; none for `few` speakers.

    `eer_lo` and `eer_hi` are that of the EER.
    """
    intervals = {}
    if not few:
        found = {name: bootstrap.interval(values) for name, values in draws.items()}
        intervals = {name: list(bounds) for name, bounds in found.items() if bounds}
    low, high = intervals.get("eer", (None, None))
    count = int(np.isfinite(draws["eer"]).sum())
    return {
        **row, "eer_lo": low, "eer_hi": high, "intervals": intervals, "draws": count
    }  # fmt: skip


def mean_rows(rows: list[dict], draws: list[systems.Draws], few: bool) -> list[dict]:
    """For each configuration with several seeds, a row of means over them.

    Its intervals are over speakers and seeds, both drawn.
    """
    means = []
    for numbers in systems.of_one_configuration(rows):
        group = [rows[number] for number in numbers]
        if len(group) == 1:
            continue
        model, seed = systems.joined_name(group)
        mean = {
            **group[0],
            "model": model,
            "seed": seed,
            "marks": sorted({mark for row in group for mark in row["marks"]}),
            "few_errors": sorted({name for row in group for name in row["few_errors"]}),
            "embeddings_sha256": [row["embeddings_sha256"] for row in group],
            "scores": [path for row in group for path in row["scores"]],
        }
        drawn = systems.mean_draws([draws[number] for number in numbers])
        for name in (*drawn, "eer_kaldi"):
            mean[name] = float(np.mean([row[name] for row in group]))
        means.append(with_intervals(mean, drawn, few))
    return means


def summary(row: dict) -> str:
    """A row in a line: what it is of, EER and interval, the first cost, Cllr."""
    low, high = (results.cell(row, name) for name in ("eer_lo", "eer_hi"))
    costs = [name for name in ("mindcf_0.01", "actdcf_0.01", "min_cllr", "cllr")
             if row.get(name) is not None]  # fmt: skip
    return " ".join([
        row["model"], row["backend"], results.cell(row, "seed"), row["trials"],
        f"eer {results.cell(row, 'eer')} % [{low}, {high}]",
        *(f"{name} {results.cell(row, name)}" for name in costs),
    ])  # fmt: skip


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    trials = read_trials(args.trials)
    utt2spk = Path(args.data) / "utt2spk"
    speakers = trials.speakers(read_speakers(args.data), utt2spk)
    counts = bootstrap.draw_speakers(len(speakers.names), args.draws)
    common = describe_list(Path(args.data), trials, speakers)

    few = speakers.num_target(trials) < bootstrap.MIN_SPEAKERS
    rows, draws = [], []
    for path in args.scores:
        info = read_info(path, trials)
        row, drawn = systems.measure(
            read_scores(path, trials), trials, speakers, counts, info["llr"],
            args.p_targets,
        )  # fmt: skip
        draws.append(drawn)
        row = {**common, **info, **row, "scores": [path]}
        rows.append(with_intervals(row, drawn, few))
    if few:
        log.warning(
            "%s: targets of %d speakers: too few for an interval",
            trials.path, speakers.num_target(trials),
        )  # fmt: skip
    lost = int(np.isnan(draws[0]["eer"]).sum())
    if lost:
        log.warning(
            "%s: %d of %d draws of speakers hold trials of one kind only: the interval "
            "rests on the others", trials.path, lost, args.draws,
        )  # fmt: skip
    keys = [results.key_of(row) for row in rows]
    if len(set(keys)) < len(keys):
        raise UserError(f"{args.trials}: two of the score files are of the same system")

    if args.best_of:
        trained = [row["model"] for row in rows if row["config"] != "-"]
        if trained:
            raise UserError(
                f"{args.trials}: --best-of chooses on the list itself, which untrained "
                f"references alone may do, and {trained[0]} is trained"
            )
        best = min(rows, key=lambda row: row["eer"])
        out = [{**best, "marks": [*best["marks"], "best-of"]}]
    else:
        out = rows + mean_rows(rows, draws, few)
    older = results.update(args.results_dir, out, replaced=keys)
    if older:
        log.warning(
            "%s: %d rows of other embeddings of these models, or of another version of "
            "the list, are gone from %s", args.trials, older, args.results_dir,
        )  # fmt: skip
    for row in out:
        print(summary(row))
    log.info(
        "%d score files in, %d rows out to %s/results.tsv",
        len(rows), len(out), args.results_dir,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    cli.run(main)
