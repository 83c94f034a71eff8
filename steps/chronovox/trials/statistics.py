"""What is told of a trial list: how many of what, and the years between its sides."""

import typing
from pathlib import Path

import numpy as np

from chronovox.cli import UserError
from chronovox.datadir import read_rows
from chronovox.trials.lists import Trials
from chronovox.trials.rules import AgeRule


def describe(is_target: np.ndarray, enrol_speaker: np.ndarray, gap: np.ndarray) -> dict:
    """Numbers by name, those of table 2 of Qin et al. (Interspeech 2022) among them.

    is_target bool, enrol_speaker, gap (years, NaN where not known): `(N,)`. Means and
    standard deviations of gaps are left out where no gap is known.
    """
    numbers = {
        "spk": len(np.unique(enrol_speaker)),
        "trials": len(is_target),
        "targets": int(is_target.sum()),
        "non-targets": int((~is_target).sum()),
    }
    for name, chosen in (("target", is_target), ("non-target", ~is_target)):
        known = gap[chosen & ~np.isnan(gap)]
        if len(known):
            numbers[f"{name}-gap-mean"] = f"{known.mean():.2f}"
            numbers[f"{name}-gap-sd"] = f"{known.std():.2f}"
    return numbers


def stats_path(trials) -> Path:
    """The numbers beside a trial list, `<name> <number>`."""
    trials = Path(trials)
    return trials.with_name(f"{trials.name}.stats")


def read_age_rule(trials: Trials) -> AgeRule:
    """What the rules of a list say of ages, by the line `age-rule` of its numbers.

    Raises UserError if nothing tells, or if the numbers are not those of the list.
    """
    path = stats_path(trials.path)
    remedy = (
        "select the list again (steps/select_trials.py); nobody can tell it of a list "
        "that was made by others"
    )
    if not path.exists():
        raise UserError(
            f"{path}: no such file: nothing tells whether the rules of {trials.path} "
            f"mention age: {remedy}"
        )
    numbers = dict(read_rows(path, 2))
    rule = numbers.get("age-rule")
    if rule not in typing.get_args(AgeRule):
        raise UserError(
            f"{path}: no line `age-rule {'|'.join(typing.get_args(AgeRule))}`: {remedy}"
        )
    counts = {"trials": len(trials), "targets": int(trials.is_target.sum())}
    for name, count in counts.items():
        if numbers.get(name) != str(count):
            raise UserError(
                f"{path}: {name} {numbers.get(name)}, but {trials.path} has {count}: "
                f"they are of another list: {remedy}"
            )
    return rule
