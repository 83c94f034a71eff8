"""Caffe's .caffemodel: a NetParameter of protocol buffers, read without Caffe.

Both generations of layers are read (`layers`, V1, and `layer`). Field numbers are
those of caffe.proto (BVLC).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from chronovox.checkpoints.protobuf import Damaged, fields, message, varint
from chronovox.cli import UserError

_MAX_AXES = 32  # of a blob, as in Caffe's blob.hpp


class _Layer(NamedTuple):
    """Field numbers of a kind of layer."""

    name: int
    blobs: int


_LAYERS = {2: _Layer(name=4, blobs=6), 100: _Layer(name=1, blobs=7)}
# Fields of BlobProto, and of BlobShape.
_NUM_TO_WIDTH, _DATA, _SHAPE, _DOUBLE_DATA = (1, 2, 3, 4), 5, 7, 8
_DIM = 1


def read_caffemodel(path) -> dict[str, list[np.ndarray]]:
    """The float32 blobs of every layer that has some, by name, in its order.

    Convolutions are `(O, I, H, W)`, inner products `(O, I)` and their biases `(O,)`;
    in V1 files all have four dimensions, the first of which are 1. A file cut off
    between two layers is a whole one with fewer layers: whoever takes the blobs must
    miss the rest. Raises UserError for a file that is missing, cut off elsewhere or no
    caffemodel.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file")
    layers: dict[str, list[np.ndarray]] = {}
    try:
        for number, value in fields(_mapped(path)):
            if number not in _LAYERS:
                continue
            name, blobs = _layer(message(value), _LAYERS[number])
            if blobs and name in layers:
                raise Damaged(f"layer {name!r} is there twice")
            if blobs:
                layers[name] = blobs
        if not layers:
            raise Damaged("no layer with weights is in it")
    except Damaged as error:
        raise UserError(
            f"{path}: no whole .caffemodel: {error}: download it again"
        ) from None
    return layers


def _mapped(path) -> memoryview:
    """The bytes of a file, which are read as they are looked at."""
    try:
        return memoryview(np.memmap(path, np.uint8, "r"))
    except ValueError:
        raise Damaged("the file is empty") from None


def _layer(data: memoryview, numbers: _Layer) -> tuple[str, list[np.ndarray]]:
    name, blobs = "", []
    for number, value in fields(data):
        if number == numbers.name:
            name = bytes(message(value)).decode("utf-8", "replace")
        elif number == numbers.blobs:
            blobs.append(_blob(message(value)))
    return name, blobs


def _blob(data: memoryview) -> np.ndarray:
    """The values of a blob in their shape, float32."""
    shape, dims, parts = None, dict.fromkeys(_NUM_TO_WIDTH, 0), []
    for number, value in fields(data):
        if number in dims:
            dims[number] = value
        elif number in (_DATA, _DOUBLE_DATA):
            kind = np.dtype("<f4" if number == _DATA else "<f8")
            value = message(value)
            if len(value) % kind.itemsize:
                raise Damaged("a value is cut off")
            parts.append(np.frombuffer(value, kind))  # packed, or one by one
        elif number == _SHAPE:
            shape = _shape(message(value))
    shape = list(dims.values()) if shape is None else shape
    with np.errstate(over="ignore"):
        values = np.concatenate(parts or [[]], dtype=np.float32, casting="same_kind")
    if not _fits(shape, len(values)):
        text = " x ".join(str(size)[:20] for size in shape[:_MAX_AXES])
        raise Damaged(f"{len(values)} values for a blob of the shape {text}")
    if not np.isfinite(values).all():
        raise Damaged("a blob holds NaN or infinity")
    return values.reshape(shape)


def _fits(shape: list, count: int) -> bool:
    """Whether `count` values, one at least, have this shape."""
    if not 1 <= len(shape) <= _MAX_AXES or count == 0:
        return False
    if not all(isinstance(size, int) and 1 <= size <= count for size in shape):
        return False
    return np.prod(shape, dtype=object) == count


def _shape(data: memoryview) -> list[int]:
    dims: list[int] = []
    for number, value in fields(data):
        if number != _DIM:
            continue
        if isinstance(value, int):
            dims.append(value)
            continue
        place = 0
        while place < len(value):
            dim, place = varint(value, place)
            dims.append(dim)
    return dims
