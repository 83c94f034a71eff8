"""A dictionary `<text> -> <number>` in a .npy file, read as data and never as code.

numpy keeps it as an array of no dimension that holds an object, a pickle. Of the
operations of a pickle (PEP 307, PEP 3154) those are followed here that such a file
needs. What it asks to call is noted down instead: no file gets anything called.
"""

import pickletools
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chronovox.cli import UserError
from chronovox.files import atomic_write

_MAGIC = b"\x93NUMPY"
_HEADER = b"{'descr':'|O','fortran_order':False,'shape':(),}"
_NAMES = {
    f"{module} {name}"
    for core in ("numpy.core.multiarray", "numpy._core.multiarray")
    for module, name in (
        (core, "_reconstruct"), (core, "scalar"), ("numpy", "ndarray"),
        ("numpy", "dtype"), ("_codecs", "encode"),
    )
}  # fmt: skip
_LITERALS = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "BINUNICODE8",
    "SHORT_BINUNICODE", "BINBYTES", "BINBYTES8", "SHORT_BINBYTES",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_DAMAGE = (
    ValueError, LookupError, TypeError, AttributeError, OverflowError, struct.error
)  # fmt: skip


@dataclass(eq=False)
class _Made:
    """What a pickle asks for: a call of `name` with `args`, then given `state`."""

    name: str
    args: tuple = ()
    state: object = None


def write_numbers(path, numbers: dict[str, float]) -> None:
    """Write the dictionary as `numpy.save` does, atomically."""
    with atomic_write(path, "wb") as stream:
        np.save(stream, np.array(numbers, object), allow_pickle=True)


def read_numbers(path) -> dict[str, float | str]:
    """Read such a file, whatever version of numpy wrote it.

    A text or None where a number should be comes back as text. Raises UserError for a
    missing or damaged file, and for one that holds anything but such a dictionary.
    """
    try:
        content = Path(path).read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no such file") from None
    try:
        made = _follow(_pickle_of(content))
        match made:
            case _Made("numpy _reconstruct", _, (_, (), _, _, [dict() as found])):
                return {_text(key): _number(value) for key, value in found.items()}
        raise ValueError("it is another object")
    except _DAMAGE as error:
        raise UserError(
            f"{path}: not a dictionary of numbers saved by numpy ({error}): "
            "nothing else is read from such a file"
        ) from None


def _pickle_of(content: bytes) -> bytes:
    """What stands behind the header of a .npy file with one object."""
    if not content.startswith(_MAGIC):
        raise ValueError("it is no .npy file")
    size = struct.Struct("<H" if content[6] == 1 else "<I")
    start = 8 + size.size
    end = start + size.unpack(content[8:start])[0]
    header = content[start:end]
    if b"".join(header.split()) != _HEADER:
        raise ValueError(f"it holds an array: {header[:80]!r}")
    return content[end:]


def _follow(content: bytes):
    """The object of a pickle, where it is not plain as _Made."""
    stack, outer, memo = [], [], {}
    for opcode, arg, _ in pickletools.genops(content):
        name = opcode.name
        if name in _LITERALS:
            stack.append(arg)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name == "MARK":
            outer.append(stack)
            stack = []
        elif name == "TUPLE":
            items, stack = stack, outer.pop()
            stack.append(tuple(items))
        elif name in _TUPLES:
            stack[-_TUPLES[name] :] = [tuple(stack[-_TUPLES[name] :])]
        elif name in ("APPENDS", "SETITEMS"):
            items, stack = stack, outer.pop()
            _fill(stack[-1], items)
        elif name in ("APPEND", "SETITEM"):
            first = -1 if name == "APPEND" else -2
            items, stack[first:] = stack[first:], []
            _fill(stack[-1], items)
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[arg] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[arg])
        elif name == "GLOBAL":
            stack.append(_named(arg))
        elif name == "STACK_GLOBAL":
            stack[-2:] = [_named(" ".join(stack[-2:]))]
        elif name == "REDUCE":
            stack[-2:] = [_Made(stack[-2].name, stack[-1])]
        elif name == "BUILD":
            state = stack.pop()
            stack[-1].state = state
        elif name == "STOP":
            return stack[-1]
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"it holds {name}")
    raise ValueError("cut off")


def _fill(container, items: list) -> None:
    """Put items at the end of a list, or keys and values into a dictionary."""
    if isinstance(container, list):
        container.extend(items)
        return
    for key, value in zip(items[::2], items[1::2], strict=True):
        container[_text(key)] = value


def _named(name: str) -> _Made:
    if name not in _NAMES:
        raise ValueError(f"it asks for {name[:80]!r}")
    return _Made(re.sub(r"numpy\S+", "numpy", name))


def _text(value) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a key is of type {type(value).__name__}")
    return value


def _number(value) -> float | str:
    """A number of Python, or a scalar of numpy; texts and None as text."""
    match value:
        case str() | None:
            return str(value)
        case bool():
            pass
        case int() | float():
            return float(value)
        case _Made(
            "numpy scalar",
            (_Made("numpy dtype", (str(code), *_), (_, str(order), *_)), data),
        ) if re.fullmatch("[<>=|][fiu][1248]", order + code):
            if isinstance(data, _Made):  # bytes, in pickles of version 2
                data = data.args[0].encode("latin-1")
            return float(np.frombuffer(data, order + code).item())
    raise ValueError(f"a value is no number but of type {type(value).__name__}")
