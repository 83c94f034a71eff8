"""What every job runner shares: its command line, and the form of its logs.

    CMD [options] [JOB=1:N] LOG COMMAND [WORD ...]

The options and the form of the log are Kaldi's. JOB may be any name, and is
replaced by the number of the job in the log's name and in every word.
"""

import argparse
import re
import shlex
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from chronovox import cli

# A word that is one of these is meant for a shell; all others mean themselves.
_FOR_SHELL = ("|", ">", ">>", "<", "2>&1", "&&", ";")
TAIL_LINES = 20


@dataclass(frozen=True)
class Task:
    """One command, to be run once for every job number.

    name: what stands for the number, or None for a single job without one.
    """

    name: str | None
    numbers: range
    log: str
    words: tuple[str, ...]

    def _fill(self, text: str, number) -> str:
        return text if self.name is None else text.replace(self.name, str(number))

    def log_path(self, number: int) -> Path:
        return Path(self._fill(self.log, number))

    def all_logs(self) -> str:
        """The names of all logs, as a pattern."""
        return self._fill(self.log, "*")

    def command(self, number: int) -> list[str]:
        """The words of one job."""
        return [self._fill(word, number) for word in self.words]

    def argv(self, number: int) -> list[str]:
        """What to execute: the words themselves, or a shell if they hold a pipe."""
        words = self.command(number)
        if not set(words) & set(_FOR_SHELL):
            return words
        line = " ".join(w if w in _FOR_SHELL else shlex.quote(w) for w in words)
        return ["bash", "-c", f"set -o pipefail; {line}"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of Kaldi's job runners."""
    parser.add_argument("--mem", type=_memory, help="memory of a job, such as 4G")
    parser.add_argument("--gpu", type=int, choices=(0, 1), default=0, help="(0)")
    parser.add_argument("--time", help="time limit of a job, such as 4:00:00")
    parser.add_argument(
        "--num-threads", type=cli.positive_int, default=1, help="of a job (1)"
    )
    parser.add_argument(
        "--max-jobs-run", type=cli.positive_int, metavar="N", help="at once"
    )
    parser.add_argument(
        "words", nargs="*", metavar="[JOB=1:N] LOG COMMAND", help="see above"
    )


def _memory(text: str) -> str:
    if not re.fullmatch(r"\d+[KMGT]?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"expected a size such as 4G, got '{text}'")
    return text


def parse(
    parser: argparse.ArgumentParser, argv: list[str] | None
) -> tuple[argparse.Namespace, Task]:
    """Options and task; what is wrong is a usage error (exit code 2)."""
    words = list(sys.argv[1:] if argv is None else argv)
    options: list[str] = []
    name, numbers = None, range(1, 2)
    # Options, of one value each, may stand before and behind JOB=1:N.
    while words:
        if words[0].startswith("-"):
            options += words[:2]
            del words[:2]
        elif name is None and re.fullmatch(r"[A-Za-z_]\w*=[\d:]*", words[0], re.ASCII):
            name, _, text = words.pop(0).partition("=")
            numbers = _numbers(parser, text)
        else:
            break
    args = parser.parse_args(options)
    if len(words) < 2:
        parser.error("give a log and a command")
    task = Task(name, numbers, words[0], tuple(words[1:]))
    if len(numbers) > 1 and task.log_path(1) == task.log_path(2):
        parser.error(f"{len(numbers)} jobs need {name} in the log's name: {task.log}")
    return args, task


def _numbers(parser: argparse.ArgumentParser, text: str) -> range:
    match = re.fullmatch(r"(\d+)(?::(\d+))?", text, re.ASCII)
    first = int(match[1]) if match else 0
    last = int(match[2] or match[1]) if match else 0
    if not 1 <= first <= last:
        parser.error(f"expected first:last with 1 <= first <= last, got '{text}'")
    return range(first, last + 1)


def _date() -> str:
    return time.strftime("%a %b %e %H:%M:%S %Z %Y")


def header(words: list[str]) -> str:
    """The first lines of a log."""
    return f"# {shlex.join(words)}\n# Started at {_date()}\n#\n"


def footer(code: int, seconds: float, threads: int) -> str:
    """The last lines of a log."""
    return (
        f"# Accounting: time={seconds:.0f} threads={threads}\n"
        f"# Ended (code {code}) at {_date()}, elapsed time {seconds:.0f} seconds\n"
    )


def tail(path) -> str:
    """The last lines of a log."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return "".join(deque(stream, TAIL_LINES))
    except OSError as error:
        return f"({path}: {error.strerror})\n"


def report(program: str, task: Task, failed: dict[int, int]) -> None:
    """Say on stderr which jobs failed (number -> code), and why the first did."""

    def say(text: str) -> None:
        print(f"{program}: {text}", file=sys.stderr)

    for number in sorted(failed):
        log = task.log_path(number)
        say(f"job {number} failed with code {failed[number]}, its log is {log}")
    first = task.log_path(min(failed))
    say(f"{first} ends with:")
    for line in tail(first).splitlines():
        print(f"  {line}", file=sys.stderr)
    say(f"{len(failed)} / {len(task.numbers)} failed, log is in {task.all_logs()}")
