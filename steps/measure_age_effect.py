#!/usr/bin/env python3
"""Print what the years between two recordings cost: only-CAg minus match-CAg.

The targets of the one are g years or more apart, those of the other at most 2. Not
every enrolment of only-CAg has as many targets so near in time; so of only-CAg those
non-targets count that match-CAg has too, and of an enrolment as many targets as there.
Then speakers, enrolments and non-targets are the same, and the difference of the error
rates is the effect of age; its interval comes from the same draws of speakers for both.

Usage: steps/measure_age_effect.py [options] DATA SCORES_DIR [SCORES_DIR ...]
  e.g.: steps/measure_age_effect.py data/test exp/xvector_aam_s1/scores_test

Reads DATA/trials/{only,match}-CAg and SCORES_DIR/{only,match}-CAg.BACKEND, with what
steps/score_trials.py wrote beside it (.json), for every g that has all four. Columns:
the model, g, the targets of each list, their speakers, the EER of both and its
difference with a 95 % interval, in percent; no interval for fewer than 5 speakers.
"""

import re
from collections import Counter
from pathlib import Path

import numpy as np

from chronovox import cli
from chronovox.cli import UserError
from chronovox.datadir import read_table
from chronovox.evaluation import bootstrap
from chronovox.evaluation.metrics import SortedTrials
from chronovox.evaluation.tables import aligned
from chronovox.scoring import name_below, read_info, read_scores
from chronovox.trials import read_trials
from chronovox.trials.lists import Speakers

KINDS = "only", "match"
HEADER = ("", "years", "targets", "speakers", "only-CA", "match-CA", "minus", "[95 %]")


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--backend", default="cosine", help="default: cosine")
    parser.add_argument(
        "--draws", type=cli.positive_int, default=1000, help="of speakers; default 1000"
    )
    parser.add_argument("data")
    parser.add_argument("scores", nargs="+", metavar="SCORES_DIR")
    return parser


def gaps_of(data: Path, scores: Path, backend: str) -> list[int]:
    """The years g for which both lists are there, and their scores."""
    names = [path.name for path in (data / "trials").glob("only-CA*")]
    numbers = (re.fullmatch(r"only-CA(\d+)", name) for name in names)
    return sorted(
        gap
        for gap in (int(number[1]) for number in numbers if number)
        if (data / f"trials/match-CA{gap}").exists()
        and all((scores / f"{kind}-CA{gap}.{backend}").exists() for kind in KINDS)
    )


def kept(only, match) -> np.ndarray:
    """Which trials of only-CAg count, `(N,)`. Raises UserError for another's lists."""
    nontargets = match.nontargets()
    rows = match.blocks(match.is_target)
    left = Counter(enrol for enrol, _, is_target in rows if is_target)
    if not nontargets <= only.nontargets():
        raise UserError(
            f"{match.path}: has non-targets that {only.path} has not: select both of "
            "one seed"
        )
    counts = np.zeros(len(only), bool)
    for number, (enrol, test, target) in enumerate(only.blocks(only.is_target)):
        counts[number] = left[enrol] > 0 if target else (enrol, test) in nontargets
        left[enrol] -= bool(target)
    return counts


def measure(
    data: Path, scores: Path, backend: str, gap: int, num_draws: int
) -> tuple[str, ...]:
    """The cells of one gap. Raises UserError if the lists are not made for a pair."""
    utt2spk = read_table(data / "utt2spk")
    numbers = {spk: n for n, spk in enumerate(sorted(set(utt2spk.values())))}
    draws = bootstrap.draw_speakers(len(numbers), num_draws)
    lists = [read_trials(data / f"trials/{kind}-CA{gap}") for kind in KINDS]
    counted = [kept(*lists), np.ones(len(lists[1]), bool)]
    eer, drawn = [], []
    for trials, some in zip(lists, counted, strict=True):
        path = scores / f"{Path(trials.path).name}.{backend}"
        read_info(path, trials)  # refuses scores of another list
        values = read_scores(path, trials)[some]
        enrol, test = (side[some] for side in trials.rows(
            {utt: numbers[spk] for utt, spk in utt2spk.items()}, data / "utt2spk"
        ))  # fmt: skip
        ordered = SortedTrials(values, trials.is_target[some])
        people = Speakers(list(numbers), enrol, test)
        eer.append(ordered.eer())
        drawn.append(bootstrap.eer_of_draws(ordered, people, draws))
    num_speakers = len(np.unique(enrol))
    bounds = bootstrap.interval(drawn[0] - drawn[1])
    if bounds is None or num_speakers < bootstrap.MIN_SPEAKERS:
        bounds = np.nan, np.nan
    num_targets = (lists[0].is_target & counted[0]).sum()
    rates = [100 * rate for rate in (*eer, eer[0] - eer[1])]
    return (
        name_below("exp", scores.parent), str(gap), str(num_targets),
        str(num_speakers), *(f"{rate:.2f}" for rate in rates),
        "[{:.2f}, {:.2f}]".format(*np.multiply(bounds, 100)),
    )  # fmt: skip


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    data, rows = Path(args.data), [HEADER]
    for scores in map(Path, args.scores):
        if not scores.is_dir():
            raise UserError(f"{scores}: no such folder: score the trials (--stage 6)")
        for gap in gaps_of(data, scores, args.backend):
            rows.append(measure(data, scores, args.backend, gap, args.draws))
    if len(rows) == 1:
        cli.log.info("%s: no scores of a pair only-CAg, match-CAg", *args.scores[:1])
        return 0
    print("\nwhat the years cost: EER of only-CAg minus match-CAg")
    print("\n".join(aligned(rows, num_left=0)))
    return 0


if __name__ == "__main__":
    cli.run(main)
