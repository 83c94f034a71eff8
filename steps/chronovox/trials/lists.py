"""Trial lists: `<enrol> <test> target|nontarget`, one trial a line, in any order."""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chronovox.cli import UserError
from chronovox.datadir import decode, open_text
from chronovox.files import write_lines

LABELS = {"target": True, "nontarget": False}
_BLOCK = 2**16
_BLOCK_BYTES = 2**24


@dataclass(frozen=True)
class Speakers:
    """Who speaks in each trial: `names[enrol[n]]` and `names[test[n]]`, `(N,)`."""

    names: list[str]
    enrol: np.ndarray
    test: np.ndarray

    def num_target(self, trials: "Trials") -> int:
        """How many of them have a target trial."""
        return len(np.unique(self.enrol[trials.is_target]))


@dataclass(frozen=True)
class Trials:
    """N trials; trial n stands in line n + 1 of the file `path`.

    keys: of utterances and enrolments, each once, some perhaps in no trial; enrol_row,
    test_row: int32 `(N,)`, rows there. is_target: bool `(N,)`.
    """

    keys: list[str]
    enrol_row: np.ndarray
    test_row: np.ndarray
    is_target: np.ndarray
    path: str

    @classmethod
    def of(cls, enrol: list[str], test: list[str], is_target, path: str) -> "Trials":
        """From the keys of both sides."""
        numbers = _Numbers()
        rows = [numbers.rows(side) for side in (enrol, test)]
        return cls(list(numbers), *rows, np.asarray(is_target, bool), path)

    def __len__(self) -> int:
        return len(self.is_target)

    @property
    def enrol(self) -> list[str]:
        """The keys of the first fields, a list of N."""
        return [self.keys[row] for row in self.enrol_row.tolist()]

    @property
    def test(self) -> list[str]:
        """The keys of the second fields, a list of N."""
        return [self.keys[row] for row in self.test_row.tolist()]

    def used_keys(self) -> list[str]:
        """The keys that occur in a trial."""
        used = np.zeros(len(self.keys), bool)
        used[self.enrol_row] = used[self.test_row] = True
        return [key for key, there in zip(self.keys, used, strict=True) if there]

    def pair(self, number: int) -> str:
        """Both fields of a trial, as they stand in a line."""
        return f"{self.keys[self.enrol_row[number]]} {self.keys[self.test_row[number]]}"

    def pairs(self) -> np.ndarray:
        """A number for each pair of keys, the same for the same pair, `(N,)`."""
        numbers = self.enrol_row.astype(np.int64)
        numbers *= len(self.keys)
        numbers += self.test_row
        return numbers

    def blocks(self, *columns) -> Iterator[tuple]:
        """Both keys of each trial and what stands in `columns` `(N,)`, row by row.

        Made in blocks, so that they take no memory to speak of.
        """
        sides = self.enrol_row, self.test_row
        for begin in range(0, len(self), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            keys = ([self.keys[row] for row in side[block].tolist()] for side in sides)
            yield from zip(*keys, *(c[block].tolist() for c in columns), strict=True)

    def rows(self, index: dict[str, int], source) -> tuple[np.ndarray, np.ndarray]:
        """The rows of both sides in a table, each int32 `(N,)`; `index`: key -> row.

        Raises UserError for a key that is not in `index`, which `source` names.
        """
        table = np.fromiter((index.get(key, -1) for key in self.keys), np.int32)
        enrol, test = table[self.enrol_row], table[self.test_row]
        for side, rows in (enrol, self.enrol_row), (test, self.test_row):
            if side.min(initial=0) < 0:
                line = int(np.argmax(side < 0))
                raise UserError(
                    f"{self.path}:{line + 1}: '{self.keys[rows[line]]}' is not in "
                    f"{source}: if a stage dropped it, select the trials again"
                )
        return enrol, test

    def nontargets(self) -> set[tuple[str, str]]:
        """The pairs (enrolment, test) of the non-target trials."""
        rows = self.blocks(self.is_target)
        return {(enrol, test) for enrol, test, target in rows if not target}

    def speakers(self, utt2spk: dict[str, str], source) -> Speakers:
        """The speakers of every trial, of those that occur, sorted by name.

        Raises UserError for an utterance that is not in `utt2spk`, read from
        `source`, and for a label that contradicts it.
        """
        known = [key for key in self.used_keys() if key in utt2spk]
        used = sorted({utt2spk[key] for key in known})
        number = {name: row for row, name in enumerate(used)}
        enrol, test = self.rows({key: number[utt2spk[key]] for key in known}, source)
        wrong = np.flatnonzero((enrol == test) != self.is_target)
        if len(wrong):
            first = wrong[0]
            label = "target" if self.is_target[first] else "nontarget"
            keys = self.pair(first).split()
            raise UserError(
                f"{self.path}:{first + 1}: labelled {label}, but by {source} "
                f"'{keys[0]}' is of {used[enrol[first]]} and '{keys[1]}' of "
                f"{used[test[first]]}: mend one of the two"
            )
        return Speakers(used, enrol, test)


def check_name(name: str) -> None:
    """Raise UserError unless a list may be called so."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise UserError(
            f"{name}: a list is named with letters, digits, '_' and '-' only"
        )


class _Numbers(dict):
    """Numbers keys, from 0 on, in the order in which they come."""

    def __missing__(self, key: str) -> int:
        self[key] = number = len(self)
        return number

    def rows(self, keys: list[str]) -> np.ndarray:
        """The numbers of keys, int32."""
        return np.fromiter(map(self.__getitem__, keys), np.int32, len(keys))


def read_blocks(path, num_fields: int) -> Iterator[tuple[int, list[list[str]]]]:
    """The columns of a text file whose lines have `num_fields` fields, in blocks.

    Yields the number of each block's first line, and its columns; about a million
    lines a second. Raises UserError naming the line.
    """
    number, offset = 1, 0
    with open_text(path) as stream:
        while lines := stream.readlines(_BLOCK_BYTES):
            content = b"".join(lines)
            text = decode(content, path, offset)
            if not text.endswith("\n"):
                raise UserError(
                    f"{path}: the last line has no line end: was it cut off?"
                )
            fields = text.split()
            rows = text[:-1].split("\n")
            for line, row in enumerate(rows):
                if len(row.split()) != num_fields:
                    raise UserError(
                        f"{path}:{number + line}: expected {num_fields} fields, "
                        f"found {len(row.split())}: '{row}'"
                    )
            yield number, [fields[column::num_fields] for column in range(num_fields)]
            number += len(rows)
            offset += len(content)
    if number == 1:
        raise UserError(f"{path}: empty file")


def read_trials(path, check: bool = True) -> Trials:
    """Read a trial list.

    Raises UserError that names file and line for a wrong number of fields, an
    unknown label or, unless `check` is off, an utterance compared with itself, and
    for a missing or an empty file.
    """
    if not Path(path).exists():
        raise UserError(
            f"{path}: no such file: make it: ./run.sh --stage 2 --stop-stage 2, with "
            f"--trials {Path(path).name}, or --dev-trials, --calibration"
        )
    # Arrays that grow in place, as parts joined at the end would take twice the memory.
    numbers, columns = _Numbers(), (array("i"), array("i"), array("b"))
    for first, (enrol, test, labels) in read_blocks(path, 3):
        try:
            label = np.fromiter(map(LABELS.__getitem__, labels), bool, len(labels))
        except KeyError as error:
            name = error.args[0]
            raise UserError(
                f"{path}:{first + labels.index(name)}: label '{name}' is not "
                f"{' or '.join(LABELS)} (steps/convert_trials.py reads published lists)"
            ) from None
        block = numbers.rows(enrol), numbers.rows(test), label
        for column, part in zip(columns, block, strict=True):
            column.frombytes(part.tobytes())
        same = np.flatnonzero(block[0] == block[1])
        if check and len(same):
            raise UserError(
                f"{path}:{first + same[0]}: '{enrol[same[0]]}' is compared with "
                "itself: remove the trial"
            )
    enrol, test, labels = (np.frombuffer(column, column.typecode) for column in columns)
    return Trials(list(numbers), enrol, test, labels.view(bool), str(path))


def write_trials(path, trials: Trials) -> None:
    """Write a trial list atomically."""
    labels = np.where(trials.is_target, "target", "nontarget")
    write_lines(path, map(" ".join, trials.blocks(labels)))
