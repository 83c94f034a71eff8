"""What tells the trials of a list apart: traits, ages, years, durations, sessions.

An enrolment of several utterances has the mean of their ages and days, the sum of
their durations, and all of their sessions. What a table lacks is NaN.
"""

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import numpy as np

from chronovox.cli import UserError
from chronovox.datadir import parse_float, read_floats, read_session2date, read_table
from chronovox.scoring.enrolments import read_enrolments
from chronovox.trials.lists import Speakers, Trials

DAYS_PER_YEAR = 365.25
UNKNOWN = "unknown"
GAPS = (0, 5, 10, 15, 20)
AGES = (0, 30, 40, 50, 60)
AGE_NAMES = ("under 30", "30-39", "40-49", "50-59", "60 and over")
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True)
class Condition:
    """One value for every trial.

    values: their names, in the order in which they are shown. code: int `(N,)`, the
    place of a trial's value, -1 where it is not known. of_targets: the values tell
    targets apart, each of which is measured against all non-targets.
    """

    name: str
    values: list[str]
    code: np.ndarray
    of_targets: bool = False

    def trials(self, value: str, is_target) -> np.ndarray:
        """Which trials a value has, `(N,)`; also those of `UNKNOWN`."""
        place = -1 if value == UNKNOWN else self.values.index(value)
        inside = self.code == place
        return inside | ~is_target if self.of_targets else inside


class Keys:
    """Utterances behind the K keys of a list, and what tables say of them."""

    def __init__(self, data: Path, trials: Trials):
        self.data = data
        several = read_enrolments(data)
        self.utts = [several.get(key, [key]) for key in trials.keys]

    def numbers(self, table: Mapping[str, float], combine: Callable) -> np.ndarray:
        """A number for each key, `(K,)`, NaN if an utterance is not in the table."""
        return np.array([
            combine([table[utt] for utt in utts])
            if all(utt in table for utt in utts) else np.nan
            for utts in self.utts
        ])  # fmt: skip

    def ages(self) -> np.ndarray | None:
        """In years, `(K,)`; None without DATA/utt2age."""
        path = self.data / "utt2age"
        return self.numbers(read_floats(path), fmean) if path.exists() else None

    def days(self) -> np.ndarray | None:
        """The days of their sessions, `(K,)`; None without a table that it takes."""
        paths = self.data / "session2date", self.data / "utt2session"
        if not all(path.exists() for path in paths):
            return None
        dates = read_days(paths[0])
        utt2spk = read_table(self.data / "utt2spk")
        days = {
            utt: dates[utt2spk[utt], session]
            for utt, session in read_table(paths[1]).items()
            if utt in utt2spk and (utt2spk[utt], session) in dates
        }
        return self.numbers(days, fmean)

    def years(self) -> np.ndarray | None:
        """A time in years, `(K,)`: by dates, without them by ages; None without."""
        days = self.days()
        return self.ages() if days is None else days / DAYS_PER_YEAR


def read_days(path: Path) -> dict[tuple[str, str], float]:
    """(Speaker, session) -> a day, counted from whatever day. Raises UserError."""
    days, kinds = {}, set()
    for (spk, session), text in read_session2date(path).items():
        where = f"{path}: {spk} {session}"
        kinds.add(bool(_ISO_DATE.fullmatch(text)))
        if len(kinds) > 1:
            raise UserError(f"{where}: ISO dates and day numbers in one table")
        try:
            date = datetime.date.fromisoformat(text) if True in kinds else None
        except ValueError:
            raise UserError(f"{where}: there is no day {text}") from None
        days[spk, session] = date.toordinal() if date else parse_float(text, where)
    return days


def gaps(times: np.ndarray, trials: Trials) -> np.ndarray:
    """The time between both sides, whichever is the earlier, `(N,)`."""
    return np.abs(times[trials.enrol_row] - times[trials.test_row])


