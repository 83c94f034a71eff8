"""Intervals of the equal error rate by drawing speakers anew.

Trials of one speaker are not independent, so speakers are drawn, not trials. A
speaker drawn n times counts n times: a target trial of speaker i counts n_i
times, a non-target trial of speakers i and j n_i n_j times.
"""

import numpy as np

from chronovox.evaluation.metrics import SortedTrials
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


def eer_of_draws(
    trials: SortedTrials, speakers: Speakers, draws: np.ndarray
) -> np.ndarray:
    """The equal error rate of every draw, `(num_draws,)`.

    NaN where a draw holds no pair of different speakers that was tried.
    """
    enrol = speakers.enrol[trials.order]
    # A target trial counts its speaker once: its other factor is a constant 1.
    test = np.where(trials.is_target, len(speakers.names), speakers.test[trials.order])
    counts = np.append(draws, np.ones((len(draws), 1), draws.dtype), axis=1)
    return np.array([trials.eer(count[enrol] * count[test]) for count in counts])


def interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float] | None:
    """The central interval of the values that are numbers; None without any."""
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return None
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)
