"""Selecting the trials of a list: targets, non-targets, and what falls short."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from chronovox.trials import draw
from chronovox.trials.allowance import Allowance
from chronovox.trials.draw import NONE, count
from chronovox.trials.lists import Trials
from chronovox.trials.rules import in_proportion


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


def select(allowance: Allowance, seed: int, base: Allowance | None = None) -> Selection:
    """Select trials that the rules allow; a shortage is listed and never filled.

    base: the rules of the list whose enrolments and non-targets this one shares. An
    enrolment gets as many non-targets in proportion as it got targets, so that the
    list stays balanced.
    """
    main = base or allowance
    circle = draw.places(main.pool.utts, seed)
    per_enrolment = main.rules.positives.per_enrolment
    asked = np.where(main.eligible, per_enrolment, 0)
    targets, nobody = draw.empty(asked), np.full((len(asked), 0), NONE)
    num_allowed = draw.draw_targets(main, targets, nobody, asked, circle)
    drawn = count(targets)
    if main.rules.negatives.gap_tolerance is not None:
        nontargets = _draw_matched(main, targets, asked, circle)
        wanted = count(targets)
    else:
        wanted = in_proportion(count(targets), main.rules)
        nontargets = draw.empty(wanted)
        for owned in (True, False):
            draw.draw_nontargets(main, nontargets, wanted, circle, owned)
    if base:
        targets = draw.empty(drawn)
        num_allowed = draw.draw_targets(allowance, targets, nobody, drawn, circle)
        wanted = in_proportion(count(targets), main.rules)
        nontargets[np.arange(nontargets.shape[1]) >= wanted[:, None]] = NONE

    found, shortages = (count(targets), count(nontargets)), []
    few = (found[0] < per_enrolment) | (found[1] < wanted)
    for row in np.flatnonzero(few).tolist():
        utt = main.pool.utts[row]
        if found[0][row] < per_enrolment:
            if found[0][row] < drawn[row] and not base:
                reason = "no non-target is left that is as old as its targets"
            elif base and drawn[row] == 0:
                reason = "it does not enrol in the list that this one is like"
            else:
                reason = _other_order(int(num_allowed[row]))
                if num_allowed[row] == 0:
                    reason = allowance.reason(row)
            shortages.append(
                Shortage(utt, "target", int(found[0][row]), per_enrolment, reason)
            )
        if found[1][row] < wanted[row]:
            reason = _other_order(main.num_nontargets(row))
            shortages.append(
                Shortage(utt, "nontarget", int(found[1][row]), int(wanted[row]), reason)
            )
    return Selection(_trials(main.pool.utts, targets, nontargets), shortages)


def _draw_matched(allowance: Allowance, targets, asked, circle) -> np.ndarray:
    """A non-target of the same age for each of the `targets (U, K)`.

    A target for which no non-target is left is given up, and another drawn in its
    place, as long as there is any.
    """
    nontargets = draw.empty(asked)
    given_up = np.full((len(asked), 0), NONE)
    open_ = targets != NONE
    while open_.any():
        for owned in (True, False):
            for number, column in enumerate(targets.T):
                before = count(nontargets)
                draw.draw_nontargets(
                    allowance, nontargets, before + open_[:, number], circle, owned,
                    column,
                )  # fmt: skip
                open_[:, number] &= count(nontargets) == before
        given_up = np.hstack([given_up, np.where(open_, targets, NONE)])
        given_up = given_up[:, (given_up != NONE).any(axis=0)]
        again = open_.any(axis=1)  # who gave one up, and whom it could have now
        again[targets[open_]] = True
        targets[open_] = NONE
        order = np.argsort(targets == NONE, axis=1, kind="stable")
        targets[:] = np.take_along_axis(targets, order, axis=1)
        kept = count(targets)
        draw.draw_targets(
            allowance, targets, given_up, np.where(again, asked, 0), circle
        )
        open_ = (np.arange(targets.shape[1]) >= kept[:, None]) & (targets != NONE)
    return nontargets


def _other_order(num_allowed: int) -> str:
    return f"{num_allowed} partners allowed; the other pairs stand in the other order"


def _trials(utts: list[str], targets, nontargets) -> Trials:
    """The list: by enrolment, its targets first, each in order of the keys."""
    enrol, test, is_target = [], [], []
    for partners, label in ((targets, True), (nontargets, False)):
        rows, columns = np.nonzero(partners != NONE)
        enrol.append(rows)
        test.append(partners[rows, columns])
        is_target.append(np.full(len(rows), label))
    enrol, test, is_target = map(np.concatenate, (enrol, test, is_target))
    order = np.lexsort((test, ~is_target, enrol))
    sides = [side[order].astype(np.int32) for side in (enrol, test)]
    return Trials(utts, *sides, is_target[order], "the selected trials")
