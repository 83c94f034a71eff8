"""Ages of VoxCeleb's videos as others publish them, matched to our sessions."""

import csv
import io
from collections.abc import Iterable
from typing import NamedTuple

from chronovox.ages.pickled import read_numbers
from chronovox.ages.tables import parse_age
from chronovox.cli import UserError
from chronovox.datadir import read_text


class Entry(NamedTuple):
    """One age of a file; `where` in it.

    session: `<speaker>/<session>` or `<speaker>-<session>`. age: as it is written.
    """

    where: str
    session: str
    age: str


class Matched(NamedTuple):
    """ages: (speaker, session) -> years. rejected: why, a line each.

    refused: sessions that have none because theirs was rejected. num_unknown: how many
    entries are of sessions that are not ours.
    """

    ages: dict[tuple[str, str], float]
    rejected: list[str]
    refused: set[tuple[str, str]]
    num_unknown: int


def read_segment2age(path) -> list[Entry]:
    """segment2age.npy, a dictionary `<speaker>-<video>` -> years.

    Raises UserError as `read_numbers` does.
    """
    return [
        Entry(f"key {key!r}", key, age if isinstance(age, str) else repr(age))
        for key, age in read_numbers(path).items()
    ]


def read_utt2age(path) -> list[Entry]:
    """AgeVoxCeleb's utt2age, `<speaker>/<video>/<utterance> <years>` in a line.

    Raises UserError that names the line for any other form.
    """
    entries = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        fields = line.split()
        names = fields[0].split("/") if fields else []
        if len(fields) != 2 or len(names) != 3:
            raise UserError(
                f"{path}:{number}: expected '<speaker>/<video>/<utterance> <age>', "
                f"found {line!r}"
            )
        entries.append(Entry(f"line {number}", "/".join(names[:2]), fields[1]))
    return entries


def read_csv(path, columns: list[str]) -> list[Entry]:
    """A CSV file with a header, of which `columns` name speaker, session and age.

    Blanks around a field do not count. Raises UserError that names the line for
    a row that is longer or shorter than the header, or for quotes that do not end.
    """
    text = read_text(path).removeprefix("\ufeff")
    reader = csv.reader(
        io.StringIO(text, newline=""), skipinitialspace=True, strict=True
    )
    rows = []
    try:
        for row in reader:
            fields = [" ".join(field.split()) for field in row]
            if any(fields):
                rows.append((reader.line_num, fields))
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: not CSV: {error}") from None
    if not rows:
        raise UserError(f"{path}: empty file")
    header = rows[0][1]
    for name in columns:
        if header.count(name) != 1:
            raise UserError(
                f"{path}:1: expected one column {name!r}, found {header.count(name)}; "
                f"the columns, between commas, are {', '.join(map(repr, header))}: "
                "name those of speaker, video and age (--columns)"
            )
    places = [header.index(name) for name in columns]
    entries = []
    for number, row in rows[1:]:
        if len(row) != len(header):
            raise UserError(
                f"{path}:{number}: expected {len(header)} fields, found {len(row)}"
            )
        spk, session, age = (row[place] for place in places)
        entries.append(Entry(f"line {number}", f"{spk}/{session}", age))
    return entries


def match(entries: list[Entry], sessions: Iterable[tuple[str, str]], path) -> Matched:
    """The ages of `sessions`, pairs (speaker, session), of the entries of `path`.

    Rejected are impossible ages, and all ages of a session of which different ones
    are told: at most one of those is right, their mean need not be. Raises UserError
    for an entry that could be of two sessions.
    """
    known: dict[str, list[tuple[str, str]]] = {}
    for spk, session in sorted(set(sessions)):
        for joined in (f"{spk}/{session}", f"{spk}-{session}"):
            known.setdefault(joined, []).append((spk, session))
    said: dict[tuple[str, str], dict[float, str]] = {}
    rejected, refused, num_unknown = [], set(), 0
    for entry in entries:
        pairs = known.get(entry.session, [])
        try:
            age = parse_age(entry.age, entry.where)
        except UserError as error:
            rejected.append(str(error))
            refused.update(pairs)
            continue
        if len(pairs) > 1:
            raise UserError(
                f"{path}: {entry.where}: {entry.session!r} is session "
                f"{' or session '.join(f'{s} of {spk}' for spk, s in pairs)}: rename "
                "one in utt2session"
            )
        num_unknown += not pairs
        for pair in pairs:
            said.setdefault(pair, {}).setdefault(age, entry.where)
    for (spk, session), found in said.items():
        if len(found) > 1:
            ages = ", ".join(f"{age:.9g} ({where})" for age, where in found.items())
            rejected.append(f"session {session} of {spk}: different ages: {ages}")
    ages = {pair: next(iter(found)) for pair, found in said.items() if len(found) == 1}
    refused |= said.keys()
    return Matched(ages, rejected, refused - ages.keys(), num_unknown)
