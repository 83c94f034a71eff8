#!/usr/bin/env python3
"""Time the scoring of trials, and their error rates; print `name value unit` rows.

Usage: tests/bench/bench_scoring.py [options]
  e.g.: tests/bench/bench_scoring.py --num-vectors 145000 --num-trials 600000

Trials that are scored one by one, with the length of both vectors computed each
time, are timed beside the matrix work on a part of the same list.
"""

import time

import numpy as np

from chronovox import cli
from chronovox.evaluation import bootstrap, measure
from chronovox.evaluation.metrics import SortedTrials
from chronovox.scoring.cosine import cosine_scores
from chronovox.trials.lists import Speakers

NUM_ONE_BY_ONE = 50000
NUM_SPEAKERS = 500
NUM_DRAWS = 100


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--num-vectors", type=cli.positive_int, default=20000)
    parser.add_argument("--num-trials", type=cli.positive_int, default=200000)
    parser.add_argument("--dimension", type=cli.positive_int, default=256)
    return parser


def one_by_one(vectors, enrol, test) -> np.ndarray:
    """The cosine of each trial in a loop."""
    scores = np.empty(len(enrol))
    for number, (first, second) in enumerate(zip(enrol, test, strict=True)):
        a, b = vectors[first], vectors[second]
        scores[number] = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    return scores


def timed(function, *arguments):
    """The result and the seconds of one call."""
    begin = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - begin


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(args.num_vectors, args.dimension))
    vectors = vectors.astype(np.float32)
    enrol, test = generator.integers(args.num_vectors, size=(2, args.num_trials))
    scores, scoring_s = timed(cosine_scores, vectors, enrol, test)
    few = slice(0, min(NUM_ONE_BY_ONE, args.num_trials))
    expected, loop_s = timed(one_by_one, vectors, enrol[few], test[few])
    np.testing.assert_allclose(scores[few], expected, atol=1e-6)

    is_target = generator.random(args.num_trials) < 0.5
    enrol_spk = generator.integers(NUM_SPEAKERS, size=args.num_trials)
    other = (enrol_spk + 1) % NUM_SPEAKERS
    names = [str(number) for number in range(NUM_SPEAKERS)]
    speakers = Speakers(names, enrol_spk, np.where(is_target, enrol_spk, other))
    ordered, sort_s = timed(SortedTrials, scores, is_target)
    _, measure_s = timed(measure, ordered)
    draws = bootstrap.draw_speakers(NUM_SPEAKERS, NUM_DRAWS)
    _, bootstrap_s = timed(bootstrap.eer_of_draws, ordered, speakers, draws)

    per_s, loop_per_s = args.num_trials / scoring_s, len(expected) / loop_s
    for name, value, unit in (
        ("scoring_cosine", round(per_s), "trials/s"),
        ("scoring_one_by_one", round(loop_per_s), "trials/s"),
        ("scoring_speedup", round(per_s / loop_per_s, 1), "times"),
        ("error_rates", round(args.num_trials / (sort_s + measure_s)), "trials/s"),
        ("bootstrap", round(NUM_DRAWS / bootstrap_s, 1), "draws/s"),
    ):
        print(f"{name} {value} {unit}")
    return 0


if __name__ == "__main__":
    cli.run(main)