def bins(values: np.ndarray, edges) -> np.ndarray:
    """Which bin from one of the rising edges to the next holds each value.

    The last has no end; -1 for NaN and below the first.
    """
    place = np.searchsorted(edges, values, side="right") - 1
    return np.where(np.isnan(values), -1, place)


def bin_names(edges) -> list[str]:
    """`0-5`, `5-10`, `10+`."""
    between = (f"{low:g}-{high:g}" for low, high in pairwise(edges))
    return [*between, f"{edges[-1]:g}+"]


def _trait(name: str, path: Path, speakers: Speakers, mixed: str | None = None):
    """A trait of the enrolment speaker; with a name for `mixed`, of both speakers."""
    if not path.exists():
        return None
    table = read_table(path)
    found = {table.get(spk, UNKNOWN) for spk in speakers.names}
    values = sorted(found - {UNKNOWN})
    number = {value: place for place, value in enumerate(values)}
    of_speaker = np.array([number.get(table.get(spk), -1) for spk in speakers.names])
    code = of_speaker[speakers.enrol]
    if mixed:
        other = of_speaker[speakers.test]
        differ = np.where((code < 0) | (other < 0), -1, len(values))
        code = np.where(code == other, code, differ)
        values += [mixed] if (code == len(values)).any() else []
    return Condition(name, values, code)


def _gap(keys: Keys, trials: Trials) -> Condition | None:
    years = keys.years()
    if years is None:
        return None
    code = bins(gaps(years, trials), GAPS)
    return Condition("gap", bin_names(GAPS), code, of_targets=True)


def _age(keys: Keys, trials: Trials) -> Condition | None:
    ages = keys.ages()
    if ages is None:
        return None
    return Condition("age", list(AGE_NAMES), bins(ages, AGES)[trials.enrol_row])


def _duration(keys: Keys, trials: Trials) -> Condition | None:
    """Thirds of the trials by the shorter side; fewer where it is the same in many."""
    path = keys.data / "utt2dur"
    if not path.exists():
        return None
    of_key = keys.numbers(read_floats(path), sum)
    shorter = np.minimum(of_key[trials.enrol_row], of_key[trials.test_row])
    known = shorter[~np.isnan(shorter)]
    bounds = np.quantile(known, [1 / 3, 2 / 3]) if len(known) else np.ones(1)
    edges = [0.0, *np.unique(bounds.round(2)).tolist()]
    between = [f"{low:.2f}-{high:.2f} s" for low, high in pairwise(edges[1:])]
    names = [f"under {edges[1]:.2f} s", *between, f"{edges[-1]:.2f} s and over"]
    return Condition("duration", names, bins(shorter, edges))


def _session(keys: Keys, trials: Trials) -> Condition | None:
    """Whether the test of a target is of a session of its enrolment."""
    path = keys.data / "utt2session"
    if not path.exists():
        return None
    table = read_table(path)
    sessions = [set(map(table.get, utts)) for utts in keys.utts]
    code = np.full(len(trials), -1)
    for number in np.flatnonzero(trials.is_target).tolist():
        enrol = sessions[trials.enrol_row[number]]
        test = sessions[trials.test_row[number]]
        if None not in enrol | test:
            code[number] = 0 if test <= enrol else 1
    return Condition("session", ["same", "different"], code, of_targets=True)


def find(
    data: Path, trials: Trials, speakers: Speakers
) -> tuple[list[Condition], list[str]]:
    """The conditions whose tables are there; of the others, what they lack."""
    keys = Keys(data, trials)
    made = {
        "gender (spk2gender)":
            _trait("gender", data / "spk2gender", speakers, mixed="mixed"),
        "nationality (spk2nationality)":
            _trait("nationality", data / "spk2nationality", speakers),
        "gap (session2date with utt2session, or utt2age)": _gap(keys, trials),
        "age (utt2age)": _age(keys, trials),
        "duration (utt2dur)": _duration(keys, trials),
        "session (utt2session)": _session(keys, trials),
    }  # fmt: skip
    found = [condition for condition in made.values() if condition]
    return found, [name for name, condition in made.items() if not condition]
