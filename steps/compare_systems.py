#!/usr/bin/env python3
"""Compare systems on one list of trials, draw by draw.

Usage: steps/compare_systems.py [options] DATA TRIALS SCORES SCORES [...] RESULTS_DIR
  e.g.: steps/compare_systems.py data/test data/test/trials/hard \\
            exp/xv_s1/scores_test/hard.cosine exp/xv_s1/scores_test/hard.plda \\
            exp/results

Every other system is compared with that of the first score file. Score files of one
configuration and back end, of several seeds, are one system: its rate is the mean over
them. The 95 % interval of a difference is over speakers, drawn alike for both systems,
and over seeds: of models that both systems score, these are drawn alike too, of others
apart. An interval that holds 0 means that the data do not tell the two apart.

Writes or replaces rows of RESULTS_DIR/comparisons.json and prints them: rates of both,
the difference, second minus first, its interval, and p, twice the smaller share of
draws on one side of 0 (at least 2 in the number of draws). Rates are the EER, printed
in percent, and minimum costs at target priors 0.01 and 0.05.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from chronovox import cli, runinfo
from chronovox.cli import UserError
from chronovox.evaluation import bootstrap, comparisons, systems
from chronovox.evaluation.rows import stem_of
from chronovox.evaluation.tables import aligned
from chronovox.files import sha256
from chronovox.scoring import name_below, read_info, read_scores
from chronovox.scoring.enrolments import read_speakers
from chronovox.trials import read_trials

P_TARGETS = (0.01, 0.05)
METRICS = ("eer", *(f"mindcf_{p}" for p in P_TARGETS))
HEADER = ("", "of", "minus", "", "", "difference", "[95 %]", "p")


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


class System(NamedTuple):
    """A back end of one configuration: rates, those of all draws, and of what."""

    name: str
    rates: dict[str, float]
    drawn: systems.Draws
    few_errors: set[str]
    marks: set[str]
    embeddings: set[str]


def read_systems(args, trials, speakers) -> list[System]:
    """The systems, that of the first score file first. Raises UserError."""
    counts = bootstrap.draw_speakers(len(speakers.names), args.draws)
    infos = [read_info(path, trials) for path in args.scores]
    found = [
        systems.measure(
            read_scores(path, trials), trials, speakers, counts, False, P_TARGETS
        )
        for path in args.scores
    ]
    # Models of one configuration and the same seeds are drawn alike.
    streams: dict[tuple, int] = {}
    named = []
    for numbers in systems.of_one_configuration(infos):
        group = [infos[number] for number in numbers]
        model = group[0]["model"] if len(group) == 1 else systems.joined_name(group)[0]
        if len({i["config"] for i in infos if stem_of(i) == stem_of(group[0])}) > 1:
            model += f" [{group[0]['config'][:6]}]"
        models = tuple(sorted(info["model"] for info in group))
        stream = streams.setdefault(models, len(streams))
        rates = {
            name: float(np.mean([found[number][0][name] for number in numbers]))
            for name in METRICS
        }
        drawn = systems.mean_draws([found[number][1] for number in numbers], stream)
        named.append(System(
            f"{model}, {group[0]['backend']}", rates, drawn,
            {name for number in numbers for name in found[number][0]["few_errors"]},
            {mark for info in group for mark in info["marks"]},
            {info["embeddings_sha256"] for info in group},
        ))  # fmt: skip
    if len({system.name for system in named}) < len(named):
        raise UserError(
            f"{args.trials}: two systems have one name, "
            f"{', '.join(system.name for system in named)}: compare them in two calls"
        )
    return named


def shown(value: float, metric: str) -> str:
    """A rate in percent, or a cost."""
    return f"{100 * value:.2f}" if metric == "eer" else f"{value:.3f}"


def cells(row: dict) -> tuple[str, ...]:
    """A comparison as text."""
    bounds, p = "-", "-"
    if row["lo"] is not None:
        low, high = (shown(row[name], row["metric"]) for name in ("lo", "hi"))
        bounds, p = f"[{low}, {high}]", f"{row['p']:.3f}"
    values = (
        shown(row[n], row["metric"]) for n in ("value_b", "value_a", "difference")
    )
    second, first, difference = values
    metric = row["metric"] + (" \N{DAGGER}" if row["few_errors"] else "")
    name = row["b"] + (" *" if row["marks"] else "")
    return metric, name, row["a"], second, first, difference, bounds, p


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    trials = read_trials(args.trials)
    utt2spk = Path(args.data) / "utt2spk"
    speakers = trials.speakers(read_speakers(args.data), utt2spk)
    few = speakers.num_target(trials) < bootstrap.MIN_SPEAKERS
    first, *others = read_systems(args, trials, speakers)
    if not others:
        raise UserError(
            f"{args.scores[0]}: nothing to compare it with: give score files of two "
            "systems"
        )
    common = {
        "data": name_below("data", args.data), "trials": Path(args.trials).name,
        "trials_sha256": sha256(args.trials), "command": runinfo.command(),
        "commit": runinfo.commit(), "draws": args.draws, "a": first.name,
    }  # fmt: skip
    rows = [
        {
            **common, "b": other.name, "metric": metric,
            "marks": sorted(first.marks | other.marks),
            "few_errors": metric in first.few_errors | other.few_errors,
            "embeddings_sha256": sorted(first.embeddings | other.embeddings),
            **comparisons.compare(
                first.rates[metric], other.rates[metric], first.drawn[metric],
                other.drawn[metric], few,
            ),
        }
        for other in others
        for metric in METRICS
    ]  # fmt: skip
    with comparisons.TABLE.updated(args.results_dir, rows):
        pass
    print(f"{common['data']}, trials {common['trials']}")
    print("\n".join(aligned([HEADER, *map(cells, rows)], num_left=3)))
    marks = sorted({mark for row in rows for mark in row["marks"]})
    if marks:
        print(f"* marked: {', '.join(marks)}")
    if any(row["few_errors"] for row in rows):
        print("\N{DAGGER} rests on fewer than 30 misses or false alarms")
    return 0


if __name__ == "__main__":
    cli.run(main)
