#!/usr/bin/env python3
"""Print what the years between two recordings cost: only-CAg minus match-CAg.

Both lists have the same enrolments and non-targets; the targets are g years or more
apart in the one, at most 2 in the other. So the difference of their error rates is the
effect of age; its interval comes from the same draws of speakers for both.

Usage: tests/full/age_effect.py DATA SCORES
  e.g.: tests/full/age_effect.py data/test exp/xvector_aam_s1/scores_test

Reads DATA/trials/{only,match}-CAg and SCORES/*.cosine for g of 5, 10, 15 and 20 years.
Columns: g, targets and speakers of only-CAg, the EER of both lists and their difference
with its 95 % interval, in percent.
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


def common(data: Path, scores: Path, name: str, utt2spk, numbers: dict[str, int]):
    """Trials sorted by score, and their speakers as `numbers` has them."""
    trials = read_trials(data / "trials" / name)
    ordered = SortedTrials(
        read_scores(scores / f"{name}.cosine", trials), trials.is_target
    )
    sides = [
        np.array([numbers[utt2spk[utt]] for utt in side])
        for side in (trials.enrol, trials.test)
    ]
    return trials, ordered, Speakers(list(numbers), *sides)


def measure(data: Path, scores: Path, gap: int, num_draws: int) -> list[str]:
    """The cells of one gap. Raises UserError if the lists are not made for a pair."""
    utt2spk = read_table(data / "utt2spk")
    numbers = {spk: n for n, spk in enumerate(sorted(set(utt2spk.values())))}
    draws = bootstrap.draw_speakers(len(numbers), num_draws)
    found = [
        common(data, scores, f"{kind}-CA{gap}", utt2spk, numbers)
        for kind in ("only", "match")
    ]
    shared = [
        sorted(
            (e, t)
            for e, t, is_target in zip(
                trials.enrol, trials.test, trials.is_target, strict=True
            )
            if not is_target
        )
        for trials, _, _ in found
    ]
    if shared[0] != shared[1]:
        raise UserError(f"{data}/trials/match-CA{gap}: has other non-targets")
    eer = [ordered.eer() for _, ordered, _ in found]
    drawn = [bootstrap.eer_of_draws(o, people, draws) for _, o, people in found]
    low, high = np.multiply(bootstrap.interval(drawn[0] - drawn[1]), 100)
    trials, _, people = found[0]
    num_spk = len(np.unique(people.enrol))
    return [
        str(gap), str(trials.is_target.sum()), str(num_spk), f"{100 * eer[0]:.2f}",
        f"{100 * eer[1]:.2f}", f"{100 * (eer[0] - eer[1]):.2f}",
        f"[{low:.2f}, {high:.2f}]",
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
