#!/usr/bin/env python3
"""How often do intervals of the equal error rate hold the truth?

Usage: tests/full/coverage.py [options]
  e.g.: tests/full/coverage.py --sets 500

Sets of trials are made up, of speakers drawn anew for each set. The score of a target
is that of its speaker, `m + a`, and noise; of a non-target, what each of both speakers
adds, `b + b'`, and noise; a, b and noise are normal, so that the true rate is known:
with the standard deviations s and t of all targets and all non-targets it is
Phi(-m / (s + t)). Each set gives a 95 % interval by drawing speakers, as
steps/compute_metrics.py does, and one by drawing trials, which takes them for
independent. Fails if the first holds the truth in fewer than 93 % of the sets or in
more than 97 %, or if the second does so in 93 % or more.
"""

import numpy as np
from scipy.stats import norm

from chronovox import cli
from chronovox.evaluation import bootstrap
from chronovox.evaluation.metrics import SortedTrials
from chronovox.trials.lists import Speakers

MEAN, OF_TARGETS, OF_NONTARGETS, NOISE = 4.0, 0.8, 0.5, 1.0
LOWEST, HIGHEST = 0.93, 0.97


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--sets", type=cli.positive_int, default=1000, help="(1000)")
    parser.add_argument("--draws", type=cli.positive_int, default=1000, help="(1000)")
    parser.add_argument("--speakers", type=cli.positive_int, default=100, help="(100)")
    parser.add_argument(
        "--trials", type=cli.positive_int, default=20, metavar="N",
        help="of each kind for each speaker (20)",
    )  # fmt: skip
    return parser


def true_eer() -> float:
    """Of all speakers there could be."""
    targets = np.hypot(OF_TARGETS, NOISE)
    nontargets = np.sqrt(2 * OF_NONTARGETS**2 + NOISE**2)
    return float(norm.cdf(-MEAN / (targets + nontargets)))


def make_set(num_speakers: int, num_trials: int, generator):
    """Scores and speakers of a set of trials."""
    own, shared = generator.normal(size=(2, num_speakers))
    enrol = np.repeat(np.arange(num_speakers), num_trials)
    other = (enrol + generator.integers(1, num_speakers, len(enrol))) % num_speakers
    targets = MEAN + OF_TARGETS * own[enrol]
    nontargets = OF_NONTARGETS * (shared[enrol] + shared[other])
    scores = np.concatenate([targets, nontargets])
    scores += NOISE * generator.normal(size=len(scores))
    names = [str(number) for number in range(num_speakers)]
    sides = np.concatenate([enrol, enrol]), np.concatenate([enrol, other])
    return scores, Speakers(names, *sides)


def draw_trials(trials: SortedTrials, num_draws: int, generator) -> np.ndarray:
    """The equal error rates of trials drawn with replacement, of each kind as many."""
    rates = []
    for _ in range(num_draws):
        weights = np.zeros(len(trials.is_target), np.int64)
        for kind in (True, False):
            rows = np.flatnonzero(trials.is_target == kind)
            drawn = generator.integers(0, len(rows), len(rows))
            weights[rows] = np.bincount(drawn, minlength=len(rows))
        rates.append(trials.curve(lambda block, w=weights: w[block]).eer())
    return np.array(rates)


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    truth = true_eer()
    held = np.zeros((args.sets, 2), bool)
    width = np.zeros((args.sets, 2))
    for number in range(args.sets):
        generator = np.random.default_rng([7, number])
        scores, speakers = make_set(args.speakers, args.trials, generator)
        trials = SortedTrials(scores, speakers.enrol == speakers.test)
        draws = bootstrap.draw_speakers(args.speakers, args.draws, number)
        for column, rates in enumerate((
            bootstrap.eer_of_draws(trials, speakers, draws),
            draw_trials(trials, args.draws, generator),
        )):  # fmt: skip
            low, high = bootstrap.interval(rates)
            held[number, column] = low <= truth <= high
            width[number, column] = high - low
    print(
        f"{args.sets} sets of {args.speakers} speakers with {args.trials} targets and "
        f"non-targets each; the true EER is {100 * truth:.2f} %"
    )
    for column, name in enumerate(("speakers", "trials")):
        share, mean = held[:, column].mean(), width[:, column].mean()
        print(
            f"drawing {name + ':':<10} 95 % intervals hold it in {100 * share:.1f} % "
            f"of the sets, mean width {100 * mean:.2f} %"
        )
    of_speakers, of_trials = held.mean(axis=0)
    return int(not LOWEST <= of_speakers <= HIGHEST or of_trials >= LOWEST)


if __name__ == "__main__":
    cli.run(main)
