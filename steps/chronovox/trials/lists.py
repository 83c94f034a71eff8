"""Trial lists: `<enrol> <test> target|nontarget`, one trial a line, in any order."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chronovox.cli import UserError
from chronovox.datadir import read_lines, read_rows
from chronovox.files import write_lines

LABELS = {"target": True, "nontarget": False}


@dataclass(frozen=True)
class Speakers:
    """Who speaks in each trial: `names[enrol[n]]` and `names[test[n]]`, `(N,)`."""

    names: list[str]
    enrol: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Trials:
    """N trials; trial n stands in line n + 1 of the file `path`.

    enrol, test: keys of utterances. is_target: bool `(N,)`.
    """

    enrol: list[str]
    test: list[str]
    is_target: np.ndarray
    path: str

    def __len__(self) -> int:
        return len(self.enrol)

    def rows(self, index: dict[str, int], source) -> tuple[np.ndarray, np.ndarray]:
        """The rows of both sides in a table, each `(N,)`; `index`: key -> row.

        Raises UserError for a key that is not in `index`, which `source` names.
        """
        sides = []
        for keys in (self.enrol, self.test):
            try:
                rows = np.fromiter(map(index.__getitem__, keys), np.int64, len(keys))
            except KeyError as error:
                key = error.args[0]
                line = keys.index(key) + 1
                raise UserError(
                    f"{self.path}:{line}: '{key}' is not in {source}: if a stage "
                    "dropped it, select the trials again"
                ) from None
            sides.append(rows)
        return sides[0], sides[1]

    def nontargets(self) -> set[tuple[str, str]]:
        """The pairs (enrolment, test) of the non-target trials."""
        sides = zip(self.enrol, self.test, self.is_target, strict=True)
        return {(enrol, test) for enrol, test, target in sides if not target}

    def speakers(self, utt2spk: dict[str, str], source) -> Speakers:
        """The speakers of every trial, of those that occur, sorted by name.

        Raises UserError for an utterance that is not in `utt2spk`, read from
        `source`, and for a label that contradicts it.
        """
        known = set(self.enrol).union(self.test).intersection(utt2spk)
        used = sorted({utt2spk[utt] for utt in known})
        number = {name: row for row, name in enumerate(used)}
        index = {utt: number[utt2spk[utt]] for utt in known}
        enrol, test = self.rows(index, source)
        wrong = np.flatnonzero((enrol == test) != self.is_target)
        if len(wrong):
            first = wrong[0]
            label = "target" if self.is_target[first] else "nontarget"
            raise UserError(
                f"{self.path}:{first + 1}: labelled {label}, but by {source} "
                f"'{self.enrol[first]}' is of {used[enrol[first]]} and "
                f"'{self.test[first]}' of {used[test[first]]}: mend one of the two"
            )
        return Speakers(used, enrol, test)


def check_name(name: str) -> None:
    """Raise UserError unless a list may be called so."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise UserError(
            f"{name}: a list is named with letters, digits, '_' and '-' only"
        )


def read_columns(path, num_fields: int) -> list[list[str]]:
    """The columns of a text file whose lines have `num_fields` fields each.

    Reads a million lines in about a second. Raises UserError naming the line.
    """
    lines = read_lines(path)
    if any(len(line.split()) != num_fields for line in lines):
        read_rows(path, num_fields)  # raises, and names the line
    fields = " ".join(lines).split()
    return [fields[column::num_fields] for column in range(num_fields)]


def read_trials(path, check: bool = True) -> Trials:
    """Read a trial list.

    Raises UserError that names file and line for a wrong number of fields, an
    unknown label or, unless `check` is off, an utterance compared with itself, and
    for a missing or an empty file.
    """
    if not Path(path).exists():
        raise UserError(
            f"{path}: no such file: make it: ./run.sh --stage 2 --stop-stage 2 "
            f"--trials {Path(path).name}"
        )
    enrol, test, labels = read_columns(path, 3)
    try:
        is_target = np.fromiter(map(LABELS.__getitem__, labels), bool, len(labels))
    except KeyError as error:
        label = error.args[0]
        raise UserError(
            f"{path}:{labels.index(label) + 1}: label '{label}' is not "
            f"{' or '.join(LABELS)} (steps/convert_trials.py reads published lists)"
        ) from None
    for number, (one, other) in enumerate(zip(enrol, test, strict=True), 1):
        if check and one == other:
            raise UserError(
                f"{path}:{number}: '{one}' is compared with itself: remove the trial"
            )
    return Trials(enrol, test, is_target, str(path))


def write_trials(path, trials: Trials) -> None:
    """Write a trial list atomically."""
    labels = np.where(trials.is_target, "target", "nontarget").tolist()
    rows = zip(trials.enrol, trials.test, labels, strict=True)
    write_lines(path, map(" ".join, rows))
