"""Kaldi data directories: reading, checking and writing their text tables.

A data directory holds tables of `<key> <value>` lines, sorted bytewise by key,
keys unique. `utt2spk` and `utt2session` are the only truth about speakers and
sessions: no code parses a key.
"""

import contextlib
import math
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, pairwise

from chronovox.cli import UserError
from chronovox.files import atomic_write

# Tables that travel with a data directory, by what a line's key names.
UTT_TABLES = (
    "utt2spk", "utt2session", "utt2dur", "utt2num_frames", "utt2uniq", "utt2lang",
    "text", "feats.scp", "vad.scp", "segments",
    "utt2age", "utt2age_std", "utt2num_faces",
)  # fmt: skip
SPK_TABLES = ("spk2utt", "spk2gender", "spk2nationality", "session2date", "cmvn.scp")
RECO_TABLES = ("wav.scp", "reco2dur")
FACE_TABLES = ("faces/face.scp", "faces/face2utt")
_FIELDS = {
    "segments": 4, "session2date": 3, "text": None, "wav.scp": None, "spk2utt": None,
    "feats.scp": None, "vad.scp": None, "cmvn.scp": None, "faces/face.scp": None,
}  # fmt: skip
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class Texts:
    """Texts in one piece of memory, for tables of a million lines.

    They take less than half of what a list of them does, and forked processes share
    them: to look at a text of a list is to write how often it is referred to.
    """

    def __init__(self, texts: Iterable[str]):
        parts = [text.encode() for text in texts]
        self._ends = array("q", accumulate(map(len, parts), initial=0))
        self._text = b"".join(parts)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[str]:
        return (self._text[begin:end].decode() for begin, end in pairwise(self._ends))

    def __getitem__(self, number: int) -> str:
        return self._bytes(range(len(self))[number]).decode()

    def _bytes(self, number: int) -> bytes:
        return self._text[self._ends[number] : self._ends[number + 1]]

    def find(self, text: str) -> int | None:
        """Where a text is, if they are sorted."""
        number = bisect_left(range(len(self)), text.encode(), key=self._bytes)
        found = number < len(self) and self[number] == text
        return number if found else None


class TextTable(Mapping[str, str]):
    """What `read_table` gives, sorted by key, as Texts: to be kept for long."""

    def __init__(self, table: Mapping[str, str]):
        self.names, self._values = Texts(table), Texts(table.values())

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, key: str) -> str:
        number = self.names.find(key)
        if number is None:
            raise KeyError(key)
        return self._values[number]


def layout(name: str) -> tuple[int | None, int]:
    """The fields of a line of table `name` (None: two or more), and of its key."""
    return _FIELDS.get(name, 2), 2 if name == "session2date" else 1


@contextlib.contextmanager
def open_text(path):
    """Open a text file for reading bytes. Raises UserError if there is none."""
    try:
        with open(path, "rb") as stream:
            if stream.peek(2).startswith(b"\x1f\x8b"):
                raise UserError(f"{path}: compressed: gunzip it first")
            yield stream
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a directory, expected a text file") from None


def read_text(path) -> str:
    """A UTF-8 text file. Raises UserError if it is none."""
    with open_text(path) as stream:
        return decode(stream.read(), path)


