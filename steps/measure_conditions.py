#!/usr/bin/env python3
"""Break the error rate of a list down by gender, age, years between, and so on.

Usage: steps/measure_conditions.py [--draws N] DATA TRIALS SCORES [SCORES ...] \\
           RESULTS_DIR
  e.g.: steps/measure_conditions.py data/test data/test/trials/random \\
            exp/xvector_aam_s1/scores_test/random.plda exp/results

Conditions, each left out if DATA lacks its table:

  gender       f, m: of both sides; mixed: of two, as some non-targets are
  nationality  of the enrolment speaker (spk2nationality)
  age          of the enrolment, in years (utt2age)
  duration     of the shorter side, in thirds of the list (utt2dur)
  gap          years between both sides of a target, by session2date (ISO dates or day
               numbers) and utt2session, where these are not there by utt2age
  session      a target of one session, of different sessions (utt2session)

Non-targets are those of the value; but for gap and session they are all of the list, so
that the values differ in their targets alone. `20+ minus 0-5` is the rise of the EER
from the first gap to the last, its interval from the same draws of speakers for both.

Where a table lacks a speaker or an utterance, its trials are counted as `unknown`. That
and a value with trials of one kind only, or targets of fewer than 5 speakers, has no
rates. An enrolment of several utterances has the mean of their ages and days, the sum
of their durations, and all of their sessions.

Prints a table: the trials, the speakers with a target (n_spk), EER in percent with its
95 % interval over speakers, minDCF at prior 0.05 and, of log-likelihood ratios, actDCF
at 0.05 and Cllr. Writes them to RESULTS_DIR/conditions.tsv and, the EER as a fraction,
conditions.json; rows of before of the same system and list are replaced.
"""

from pathlib import Path

import numpy as np

from chronovox import cli
from chronovox.cli import UserError, log
from chronovox.evaluation import bootstrap, conditions, metrics, results
from chronovox.evaluation.conditions import UNKNOWN, Condition
from chronovox.evaluation.metrics import SortedTrials
from chronovox.evaluation.tables import Table, aligned
from chronovox.files import write_lines
from chronovox.scoring import read_info, read_scores
from chronovox.scoring.enrolments import read_speakers
from chronovox.trials import read_trials
from chronovox.trials.lists import Speakers

PRIOR = 0.05
COUNTS = "n_target", "n_nontarget", "n_spk"
RATES = "eer", "eer_lo", "eer_hi", f"mindcf_{PRIOR}", f"actdcf_{PRIOR}", "cllr"
COLUMNS = (
    *results.KEY, "condition", "value", *COUNTS, *RATES, "marks", "trials_sha256",
    "few_errors",
)  # fmt: skip
BESIDE = "marks", "trials_sha256", "embeddings_sha256"
HEADER = (
    "", "", "targets", "non-targets", "speakers", "EER", "[95 %]", "DCF.05", "actual",
    "Cllr",
)  # fmt: skip


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--draws", type=cli.positive_int, default=1000, help="of speakers; default 1000"
    )
    parser.add_argument("data")
    parser.add_argument("trials")
    parser.add_argument("scores", nargs="+")
    parser.add_argument("results_dir")
    return parser


def count(trials, speakers: Speakers, some) -> dict:
    """A row that tells how many of the trials are `some`, without rates."""
    targets = trials.is_target & some
    row = {**dict.fromkeys((*COUNTS, *RATES)), "few_errors": []}
    row["n_target"] = int(targets.sum())
    row["n_nontarget"] = int(some.sum()) - row["n_target"]
    row["n_spk"] = len(np.unique(speakers.enrol[targets]))
    return row


def measure(scores, trials, speakers: Speakers, some, llr: bool, draws):
    """Rates of `some` of the trials, and the EER of every draw."""
    is_target = trials.is_target[some]
    ordered = SortedTrials(scores[some], is_target, (PRIOR,) if llr else ())
    people = Speakers(speakers.names, speakers.enrol[some], speakers.test[some])
    drawn = bootstrap.eer_of_draws(ordered, people, draws)
    curve = ordered.curve()
    rates = with_interval(curve.eer(), drawn)
    rates[f"mindcf_{PRIOR}"] = curve.min_dcf(PRIOR)
    rates["few_errors"] = metrics.few_errors(curve, (PRIOR,))
    if llr:
        rates |= {f"actdcf_{PRIOR}": curve.act_dcf(PRIOR), "cllr": curve.cllr()}
    return rates, drawn


