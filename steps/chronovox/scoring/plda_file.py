"""Kaldi's `<Plda>` files, text and binary: mean, transform, psi."""

import re
import struct

import numpy as np
from numpy.linalg import LinAlgError

from chronovox.cli import UserError
from chronovox.files import atomic_write
from chronovox.kaldi_io import open_file
from chronovox.scoring.plda import Plda

MAX_DIM = 2**14
_DIMS = {b"V": 1, b"M": 2}
_TYPES = {b"F": "<f4", b"D": "<f8"}


def write_plda(path, model: Plda, text: bool = False) -> None:
    """Write a model as Kaldi does, in double precision."""
    arrays = (model.mean, model.transform, model.psi)
    with atomic_write(path, "wb") as stream:
        if text:
            stream.write(b"<Plda> " + b"".join(map(_as_text, arrays)) + b"</Plda> ")
        else:
            stream.write(b"\0B<Plda> " + b"".join(map(_record, arrays)) + b"</Plda> ")


def read_plda(path) -> Plda:
    """Read a model that Kaldi or `write_plda` wrote.

    Raises UserError for a file that is none, is cut off, or holds no numbers.
    """
    try:
        with open_file(path) as stream:
            data = stream.read()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    try:
        mean, transform, psi = (
            _parse_binary(data[2:]) if data.startswith(b"\0B") else _parse_text(data)
        )
    except (ValueError, struct.error, OverflowError) as error:
        raise UserError(f"{path}: no Kaldi PLDA model: {error}") from None
    if mean.ndim != 1 or psi.shape != mean.shape or transform.shape != mean.shape * 2:
        raise UserError(
            f"{path}: shapes {mean.shape}, {transform.shape}, {psi.shape}: no model"
        )
    finite = all(np.isfinite(part).all() for part in (mean, transform, psi))
    if not finite or psi.min() < 0 or _is_singular(transform):
        raise UserError(f"{path}: holds NaN, infinity or impossible covariances")
    return Plda(mean, transform, psi)


def _is_singular(matrix: np.ndarray) -> bool:
    try:
        return not np.isfinite(np.linalg.inv(matrix)).all()
    except LinAlgError:
        return True


def _record(array: np.ndarray) -> bytes:
    array = np.ascontiguousarray(array, "<f8")
    dims = b"".join(b"\4" + struct.pack("<i", size) for size in array.shape)
    return (b"DV " if array.ndim == 1 else b"DM ") + dims + array.tobytes()


def _as_text(array: np.ndarray) -> bytes:
    rows = [" ".join(map(repr, row.tolist())) for row in np.atleast_2d(array)]
    if array.ndim == 1:
        return f" [ {rows[0]} ]\n".encode()
    return (" [\n  " + "\n  ".join(rows) + " ]\n").encode()


def _parse_binary(data: bytes) -> list[np.ndarray]:
    """The three arrays of what follows the mark of binary files."""
    data = _behind(data, b"<Plda> ")
    arrays = []
    for _ in range(3):
        kind, dims = _TYPES.get(data[:1]), _DIMS.get(data[1:2])
        if kind is None or dims is None or data[2:3] != b" ":
            raise ValueError(f"{data[:3]!r} where a vector or matrix should begin")
        shape, data = [], data[3:]
        for _ in range(dims):
            if data[:1] != b"\4":
                raise ValueError("a damaged size")
            shape.append(struct.unpack("<i", data[1:5])[0])
            data = data[5:]
        if not all(0 < size <= MAX_DIM for size in shape):
            raise ValueError(f"size {'x'.join(map(str, shape))}")
        num_bytes = int(np.prod(shape)) * np.dtype(kind).itemsize
        if len(data) < num_bytes:
            raise ValueError("it is cut off")
        values = np.frombuffer(data[:num_bytes], kind)
        arrays.append(values.astype(np.float64).reshape(shape))
        data = data[num_bytes:]
    _behind(data, b"</Plda>")
    return arrays


def _parse_text(data: bytes) -> list[np.ndarray]:
    text = data.decode("ascii", errors="replace")
    found = re.fullmatch(r"\s*<Plda>((?:\s*\[[^]]*\]){3})\s*</Plda>\s*", text)
    if not found:
        raise ValueError("expected <Plda> [ mean ] [ transform ] [ psi ] </Plda>")
    parts = re.findall(r"\[([^]]*)\]", found[1])
    mean, transform, psi = (np.array(part.split(), np.float64) for part in parts)
    if not 0 < len(mean) <= MAX_DIM or transform.size != len(mean) ** 2:
        raise ValueError(f"{len(mean)} values of mean, {transform.size} of transform")
    return [mean, transform.reshape(len(mean), -1), psi]


def _behind(data: bytes, token: bytes) -> bytes:
    if not data.startswith(token):
        raise ValueError(f"{data[:10]!r} where {token.decode()} should be")
    return data[len(token) :]
