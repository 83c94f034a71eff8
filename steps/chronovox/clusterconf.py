"""How a cluster's sbatch is told the options of a job: conf/slurm.conf."""

import argparse
import re
import shlex
from pathlib import Path

from chronovox import cli


class ClusterConf:
    """How a cluster's own command says the options of a job runner.

    A file in the form of Kaldi's queue.conf, which conf/slurm.conf explains.
    """

    def __init__(self, path):
        self.path = path
        self.command: list[str] = []
        self.options: dict[str, dict[str, list[str]]] = {}
        self._defaults: dict[str, str] = {}
        self._lines: dict[str, int] = {}
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (FileNotFoundError, UnicodeDecodeError) as error:
            what = "not UTF-8 text" if isinstance(error, ValueError) else "no such file"
            raise cli.UserError(f"{path}: {what}: see --config") from None
        for number, line in enumerate(lines, 1):
            try:
                if len(line) > 5000:  # shlex takes the square of the length
                    raise ValueError("too long")
                if words := shlex.split(line, comments=True):
                    self._read(number, *words)
            except ValueError as error:
                raise cli.UserError(
                    f"{path}:{number}: '{line[:200]}': expected 'command PROGRAM', "
                    f"'option NAME=VALUE WORDS' or 'default NAME=VALUE' ({error})"
                ) from None
        if not self.command:
            raise cli.UserError(f"{path}: has no line 'command PROGRAM [WORD ...]'")

    def _read(self, number: int, kind: str, *words: str) -> None:
        first, *words = words or ("",)
        name, equal, value = first.partition("=")
        if kind == "command" and first:
            self.command = [first, *words]
        elif not (equal and re.fullmatch(r"(?!help$)[a-z]\w*", name, re.ASCII)):
            raise ValueError(f"'{first}' is not NAME=VALUE")
        elif kind == "option":
            self.options.setdefault(name, {})[value] = words
            self._lines[name] = number
        elif kind == "default" and not words:
            self._defaults[name] = value
        else:
            raise ValueError(f"'{kind}'")

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Make the options that only this file has."""
        for name in sorted(set(self.options) - set(vars(parser.parse_args([])))):
            parser.add_argument(f"--{name.replace('_', '-')}", help=f"({self.path})")

    def values(self, args: argparse.Namespace) -> dict[str, str]:
        """The options' values: those given, and the defaults of the others."""
        own = ("words", "pick", "config")
        given = {k: str(v) for k, v in vars(args).items() if v is not None}
        return self._defaults | {k: v for k, v in given.items() if k not in own}

    def words(self, parser: argparse.ArgumentParser, values: dict) -> list[str]:
        """The command and its words; a value without words is a usage error."""
        found = list(self.command)
        for name, value in values.items():
            choices = self.options.get(name, {})
            words = choices.get(value, choices.get("*"))
            if not choices:
                parser.error(f"{self.path}: has no line 'option {name}={value} WORDS'")
            if words is None:
                taken = ", ".join(f"{name}={choice}" for choice in choices)
                where = f"{self.path}:{self._lines[name]}"
                parser.error(f"{where}: takes {taken}, not {name}={value}")
            found += [word.replace("$0", value) for word in words]
        return found