def decode(content: bytes, path, offset: int = 0) -> str:
    """What stands in a file from `offset` on. Raises UserError if it is no UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        where = offset + error.start
        raise UserError(f"{path}: not UTF-8 text (byte {where})") from None


def read_lines(path) -> list[str]:
    """The lines of a UTF-8 text file, each checked to be ended and not blank."""
    text = read_text(path)
    if not text:
        raise UserError(f"{path}: empty file")
    if not text.endswith("\n"):
        raise UserError(f"{path}: the last line has no line end: was it cut off?")
    return text[:-1].split("\n")


def read_rows(path, num_fields: int) -> list[list[str]]:
    """Lines of exactly `num_fields` fields separated by white space, in file order.

    Raises UserError naming file and line.
    """
    rows = []
    for number, line in enumerate(read_lines(path), 1):
        fields = line.split()
        if len(fields) != num_fields:
            raise UserError(
                f"{path}:{number}: expected {num_fields} fields, "
                f"found {len(fields)}: '{line}'"
            )
        rows.append(fields)
    return rows


def read_table(path, num_fields: int | None = 2, num_keys: int = 1) -> dict[str, str]:
    """A table `<key> <value>` sorted by key; the value is the rest of the line.

    `num_fields` is the exact number of fields of a line, or None for two or
    more (wav.scp, spk2utt); `num_keys` of them are the key, joined by a blank
    (session2date: 2). Raises UserError naming file and line for a wrong number
    of fields, a duplicate key, or a key out of bytewise order.
    """
    table, problems = scan_table(path, num_fields, num_keys)
    if problems:
        raise UserError(problems[0])
    return table


def scan_table(
    path, num_fields: int | None = 2, num_keys: int = 1
) -> tuple[dict[str, str], list[str]]:
    """The good lines of a table, and what is wrong with the others, line by line."""
    table: dict[str, str] = {}
    problems = []
    last = ""
    for number, line in enumerate(read_lines(path), 1):
        words = line.split()
        if len(words) == num_fields == 2 and num_keys == 1 and line == " ".join(words):
            key, value = words  # nearly all lines: spared what parse_line takes
        else:
            try:
                key, value = parse_line(line, f"{path}:{number}", num_fields, num_keys)
            except UserError as error:
                problems.append(str(error))
                continue
        if key in table:
            problems.append(f"{path}:{number}: duplicate key '{key}'")
        elif key < last:
            problems.append(
                f"{path}:{number}: key '{key}' is out of order after '{last}': "
                "sort with LC_ALL=C, or run utils/fix_data_dir.py"
            )
        table.setdefault(key, value)
        last = key
    return table, problems


def parse_line(
    line: str, where: str, num_fields: int | None = 2, num_keys: int = 1
) -> tuple[str, str]:
    """The key and the value of one line of a table. Raises UserError."""
    if line.endswith("\r"):
        raise UserError(
            f"{where}: ends as on Windows: remove the carriage returns; in a data "
            "directory utils/fix_data_dir.py does"
        )
    key, _, value = line.partition(" ")
    value = value.strip()
    fields = 1 + len(value.split())
    if key.split() != [key] or fields < 1 + num_keys:
        raise UserError(f"{where}: expected '<key> <value>': '{line}'")
    if num_fields is not None and fields != num_fields:
        raise UserError(
            f"{where}: expected {num_fields} fields, found {fields}: '{line}'"
        )
    if num_keys == 2:
        second, value = value.split(None, 1)
        key = f"{key} {second}"
    return key, value


def write_table(path, table: dict) -> None:
    """Write `<key> <value>` lines sorted bytewise by key, atomically."""
    with atomic_write(path) as stream:
        stream.writelines(f"{key} {table[key]}\n" for key in sorted(table))


def read_floats(path) -> dict[str, float]:
    """A table of numbers (utt2dur, utt2age). Raises UserError if one is not."""
    return {
        key: parse_float(value, f"{path}: {key}")
        for key, value in read_table(path).items()
    }


def parse_float(text: str, where: str) -> float:
    """A finite number; `where` names it in the error."""
    if not _NUMBER.fullmatch(text):
        raise UserError(f"{where}: '{text}' is not a number")
    value = float(text)
    if math.isinf(value):
        raise UserError(f"{where}: '{text}' is not a finite number")
    return value


def read_segments(path) -> dict[str, tuple[str, float, float]]:
    """`segments`: utterance -> (recording, start in s, end in s)."""
    segments = {}
    for utt, value in read_table(path, 4).items():
        reco, start, end = value.split()
        start_s, end_s = parse_times(start, end, f"{path}: {utt}")
        segments[utt] = (reco, start_s, end_s)
    return segments


def parse_times(start: str, end: str, where: str) -> tuple[float, float]:
    """Start and end of a segment in s. Raises UserError."""
    start_s, end_s = parse_float(start, where), parse_float(end, where)
    if not 0.0 <= start_s < end_s:
        raise UserError(f"{where}: start {start} s, end {end} s")
    return start_s, end_s


def read_session2date(path) -> dict[tuple[str, str], str]:
    """`session2date`: (speaker, session) -> ISO date or day number."""
    dates = {}
    for number, (spk, session, date) in enumerate(read_rows(path, 3), 1):
        if (spk, session) in dates:
            raise UserError(f"{path}:{number}: duplicate '{spk} {session}'")
        dates[spk, session] = date
    return dates


def invert(utt2spk: dict[str, str]) -> dict[str, list[str]]:
    """utt2spk -> spk2utt: the sorted utterances of each speaker."""
    spk2utt: dict[str, list[str]] = {}
    for utt in sorted(utt2spk):
        spk2utt.setdefault(utt2spk[utt], []).append(utt)
    return dict(sorted(spk2utt.items()))


def write_spk2utt(path, utt2spk: dict[str, str]) -> None:
    """Write the spk2utt that belongs to `utt2spk`."""
    write_table(path, {s: " ".join(utts) for s, utts in invert(utt2spk).items()})
