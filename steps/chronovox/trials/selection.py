"""Selecting trials: a uniform draw among the pairs that the rules allow.

Every utterance is an enrolment once and is compared with some partners. No pair
may stand in the list in both orders, so each belongs to one of its two
utterances: a hash puts all utterances on a circle, and a pair belongs to the one
from which the other lies within half a turn ahead. The partners of an utterance
are thus a function of the seed and of that utterance alone, whatever else is
selected before it. Where the pairs of its own do not suffice, an utterance also
takes those that their owners left.
"""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from chronovox.trials.lists import Trials
from chronovox.trials.pool import Pool
from chronovox.trials.rules import Rules

_HALF_TURN = np.uint64(2**63)


@dataclass(frozen=True)
class Shortage:
    """An enrolment utterance that got fewer trials than the rules ask for."""

    utt: str
    label: str
    found: int
    asked: int
    reason: str

    def __str__(self) -> str:
        return f"{self.utt} {self.label} {self.found} of {self.asked}: {self.reason}"


class Selection(NamedTuple):
    """The trials, sorted by enrolment, and what is missing from them."""

    trials: Trials
    shortages: list[Shortage]


def select(pool: Pool, rules: Rules, seed: int) -> Selection:
    """Select trials that obey `rules`; a shortage is listed and never filled.

    An enrolment gets as many non-targets in proportion as it got targets, so
    that the list stays balanced.
    """
    places = _places(pool.utts, seed)
    asked = np.where(pool.eligible, rules.positives.per_enrolment, 0)
    targets = _draw(pool.positives, asked, places, 0)
    found = np.array([len(partners) for partners in targets])
    per_target = rules.negatives.per_enrolment, rules.positives.per_enrolment
    wanted = -(-found * per_target[0] // per_target[1])
    nontargets = _draw(pool.negatives, wanted, places, 1)

    enrol, test, is_target, shortages = [], [], [], []
    for row, utt in enumerate(pool.utts):
        if not pool.eligible[row]:
            reason = f"its group has {pool.group_size(row)} speakers"
            shortages.append(
                Shortage(utt, "target", 0, rules.positives.per_enrolment, reason)
            )
            continue
        for label, chosen, number, candidates in (
            ("target", targets[row], asked[row], pool.positives),
            ("nontarget", nontargets[row], wanted[row], pool.negatives),
        ):
            enrol += [utt] * len(chosen)
            test += [pool.utts[partner] for partner in np.sort(chosen)]
            is_target += [label == "target"] * len(chosen)
            if len(chosen) < number:
                reason = _reason(len(candidates(row)))
                shortages.append(Shortage(utt, label, len(chosen), number, reason))
    trials = Trials(enrol, test, np.array(is_target, bool), "the selected trials")
    return Selection(trials, shortages)


def _reason(num_allowed: int) -> str:
    if num_allowed == 0:
        return "the rules allow no partner"
    return f"{num_allowed} partners allowed; the other pairs stand in the other order"


def _places(utts: list[str], seed: int) -> np.ndarray:
    """The place of every utterance on the circle of 2^64 points, `(U,)` uint64."""
    digests = (
        hashlib.blake2b(f"{seed} {utt}".encode(), digest_size=8).digest()
        for utt in utts
    )
    return np.frombuffer(b"".join(digests), "<u8")


def _draw(candidates, asked, places, stream: int) -> list[np.ndarray]:
    """Draw `asked[row]` of `candidates(row)` for each row, without replacement.

    First among the pairs that belong to a row; rows that fall short then take of
    their other pairs those that the owner has not drawn.
    """
    drawn = [np.zeros(0, np.int64)] * len(places)
    short = []
    for row in np.flatnonzero(asked):
        own = _ahead(candidates(row), row, places)
        number = min(asked[row], len(own))
        generator = np.random.default_rng([int(places[row]), stream])
        drawn[row] = generator.choice(own, number, replace=False)
        if number < asked[row]:
            short.append(row)
    left = {}
    for row in short:
        others = np.setdiff1d(candidates(row), _ahead(candidates(row), row, places))
        free = np.array([c for c in others if row not in drawn[c]], np.int64)
        number = min(asked[row] - len(drawn[row]), len(free))
        generator = np.random.default_rng([int(places[row]), stream, 1])
        left[row] = generator.choice(free, number, replace=False)
    for row, more in left.items():
        drawn[row] = np.concatenate([drawn[row], more])
    return drawn


def _ahead(partners: np.ndarray, row: int, places: np.ndarray) -> np.ndarray:
    """Those of `partners` whose pair with `row` belongs to `row`."""
    return partners[places[partners] - places[row] < _HALF_TURN]
