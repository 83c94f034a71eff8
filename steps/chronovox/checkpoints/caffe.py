"""Caffe's .caffemodel: a NetParameter of protocol buffers, read without Caffe.

Both generations of layers are read (`layers`, V1, and `layer`). Field numbers are
those of caffe.proto (BVLC); the wire format: protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from chronovox.cli import UserError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class _Layer(NamedTuple):
    """Field numbers of a kind of layer."""

    name: int
    blobs: int


_LAYERS = {2: _Layer(name=4, blobs=6), 100: _Layer(name=1, blobs=7)}
# Fields of BlobProto, and of BlobShape.
_NUM_TO_WIDTH, _DATA, _SHAPE, _DOUBLE_DATA = (1, 2, 3, 4), 5, 7, 8
_DIM = 1


class _Damaged(Exception):
    """What is wrong with the file."""


def read_caffemodel(path) -> dict[str, list[np.ndarray]]:
    """The float32 blobs of every layer that has some, by name, in its order.

    Convolutions are `(O, I, H, W)`, inner products `(O, I)` and their biases `(O,)`;
    in V1 files all have four dimensions, the first of which are 1. Raises UserError
    for a file that is missing, cut off or no caffemodel.
    """
    try:
        data = memoryview(np.memmap(path, np.uint8, "r"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except ValueError:
        raise UserError(f"{path}: empty file") from None
    layers: dict[str, list[np.ndarray]] = {}
    try:
        for number, value in _fields(data):
            if number not in _LAYERS:
                continue
            name, blobs = _layer(value, _LAYERS[number])
            if blobs and name in layers:
                raise _Damaged(f"layer '{name}' is there twice")
            if blobs:
                layers[name] = blobs
        if not layers:
            raise _Damaged("no layer with weights is in it")
    except _Damaged as error:
        raise UserError(
            f"{path}: no whole .caffemodel: {error}: download it again"
        ) from None
    return layers


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message: number, and value as it stands there."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise _Damaged(f"byte {place}: no field begins here")
        if kind == _VARINT:
            value, place = _varint(data, place)
        else:
            size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
            if kind == _BYTES:
                size, place = _varint(data, place)
            if size is None:
                raise _Damaged(f"a field of the unknown kind {kind}")
            if size > len(data) - place:
                raise _Damaged(
                    f"cut off: field {number} asks for {size} bytes, "
                    f"{len(data) - place} are left"
                )
            value, place = data[place : place + size], place + size
        yield number, value


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """A number in base 128, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise _Damaged("cut off within a number")
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise _Damaged("a number of more than ten bytes")


def _layer(data, fields: _Layer) -> tuple[str, list[np.ndarray]]:
    name, blobs = "", []
    for number, value in _fields(_message(data)):
        if number == fields.name:
            name = bytes(_message(value)).decode("utf-8", "replace")
        elif number == fields.blobs:
            blobs.append(_blob(_message(value)))
    return name, blobs


def _message(value) -> memoryview:
    if not isinstance(value, memoryview):
        raise _Damaged("a number where a message should be")
    return value


def _blob(data: memoryview) -> np.ndarray:
    """The values of a blob in their shape, float32."""
    shape, dims, parts = None, dict.fromkeys(_NUM_TO_WIDTH, 0), []
    for number, value in _fields(data):
        if number in dims:
            dims[number] = value
        elif number in (_DATA, _DOUBLE_DATA):
            kind = "<f4" if number == _DATA else "<f8"
            value = _message(value)
            if len(value) % np.dtype(kind).itemsize:
                raise _Damaged("a value is cut off")
            parts.append(np.frombuffer(value, kind))  # packed, or one by one
        elif number == _SHAPE:
            shape = _shape(_message(value))
    values = np.concatenate(parts or [np.zeros(0, "<f4")]).astype(np.float32)
    shape = list(dims.values()) if shape is None else shape
    if any(not isinstance(size, int) for size in shape) or np.prod(
        shape, dtype=object
    ) != len(values):
        raise _Damaged(f"{len(values)} values for a blob of the shape {shape}")
    return values.reshape(shape)


def _shape(data: memoryview) -> list[int]:
    dims: list[int] = []
    for number, value in _fields(data):
        if number != _DIM:
            continue
        if isinstance(value, int):
            dims.append(value)
            continue
        place = 0
        while place < len(value):
            dim, place = _varint(value, place)
            dims.append(dim)
    return dims
