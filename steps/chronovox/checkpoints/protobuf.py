"""Protocol buffers, read by hand: their fields by number, nothing copied.

The wire format: protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Damaged(Exception):
    """What is wrong with a message."""


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message: number, and value as it stands there.

    Raises Damaged where no field can be read.
    """
    place = 0
    while place < len(data):
        key, place = varint(data, place)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise Damaged("what should be a field has the number 0")
        if kind == _VARINT:
            value, place = varint(data, place)
        else:
            size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
            if kind == _BYTES:
                size, place = varint(data, place)
            if size is None:
                raise Damaged(f"field {number} is of the unknown kind {kind}")
            if size > len(data) - place:
                raise Damaged(
                    f"cut off: field {number} asks for {size} bytes, "
                    f"{len(data) - place} are left"
                )
            value, place = data[place : place + size], place + size
        yield number, value


def varint(data: memoryview, place: int) -> tuple[int, int]:
    """A number in base 128, and the place behind it. Raises Damaged."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise Damaged("cut off within a number")
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise Damaged("a number of more than ten bytes")


def message(value: int | memoryview) -> memoryview:
    """A value that must be a message, a text or packed numbers. Raises Damaged."""
    if not isinstance(value, memoryview):
        raise Damaged("a number where a message should be")
    return value


def messages(data: memoryview, *path: int) -> Iterator[memoryview]:
    """All messages that the numbers of `path` lead to, one within the other."""
    for number, value in fields(data):
        if number == path[0]:
            inner = message(value)
            yield from messages(inner, *path[1:]) if path[1:] else [inner]
