"""The rules of a trial list, as conf/trials/NAME.yaml holds them."""

from dataclasses import dataclass, field
from typing import Literal

MAX_PER_ENROLMENT = 10**6
# The tables of a data directory that hold the traits a non-target pair can share.
TRAIT_TABLES = {"gender": "spk2gender", "nationality": "spk2nationality"}


@dataclass(frozen=True)
class Positives:
    """Which two utterances of one speaker make a target trial.

    session: both from the same session, from different ones, or from any.
    per_enrolment: target trials of each enrolment utterance.
    """

    session: Literal["same", "different", "any"] = "any"
    per_enrolment: int = 2

    def __post_init__(self):
        if not 1 <= self.per_enrolment <= MAX_PER_ENROLMENT:
            raise ValueError(f"per_enrolment must be from 1 to {MAX_PER_ENROLMENT}")


@dataclass(frozen=True)
class Negatives:
    """Which utterances of two speakers make a non-target trial.

    same: traits that both speakers share. Speakers who share them form a group.
    min_group_size: speakers of smaller groups are left out of the list.
    per_enrolment: non-target trials of each enrolment utterance.
    """

    same: list[Literal["gender", "nationality"]] = field(default_factory=list)
    min_group_size: int = 2
    per_enrolment: int = 2

    def __post_init__(self):
        if not 1 <= self.per_enrolment <= MAX_PER_ENROLMENT:
            raise ValueError(f"per_enrolment must be from 1 to {MAX_PER_ENROLMENT}")
        if self.min_group_size < 2:
            raise ValueError("min_group_size must be 2 or more")
        if len(set(self.same)) < len(self.same):
            raise ValueError("same names a trait twice")


@dataclass(frozen=True)
class Rules:
    """What the trials of a list must obey."""

    positives: Positives = field(default_factory=Positives)
    negatives: Negatives = field(default_factory=Negatives)
