"""The rules of a trial list, as conf/trials/NAME.yaml holds them."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from chronovox import config
from chronovox.cli import UserError
from chronovox.trials.lists import check_name

MAX_PER_ENROLMENT = 10**6
MAX_YEARS = 200
# Lists whose non-targets are further off the ages of the targets are not gap-matched.
MATCHED_YEARS = 1.0
AgeRule = Literal["none", "matched", "unmatched"]
# The tables of a data directory that hold the traits a non-target pair can share.
TRAIT_TABLES = {"gender": "spk2gender", "nationality": "spk2nationality"}


@dataclass(frozen=True)
class Positives:
    """Which two utterances of one speaker make a target trial.

    session: both from the same session, from different ones, or from any.
    min_gap, max_gap: years between them, both included; an utterance without an age
    then takes no part. confidence: how sure it must be that the gap keeps to these
    bounds, by utt2age_std; without it the ages are taken at their word.
    per_enrolment: target trials of each enrolment utterance.
    """

    session: Literal["same", "different", "any"] = "any"
    min_gap: float | None = None
    max_gap: float | None = None
    confidence: float | None = None
    per_enrolment: int = 2

    def __post_init__(self):
        check_number("per_enrolment", self.per_enrolment, 1, MAX_PER_ENROLMENT)
        low = 0.0 if self.min_gap is None else self.min_gap
        check_number("min_gap", low, 0, MAX_YEARS)
        if self.max_gap is not None:
            check_number("max_gap", self.max_gap, low, MAX_YEARS)
        if self.confidence is not None:
            if not 0.5 < self.confidence < 1:
                raise ValueError("confidence must be between 0.5 and 1")
            if self.min_gap is None and self.max_gap is None:
                raise ValueError("confidence needs min_gap or max_gap")


@dataclass(frozen=True)
class SpeakerRule:
    """Whose utterances may enrol.

    min_age_span: years between the youngest and the oldest utterance of the speaker;
    strict: more than that, else at least that.
    """

    min_age_span: float | None = None
    strict: bool = True

    def __post_init__(self):
        if self.min_age_span is not None:
            check_number("min_age_span", self.min_age_span, 0, MAX_YEARS)


@dataclass(frozen=True)
class Negatives:
    """Which utterances of two speakers make a non-target trial.

    same: traits that both speakers share. Speakers who share them form a group.
    min_group_size: speakers of smaller groups enrol in no trial.
    gap_tolerance: if given, the n-th non-target of an enrolment has the age of its n-th
    target, give or take so many years, so that it is as many years away, and on the
    same side: younger or older. per_enrolment: non-target trials of each
    enrolment utterance.
    """

    same: list[Literal["gender", "nationality"]] = field(default_factory=list)
    min_group_size: int = 2
    gap_tolerance: float | None = None
    per_enrolment: int = 2

    def __post_init__(self):
        check_number("per_enrolment", self.per_enrolment, 1, MAX_PER_ENROLMENT)
        if self.min_group_size < 2:
            raise ValueError("min_group_size must be 2 or more")
        if len(set(self.same)) < len(self.same):
            raise ValueError("same names a trait twice")
        if self.gap_tolerance is not None:
            check_number("gap_tolerance", self.gap_tolerance, 0, MAX_YEARS)


@dataclass(frozen=True)
class Rules:
    """What the trials of a list must obey.

    like: the name of another file of rules in the same directory. Enrolments and
    non-targets are then those of the list which that file makes of the same seed, and
    `positives` alone are told here.
    """

    positives: Positives = field(default_factory=Positives)
    speakers: SpeakerRule = field(default_factory=SpeakerRule)
    negatives: Negatives = field(default_factory=Negatives)
    like: str | None = None

    def __post_init__(self):
        matched = self.negatives.gap_tolerance is not None
        if matched and self.negatives.per_enrolment != self.positives.per_enrolment:
            raise ValueError(
                "gap_tolerance needs as many non-targets as targets per enrolment"
            )
        others = self.speakers, self.negatives
        if self.like and others != (SpeakerRule(), Negatives()):
            raise ValueError("beside `like`, nothing but `positives` is told")

    @property
    def need_ages(self) -> bool:
        """Whether an utterance without an age is left out."""
        bounds = self.positives.min_gap, self.positives.max_gap
        values = *bounds, self.speakers.min_age_span, self.negatives.gap_tolerance
        return any(value is not None for value in values)


def read_rules(path) -> tuple[Rules, Rules | None]:
    """The rules of a file, and those that its `like` names.

    Raises UserError as `config.load` does, and for chains.
    """
    rules = config.load(path, Rules)
    if rules.like is None:
        return rules, None
    try:
        check_name(rules.like)
    except UserError as error:
        raise UserError(f"{path}: like: {error}") from None
    base_path = Path(path).with_name(f"{rules.like}.yaml")
    base = config.load(base_path, Rules)
    if base.like:
        raise UserError(f"{path}: like: {base_path} has a `like` itself: name that")
    if base.negatives.gap_tolerance is not None:
        raise UserError(f"{path}: like: {base_path} matches ages: no list is like that")
    number = base.positives.per_enrolment
    if rules.positives.per_enrolment not in (Positives().per_enrolment, number):
        raise UserError(f"{path}: per_enrolment: {base_path} says {number} for both")
    return replace(
        rules, positives=replace(rules.positives, per_enrolment=number)
    ), base


def age_rule(rules: Rules, base: Rules | None) -> AgeRule:
    """What a list tells of its classes by ages alone.

    none: no rule mentions age. matched: each non-target is as many years apart as a
    target, within MATCHED_YEARS. unmatched: the gap can tell targets from non-targets.
    """
    if not any(rule.need_ages for rule in (rules, base) if rule):
        return "none"
    tolerance = rules.negatives.gap_tolerance
    if tolerance is not None and tolerance <= MATCHED_YEARS:
        return "matched"
    return "unmatched"


def in_proportion(num_targets, rules: Rules):
    """How many non-targets an enrolment gets beside so many targets, rounded up."""
    total = num_targets * rules.negatives.per_enrolment
    return -(-total // rules.positives.per_enrolment)


def check_number(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError unless `value` is from `low` to `high`."""
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low:g} to {high:g}")
