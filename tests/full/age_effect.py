#!/usr/bin/env python3
"""Print what the years between two recordings cost: only-CAg minus match-CAg.

The targets are g years or more apart in the one, at most 2 in the other. Not every
enrolment of only-CAg has such a target in match-CAg, so of only-CAg those count that
match-CAg has too, with its non-targets. Then the difference of the error rates is the
effect of age; its interval comes from the same draws of speakers for both.

Usage: tests/full/age_effect.py DATA SCORES
  e.g.: tests/full/age_effect.py data/test exp/xvector_aam_s1/scores_test

Reads DATA/trials/{only,match}-CAg and SCORES/*.cosine for g of 5, 10, 15 and 20 years.
Columns: g, the targets of only-CAg that count, speakers, the EER of both lists and
their difference with its 95 % interval, in percent.
"""

from pathlib import Path

import numpy as np

from chronovox import cli
from chronovox.cli import UserError
from chronovox.datadir import read_table
from chronovox.evaluation import bootstrap
from chronovox.evaluation.metrics import SortedTrials
from chronovox.scoring import read_scores
from chronovox.trials import read_trials
from chronovox.trials.lists import Speakers

GAPS = (5, 10, 15, 20)


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--draws", type=cli.positive_int, default=1000, help="of speakers; default 1000"
    )
    parser.add_argument("data")
    parser.add_argument("scores", help="folder with only-CAg.cosine, match-CAg.cosine")
    return parser


def nontargets_of(trials) -> set[tuple[str, str]]:
    """Both sides of each non-target trial."""
    sides = zip(trials.enrol, trials.test, trials.is_target, strict=True)
    return {(enrol, test) for enrol, test, target in sides if not target}


def kept(only, match) -> np.ndarray:
    """Which trials of only-CAg count, `(N,)`. Raises UserError for another's lists."""
    nontargets = nontargets_of(match)
    enrolments = set(match.enrol)
    if not nontargets <= nontargets_of(only):
        raise UserError(f"{match.path}: has non-targets that {only.path} has not")
    return np.array(
        [
            enrol in enrolments if target else (enrol, test) in nontargets
            for enrol, test, target in zip(
                only.enrol, only.test, only.is_target, strict=True
            )
        ]
    )


def measure(data: Path, scores: Path, gap: int, num_draws: int) -> list[str]:
    """The cells of one gap. Raises UserError if the lists are not made for a pair."""
    utt2spk = read_table(data / "utt2spk")
    numbers = {spk: n for n, spk in enumerate(sorted(set(utt2spk.values())))}
    draws = bootstrap.draw_speakers(len(numbers), num_draws)
    names = [f"{kind}-CA{gap}" for kind in ("only", "match")]
    lists = [read_trials(data / "trials" / name) for name in names]
    counted = [kept(*lists), np.ones(len(lists[1]), bool)]
    eer, drawn = [], []
    for name, trials, some in zip(names, lists, counted, strict=True):
        values = read_scores(scores / f"{name}.cosine", trials)[some]
        enrol, test = (
            np.array([numbers[utt2spk[utt]] for utt in side])[some]
            for side in (trials.enrol, trials.test)
        )
        ordered = SortedTrials(values, trials.is_target[some])
        people = Speakers(list(numbers), enrol, test)
        eer.append(ordered.eer())
        drawn.append(bootstrap.eer_of_draws(ordered, people, draws))
    low, high = np.multiply(bootstrap.interval(drawn[0] - drawn[1]), 100)
    return [
        str(gap), str(int((lists[0].is_target & counted[0]).sum())),
        str(len(np.unique(enrol))), f"{100 * eer[0]:.2f}", f"{100 * eer[1]:.2f}",
        f"{100 * (eer[0] - eer[1]):.2f}", f"[{low:.2f}, {high:.2f}]",
    ]  # fmt: skip


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    rows = [["gap", "targets", "speakers", "only %", "match %", "minus", "95 %"]]
    for gap in GAPS:
        rows.append(measure(Path(args.data), Path(args.scores), gap, args.draws))
    for row in rows:
        print("{:>5} {:>8} {:>9} {:>7} {:>8} {:>7}  {}".format(*row))
    return 0


if __name__ == "__main__":
    cli.run(main)