def with_interval(eer: float, drawn: np.ndarray) -> dict:
    """A rate, or a difference of rates, and its interval."""
    low, high = bootstrap.interval(drawn) or (None, None)
    return {"eer": eer, "eer_lo": low, "eer_hi": high}


def break_down(
    condition: Condition, scores, trials, speakers: Speakers, llr: bool, draws
) -> list[dict]:
    """A row for each value; of gaps, one more of the rise."""
    rows, drawn = {}, {}
    for value in condition.values:
        some = condition.trials(value, trials.is_target)
        row = rows[value] = count(trials, speakers, some)
        if row["n_spk"] >= bootstrap.MIN_SPEAKERS and row["n_nontarget"]:
            rates, drawn[value] = measure(scores, trials, speakers, some, llr, draws)
            row |= rates
    counted = trials.is_target if condition.of_targets else True
    if ((condition.code < 0) & counted).any():
        some = condition.trials(UNKNOWN, trials.is_target)
        rows[UNKNOWN] = count(trials, speakers, some)
    ends = condition.values[:1] + condition.values[-1:]
    if condition.name == "gap" and drawn.keys() >= set(ends):
        first, last = ends
        rise = rows[last]["eer"] - rows[first]["eer"]
        rows[f"{last} minus {first}"] = {
            **dict.fromkeys((*COUNTS, *RATES)),
            "few_errors": [],
            **with_interval(rise, drawn[last] - drawn[first]),
        }
    return [
        {"condition": condition.name, "value": value, **row}
        for value, row in rows.items()
    ]


def to_lines(table: list[dict]) -> list[str]:
    """The lines of conditions.tsv."""
    cells = ([results.cell(row, name) for name in COLUMNS] for row in table)
    return ["\t".join(line) for line in (COLUMNS, *cells)]


def check(row: dict) -> None:
    """Raise KeyError or TypeError for a row that this script did not write."""
    for name in COLUMNS:
        results.cell({name: row[name]}, name)


TABLE = Table(
    "conditions.json", results.KEY, check, "steps/measure_conditions.py",
    "measure again",
)  # fmt: skip


def show(rows: list[dict]) -> None:
    """Print the rows of a score file."""
    table, before = [HEADER], None
    for row in rows:
        eer, low, high = (
            "-" if row[name] is None else f"{100 * row[name]:.2f}"
            for name in ("eer", "eer_lo", "eer_hi")
        )
        costs = (
            "-" if row[n] is None
            else f"{row[n]:.3f}" + ("\N{DAGGER}" if n in row["few_errors"] else "")
            for n in RATES[3:]
        )  # fmt: skip
        name = row["condition"] if row["condition"] != before else ""
        counts = (results.cell(row, count) for count in COUNTS)
        table.append((name, row["value"], *counts, eer, f"[{low}, {high}]", *costs))
        before = row["condition"]
    first = rows[0]
    marks = f" (marked: {', '.join(first['marks'])})" if first["marks"] else ""
    print(
        f"{first['model']}, {first['backend']}{marks}: {first['data']}, trials "
        f"{first['trials']}"
    )
    print("\n".join(aligned(table, num_left=2)))
    if any(row["few_errors"] for row in rows):
        print("  \N{DAGGER} rests on fewer than 30 misses or false alarms")
    print()


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    data, trials = Path(args.data), read_trials(args.trials)
    speakers = trials.speakers(read_speakers(data), data / "utt2spk")
    draws = bootstrap.draw_speakers(len(speakers.names), args.draws)
    found, missing = conditions.find(data, trials, speakers)
    if missing:
        log.warning("%s has no table for: %s", data, "; ".join(missing))
    if not found:
        log.warning("%s: no table of any condition: nothing to measure", data)
    rows: dict[tuple, list[dict]] = {}
    for path in args.scores:
        info = read_info(path, trials)
        scores = read_scores(path, trials)
        common = results.identity(info, data, trials)
        key = results.key_of(common)
        if key in rows:
            raise UserError(f"{path}: another of the score files is of the same system")
        beside = {name: info[name] for name in BESIDE}
        rows[key] = [
            {**common, **row, **beside}
            for condition in found
            for row in break_down(
                condition, scores, trials, speakers, info["llr"], draws
            )
        ]
    out = [row for group in rows.values() for row in group]
    table = Path(args.results_dir) / "conditions.json"
    with TABLE.updated(args.results_dir, out, rows) as rows_now:
        write_lines(table.with_suffix(".tsv"), to_lines(rows_now))
    for group in filter(None, rows.values()):
        show(group)
    log.info("%d score files in, %d rows out to %s", len(rows), len(out), table)
    return 0


if __name__ == "__main__":
    cli.run(main)
