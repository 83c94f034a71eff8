"""Reading and writing Kaldi arks, checked. The only importer of kaldiio.

Binary records only: float and double matrices and vectors (FM, FV, DM, DV),
compressed matrices (CM, CM2, CM3) and int32 vectors. Every header is verified
against the bytes that follow it, so a truncated ark is an error and never a
short array; pickled records (`PKL`) are refused; `cmd |` runs only on request.
"""

import contextlib
import io
import os
import re
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from kaldiio import matio

from chronovox.cli import UserError
from chronovox.datadir import read_table, write_table
from chronovox.files import atomic_write

# Token -> (number of dimensions, bytes per value).
_FLOATS = {b"FM": (2, 4), b"FV": (1, 4), b"DM": (2, 8), b"DV": (1, 8)}
_COMPRESSED = {b"CM": 1, b"CM2": 2, b"CM3": 1}
_SPEECH_FEATURE = 2  # Kaldi's compression method for features: 8 bits, by column


@dataclass(frozen=True)
class Location:
    """Where a record is: `path:offset[first:last,first:last]`, ranges inclusive."""

    path: str
    offset: int | None = None
    ranges: tuple[slice, ...] = ()


@dataclass(frozen=True)
class _Header:
    """A record's kind, shape, and where its values lie in the stream."""

    token: bytes
    shape: tuple[int, ...]
    begin: int
    data: int
    num_bytes: int

    @property
    def kind(self) -> str:
        return "int32" if self.token == b"\4" else self.token.decode()


def parse_location(text: str) -> Location:
    """Parse the value of an scp line that names a file. Raises UserError."""
    text = text.strip()
    if text.endswith("|") or text.startswith("|"):
        raise UserError(f"'{text}' is a pipe: allow it with --allow-pipes true")
    ranges: tuple[slice, ...] = ()
    match = re.fullmatch(r"(.+)\[([\d:,]*)\]", text)
    if match:
        text = match[1]
        ranges = tuple(_parse_range(part, text) for part in match[2].split(","))
        if len(ranges) > 2:
            raise UserError(f"{text}: more than two ranges")
    path, colon, offset = text.rpartition(":")
    if colon and offset.isascii() and offset.isdigit():
        return Location(path, _parse_place(offset, text), ranges)
    return Location(text, None, ranges)


def _parse_place(digits: str, where: str) -> int:
    if len(digits) > 18:  # beyond what a file system can hold
        raise UserError(f"{where}: {digits[:18]}... lies beyond any file")
    return int(digits)


def _parse_range(text: str, where: str) -> slice:
    if text in ("", ":"):
        return slice(None)
    match = re.fullmatch(r"(\d+):(\d+)", text, re.ASCII)
    first, last = (_parse_place(n, where) for n in match.groups()) if match else (1, 0)
    if first > last:
        raise UserError(f"{where}: range '[{text}]' is not [first:last]")
    return slice(first, last + 1)


def run_pipe(command: str) -> bytes:
    """Run `command |` of an scp line in a shell and return what it prints.

    For callers that were told `--allow-pipes true`. Raises UserError if it fails.
    """
    command = command.strip().rstrip("|")
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise UserError(
            f"'{command.strip()}' ended with code {done.returncode}: {' '.join(last)}"
        )
    return done.stdout


def _read_exactly(stream, count: int, where: str) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise UserError(f"{where}: the ark is truncated: write it again")
    return data


def _read_header(stream, where: str, size: int) -> _Header:
    """Read a record's header; `size` is the stream's length in bytes."""
    begin = stream.tell()
    if _read_exactly(stream, 2, where) != b"\0B":
        raise UserError(f"{where}: no binary Kaldi record here (PKL is refused)")
    first = _read_exactly(stream, 1, where)
    if first == b"\4":
        token = b"\4"
        shape = (struct.unpack("<i", _read_exactly(stream, 4, where))[0],)
        num_bytes = shape[0] * 5
    else:
        token = first
        while not token.endswith(b" ") and len(token) < 5:
            token += _read_exactly(stream, 1, where)
        token = token.rstrip(b" ")
        if token in _FLOATS:
            dims, width = _FLOATS[token]
            shape = tuple(_read_dim(stream, where) for _ in range(dims))
            num_bytes = int(np.prod(shape, dtype=np.int64)) * width
        elif token in _COMPRESSED:
            _read_exactly(stream, 8, where)
            rows, cols = struct.unpack("<ii", _read_exactly(stream, 8, where))
            shape = (rows, cols)
            num_bytes = rows * cols * _COMPRESSED[token]
            num_bytes += 8 * cols if token == b"CM" else 0
        else:
            raise UserError(f"{where}: unknown record type {token!r}")
    if min(shape) < 0 or (min(shape) == 0 < max(shape)):
        raise UserError(f"{where}: damaged header, shape {shape}")
    data = stream.tell()
    if data + num_bytes > size:
        raise UserError(
            f"{where}: the ark is truncated: {size - data} of {num_bytes} bytes of a "
            f"{'x'.join(map(str, shape))} record are there: write it again"
        )
    return _Header(token, shape, begin, data, num_bytes)


