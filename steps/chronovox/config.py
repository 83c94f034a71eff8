"""Strict YAML settings: each file fills one dataclass; an unknown key is an error."""

import dataclasses
import difflib
import re
import types
import typing
from pathlib import Path

import yaml

from chronovox.cli import UserError
from chronovox.files import atomic_write


class _StrictLoader(yaml.SafeLoader):
    """A safe YAML loader that refuses a key written twice, tags and aliases."""

    def compose_node(self, parent, index):
        event = self.peek_event()
        # Aliases of aliases grow without bounds, tags make other types of values.
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None):
            raise yaml.composer.ComposerError(
                None, None, "a tag (!) or an alias (*): write it out", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_scalar(self, node):
        value = super().construct_scalar(node)
        if re.search("[\0\ud800-\udfff]", value):
            raise yaml.constructor.ConstructorError(
                None, None, f"{value!r} is no text", node.start_mark
            )
        return value

    def construct_yaml_int(self, node):
        value = super().construct_yaml_int(node)
        if abs(value) >= 2**63:
            raise yaml.constructor.ConstructorError(
                None, None, "a number beyond 64 bits", node.start_mark
            )
        return value

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is not a name", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key '{key}' is written twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader.construct_yaml_int)


def load(path, cls):
    """Read the YAML file `path` into the dataclass `cls`.

    A dataclass checks ranges in its own `__post_init__` by raising ValueError.
    Raises UserError that names file and key for an unknown, missing or
    ill-typed key, a value out of range, or text that is no YAML.
    """
    try:
        data = yaml.load(Path(path).read_text(encoding="utf-8"), _StrictLoader)
    except FileNotFoundError:
        names = sorted(other.name for other in Path(path).parent.glob("*.yaml"))
        more = f": there are {', '.join(names)}" if names else ""
        raise UserError(f"{path}: no such file{more}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        text = " ".join(str(error).replace('in "<unicode string>", ', "").split())
        raise UserError(f"{path}: not valid YAML: {text}") from None
    return from_dict({} if data is None else data, cls, str(path))


def from_dict(data, cls, where: str):
    """Fill the dataclass `cls` from a dictionary; `where` names it in errors."""
    if not isinstance(data, dict):
        raise UserError(f"{where}: expected `key: value` lines")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in data:
        if key not in fields:
            raise UserError(f"{where}: unknown key {key!r}{_nearest(key, fields)}")
    for name, field in fields.items():
        required = (
            field.default is dataclasses.MISSING
            and field.default_factory is dataclasses.MISSING
        )
        if required and name not in data:
            raise UserError(f"{where}: key '{name}' is missing")
    values = {
        key: _convert(value, hints[key], f"{where}: {key}")
        for key, value in data.items()
    }
    try:
        return cls(**values)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{where}: {error}") from None


def _nearest(key: str, names) -> str:
    near = difflib.get_close_matches(key, names, n=1)
    if near:
        return f" (did you mean '{near[0]}'?)"
    return f" (the keys are {', '.join(names)})"


def _convert(value, hint, where: str):
    """Check `value` against a type hint; raises UserError."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return from_dict(value, hint, where)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in args:
            return None
        inner = [arg for arg in args if arg is not type(None)]
        if len(inner) == 1:
            return _convert(value, inner[0], where)
    if origin is typing.Literal:
        if value in args and not isinstance(value, bool):
            return value
        raise UserError(f"{where}: {value!r} is not one of {', '.join(map(str, args))}")
    if origin is list and isinstance(value, list):
        return [_convert(v, args[0], f"{where}[{i}]") for i, v in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {k: _convert(v, args[1], f"{where}.{k}") for k, v in value.items()}
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is hint and value == value:  # NaN would pass every range check
        return value
    name = getattr(hint, "__name__", str(hint)) if origin is None else str(hint)
    remedy = ""
    if hint is float and re.fullmatch(r"[+-]?\d+e[+-]?\d+", str(value)):
        remedy = f": write {value.replace('e', '.0e')}"  # YAML 1.1 wants the point
    raise UserError(f"{where}: expected {name}, got {value!r}{remedy}")


def to_yaml(settings) -> str:
    """A dataclass as YAML text, keys in the order of declaration."""
    return yaml.safe_dump(
        dataclasses.asdict(settings), sort_keys=False, allow_unicode=True
    )


def save(settings, path) -> None:
    """Write a dataclass as YAML, atomically."""
    with atomic_write(path) as stream:
        stream.write(to_yaml(settings))


def check_same(settings, path, others, others_path, remedy: str) -> None:
    """Raise UserError naming the keys in which two dataclasses of one kind differ."""
    first, second = dataclasses.asdict(settings), dataclasses.asdict(others)
    differing = [
        f"{key}: {first[key]} and {second[key]}"
        for key in first
        if first[key] != second[key]
    ]
    if differing:
        raise UserError(
            f"{path} and {others_path} differ ({'; '.join(differing)}): {remedy}"
        )
