"""Intervals of error rates by drawing speakers anew.

Trials of one speaker are not independent, so speakers are drawn, not trials. A
speaker drawn n times counts n times: a target trial of speaker i counts n_i
times, a non-target trial of speakers i and j n_i n_j times. Where a system was trained
with several seeds, these are drawn as well, for each draw of speakers: two crossed
factors (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics, 2007).
"""

from collections.abc import Iterator

import numpy as np

from chronovox.evaluation.metrics import Curve, SortedTrials
from chronovox.trials.lists import Speakers

SEED = 1
LEVEL = 0.95
MIN_SPEAKERS = 5  # fewer give an interval that is too narrow to be shown


def draw_speakers(num_speakers: int, num_draws: int, seed: int = SEED) -> np.ndarray:
    """How often each speaker is drawn, `(num_draws, num_speakers)`; rows sum up.

    Systems that are compared on one list get the same draws.
    """
    generator = np.random.default_rng([seed, num_speakers])
    probability = np.full(num_speakers, 1.0 / num_speakers)
    return generator.multinomial(num_speakers, probability, size=num_draws)


def draw_seeds(num_seeds: int, num_draws: int, stream: int = 0) -> np.ndarray:
    """The share that each seed of a system has in each draw, `(num_draws, num_seeds)`.

    stream: systems that were trained apart are drawn apart.
    """
    generator = np.random.default_rng([SEED, num_seeds, 1 + stream])
    probability = np.full(num_seeds, 1.0 / num_seeds)
    return generator.multinomial(num_seeds, probability, size=num_draws) / num_seeds


def curves(
    trials: SortedTrials, speakers: Speakers, draws: np.ndarray
) -> Iterator[Curve]:
    """The curve of every draw.

    All its rates are NaN where a draw holds trials of one kind only.
    """
    draws = draws.astype(np.int32)
    enrol = speakers.enrol[trials.order]
    # A target trial counts its speaker once: its other factor is a constant 1.
    test = speakers.test[trials.order]
    test[trials.is_target] = len(speakers.names)
    for drawn in np.append(draws, np.ones((len(draws), 1), np.int32), axis=1):
        yield trials.curve(
            lambda block, drawn=drawn: drawn[enrol[block]] * drawn[test[block]]
        )


def eer_of_draws(
    trials: SortedTrials, speakers: Speakers, draws: np.ndarray
) -> np.ndarray:
    """The equal error rate of every draw, `(num_draws,)`, NaN where there is none."""
    return np.array([curve.eer() for curve in curves(trials, speakers, draws)])


def interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float] | None:
    """The central interval of the values that are numbers; None without any."""
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return None
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)