def _read_dim(stream, where: str) -> int:
    if _read_exactly(stream, 1, where) != b"\4":
        raise UserError(f"{where}: damaged header")
    return struct.unpack("<i", _read_exactly(stream, 4, where))[0]


def _decode(stream, header: _Header, where: str) -> np.ndarray:
    """The whole record as float32 (or int32) array; leaves `stream` behind it."""
    stream.seek(header.begin)
    record = _read_exactly(stream, header.data + header.num_bytes - header.begin, where)
    try:
        array = np.asarray(matio.read_kaldi(io.BytesIO(record)))
    except (AssertionError, ValueError, struct.error):
        raise UserError(f"{where}: damaged record: write it again") from None
    if array.shape != header.shape:
        raise UserError(f"{where}: shape {array.shape}, header says {header.shape}")
    with np.errstate(over="ignore"):
        return array.astype(np.int32 if header.token == b"\4" else np.float32)


def open_file(path):
    """Open a file to read bytes; a pipe (FIFO) fails later, instead of waiting."""
    return open(path, "rb", opener=lambda name, f: os.open(name, f | os.O_NONBLOCK))


def _open(path):
    try:
        stream = open_file(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise UserError(f"{path!r}: no file can have this name") from None
    if not stream.seekable():
        stream.close()
        raise UserError(f"{path}: a pipe or a terminal, expected a file")
    return stream


@contextlib.contextmanager
def _opened(rxfile: str, allow_pipes: bool):
    """Yield (stream at the record, size of the stream, ranges)."""
    if allow_pipes and rxfile.strip().endswith("|"):
        data = run_pipe(rxfile)
        yield io.BytesIO(data), len(data), ()
        return
    location = parse_location(rxfile)
    with _open(location.path) as stream:
        size = stream.seek(0, io.SEEK_END)
        stream.seek(location.offset or 0)
        yield stream, size, location.ranges


def read_shape(rxfile: str) -> tuple[int, ...]:
    """The shape of a record, from its header alone (ranges are not applied)."""
    with _opened(rxfile, False) as (stream, size, _):
        return _read_header(stream, rxfile, size).shape


def read_matrix(
    rxfile: str, rows: slice | None = None, allow_pipes: bool = False
) -> np.ndarray:
    """Read a matrix `(T, F)` float32; of a plain ark only `rows` are read.

    rxfile: `path`, `path:offset`, or either with `[first:last]` (inclusive).
    rows: a slice with a start and a stop, counted inside rxfile's own range.
    Raises UserError if it is missing, truncated, not a matrix, or shorter.
    """
    with _opened(rxfile, allow_pipes) as (stream, size, ranges):
        header = _read_header(stream, rxfile, size)
        if len(header.shape) != 2:
            raise UserError(f"{rxfile}: a vector, expected a matrix")
        if len(ranges) == 2:
            left, right = _span(header.shape[1], ranges[1], rxfile, "columns")
        first, last = _span(header.shape[0], ranges[0] if ranges else None, rxfile)
        inner = _span(last - first, rows, rxfile)
        first, last = first + inner[0], first + inner[1]
        if header.token == b"FM":
            width = header.shape[1] * 4
            stream.seek(header.data + first * width)
            data = _read_exactly(stream, (last - first) * width, rxfile)
            matrix = np.frombuffer(data, "<f4").copy()
            matrix = matrix.reshape(last - first, header.shape[1])
        else:
            matrix = _decode(stream, header, rxfile)[first:last]
        return matrix[:, left:right] if len(ranges) == 2 else matrix


def _span(count: int, wanted: slice | None, where: str, what="rows") -> tuple[int, int]:
    """First and last (exclusive) of `count` items. Raises UserError beyond them."""
    first, last = 0, count
    if wanted is not None:
        first = first if wanted.start is None else wanted.start
        last = last if wanted.stop is None else wanted.stop
    if not 0 <= first <= last <= count:
        raise UserError(f"{where}: {what} {first} to {last - 1} of {count} asked for")
    return first, last


def read_vector(rxfile: str, allow_pipes: bool = False) -> np.ndarray:
    """Read a vector `(D,)`, float32 or int32. Raises UserError."""
    with _opened(rxfile, allow_pipes) as (stream, size, ranges):
        header = _read_header(stream, rxfile, size)
        if len(header.shape) != 1:
            raise UserError(f"{rxfile}: a matrix, expected a vector")
        if len(ranges) > 1:
            raise UserError(f"{rxfile}: a vector has no columns")
        first, last = _span(
            header.shape[0], ranges[0] if ranges else None, rxfile, "values"
        )
        return _decode(stream, header, rxfile)[first:last]


def read_vectors(scp) -> tuple[list[str], np.ndarray]:
    """All vectors of an scp: keys, and the matrix `(N, D)` float32.

    Raises UserError that names the key of a bad or ill-sized vector.
    """
    table, matrix = read_table(scp, None), None
    for row, (key, rxfile) in enumerate(table.items()):
        try:
            vector = read_vector(rxfile)
        except UserError as error:
            raise UserError(f"{scp}: {key}: {error}") from None
        if matrix is None:
            matrix = np.empty((len(table), len(vector)), np.float32)
        if len(vector) != matrix.shape[1]:
            raise UserError(
                f"{scp}: {key}: dimension {len(vector)}, others have {matrix.shape[1]}"
            )
        if not np.isfinite(vector).all():
            raise UserError(f"{scp}: {key}: holds NaN or infinity")
        matrix[row] = vector
    return list(table), matrix


def read_record(rxfile: str) -> tuple[str, np.ndarray]:
    """Kaldi's name of a record's type (FM, CM2, FV, ...), and its array."""
    with _opened(rxfile, False) as (stream, size, _):
        header = _read_header(stream, rxfile, size)
    read = read_vector if len(header.shape) == 1 else read_matrix
    return header.kind, read(rxfile)


def read_ark(path):
    """Iterate over (key, array) of a binary ark, in file order.

    Raises UserError for a damaged record or a key that comes twice.
    """
    for key, _, array in read_records(path):
        yield key, array


def read_records(path):
    """`read_ark` with the type's name: iterate over (key, kind, array)."""
    with _open(path) as stream:
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        seen = set()
        while (key := _read_key(stream, str(path))) is not None:
            where = f"{path}: {key}"
            if key in seen:
                raise UserError(f"{where}: duplicate key")
            seen.add(key)
            header = _read_header(stream, where, size)
            yield key, header.kind, _decode(stream, header, where)


def _read_key(stream, path: str) -> str | None:
    """The key of the next record, or None at the end of the ark."""
    key = bytearray()
    while (char := stream.read(1)) not in (b" ", b""):
        key += char
        if len(key) > 4096:
            raise UserError(f"{path}: no binary Kaldi ark")
    if char == b"" and not key:
        return None
    if char == b"":
        raise UserError(f"{path}: the ark is truncated after {bytes(key[:40])!r}")
    try:
        text = key.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if not text or re.search(r"\s", text):
        raise UserError(f"{path}: no binary Kaldi ark")
    return text


class ArkWriter:
    """Write `X.ark` and `X.scp` atomically: neither appears unless all went well.

    with ArkWriter("exp/xvector.ark", "exp/xvector.scp", ndim=1) as writer:
        writer.write(key, array)

    ndim: 2 for matrices `(T, F)`, 1 for vectors `(D,)`: what differs is refused.
    compress: write matrices as Kaldi's 8-bit speech-feature format.
    The scp holds absolute paths. Keys must come sorted bytewise and unique.
    """

    def __init__(self, ark, scp=None, ndim: int = 2, compress: bool = False):
        self._ark, self._scp = Path(ark), scp
        self._ndim = ndim
        self._method = _SPEECH_FEATURE if compress and ndim == 2 else None
        self._entries: dict[str, str] = {}
        self._last = ""

    def __enter__(self) -> "ArkWriter":
        self._context = atomic_write(self._ark, "wb")
        self._stream = self._context.__enter__()
        return self

    def write(self, key: str, array: np.ndarray) -> None:
        """Append one record. Raises UserError for what Kaldi could not read back."""
        where = f"{self._ark}: {key}"
        array = np.asarray(array)
        if array.ndim != self._ndim or array.size == 0:
            raise UserError(f"{where}: shape {array.shape}, not {self._ndim}-D")
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(array, np.float32)
        if not np.isfinite(array).all():
            raise UserError(f"{where}: holds NaN or infinity")
        record = io.BytesIO()
        matio.write_array(record, array, "<", self._method)
        self.write_record(key, record.getvalue())

    def write_record(self, key: str, record: bytes) -> None:
        """Append bytes that are a record already, such as a FLAC file."""
        where = f"{self._ark}: {key}"
        if not key or re.search(r"\s", key):
            raise UserError(f"{where}: a key is not empty and holds no blank")
        if key <= self._last:
            raise UserError(f"{where}: not after '{self._last}': keys must be sorted")
        self._stream.write(f"{key} ".encode())
        self._entries[key] = f"{self._ark.resolve()}:{self._stream.tell()}"
        self._stream.write(record)
        self._last = key

    def __exit__(self, *error) -> None:
        if error[0] is None and self._scp is not None:  # none may stand beside this ark
            Path(self._scp).unlink(missing_ok=True)
        self._context.__exit__(*error)
        if error[0] is None and self._scp is not None:
            write_table(self._scp, self._entries)


def write_array(path, array: np.ndarray) -> None:
    """Write a file of one float32 matrix or vector, such as Kaldi's mean.vec."""
    with atomic_write(path, "wb") as stream:
        matio.write_array(stream, np.ascontiguousarray(array, np.float32), "<", None)
