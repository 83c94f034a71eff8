"""The fuzz itself: runs inputs through a parser and says what must not have happened.

A parse may return, or raise UserError with one line that names a file. All else is a
failure: another exception, a hang, gigabytes of memory, a process that is started, a
file that is written outside the folder.
"""

import contextlib
import logging
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from fuzz_inputs import make
from fuzz_seeds import MARKER

from chronovox.cli import UserError

BUDGET_S = 10.0  # of one input
MAX_GROWTH_MB = 400  # of the process, over all inputs of a parser
_FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen",
    "socket.connect", "pty.spawn",
)  # fmt: skip


class Hang(BaseException):
    """An input took more than BUDGET_S."""


@dataclass
class Outcome:
    """failures: what failed -> the first such input, and how many there were."""

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    failures: dict[str, list] = field(default_factory=dict)

    def add(self, other: "Outcome") -> None:
        self.inputs += other.inputs
        self.accepted += other.accepted
        self.refused += other.refused
        self.failures |= other.failures

    def fail(self, what: str, detail: str, number, content: bytes) -> None:
        first = [number, detail, content[:300].hex(), 0]
        self.failures.setdefault(what, first)[3] += 1


class Watch:
    """Notes processes that are started, and files written outside a folder."""

    def __init__(self):
        self.folder: str | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args) -> None:
        if self.folder is None:
            return
        if event in _FORBIDDEN:
            self.seen.append(f"{event} {str(args)[:200]}")
        elif event == "open" and isinstance(args[0], str | bytes) and args[2]:
            flags = os.O_WRONLY | os.O_RDWR | os.O_CREAT
            path = os.path.abspath(os.fsdecode(args[0]))
            inside = path.startswith((f"{self.folder}/", "/dev/null", "/dev/tty"))
            if args[2] & flags and not inside and "/.hypothesis/" not in path:
                self.seen.append(f"wrote {path}")


_watch: Watch | None = None


def _alarm(number, frame):
    raise Hang(f"more than {BUDGET_S:g} s")


@contextlib.contextmanager
def guarded():
    """A folder to work in, in which nothing is started and outside nothing written."""
    global _watch
    _watch = _watch or Watch()
    before, cwd = signal.signal(signal.SIGALRM, _alarm), Path.cwd()
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=shm, prefix="fuzz") as folder:
        try:
            os.chdir(folder)
            _watch.folder, _watch.seen = folder, []
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield Path(folder)
        finally:
            _watch.folder = None
            os.chdir(cwd)
            logging.disable(disabled)
            signal.signal(signal.SIGALRM, before)


def seen() -> list[str]:
    """What the guard has seen."""
    return _watch.seen


def one(parser, content: bytes, folder: Path, outcome: Outcome, number=None) -> None:
    """Run one input."""
    outcome.inputs += 1
    problem = None
    signal.setitimer(signal.ITIMER_REAL, BUDGET_S)
    try:
        parser.parse(content, folder)
        outcome.accepted += 1
    except UserError as error:
        outcome.refused += 1
        problem = message_problem(str(error), parser, folder)
    except OSError as error:  # which cli.run shows as one line
        outcome.refused += 1
        if error.errno is None or error.filename is None:
            problem = _where(error)
    except (Exception, Hang) as error:
        problem = _where(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if _watch.seen or os.path.lexists(folder / MARKER):
        problem = "code was run", str(_watch.seen or MARKER)
        _watch.seen = []
        shutil.rmtree(folder / MARKER, ignore_errors=True)
    if problem:
        outcome.fail(*problem, number, content)


def message_problem(text: str, parser, folder: Path) -> tuple[str, str] | None:
    """What is wrong with an error, and an example of it."""
    if not text.strip():
        return "an error without a word", ""
    if "Traceback" in text:
        return "an error that holds a traceback", text
    if "\n" in text:
        return "an error of several lines", text[:300]
    if parser.names and str(folder) not in text:
        return "an error that names no file", text[:300]
    return None


def _where(error: BaseException) -> tuple[str, str]:
    """The exception with the places of the project that it came through; its text."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [
        f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames
        if "/steps/" in frame.filename or "/utils/" in frame.filename
        or "fuzz_parsers" in frame.filename
    ]  # fmt: skip
    return f"{type(error).__name__} at {' '.join(places[-3:])}", str(error)[:300]


def run(parser, first: int, count: int, seed: int) -> Outcome:
    """Inputs `first` up to `first + count` of a parser."""
    outcome = Outcome()
    assert parser.seeds  # made outside of the guard
    with guarded() as folder:
        for number in range(first, first + count):
            one(parser, make(seed, parser, number), folder, outcome, number)
            if number % 500 == 499:
                _clear(folder)
    return outcome


def run_drawn(parser, count: int) -> Outcome:
    """`count` inputs that hypothesis draws, always the same."""
    from fuzz_inputs import strategy
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as with_seed

    outcome = Outcome()
    assert parser.seeds
    with guarded() as folder:

        @with_seed(1)
        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy(parser))
        def draw(content):
            one(parser, content, folder, outcome)

        draw()
    return outcome


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def describe(outcome: Outcome) -> list[str]:
    """A line for every kind of failure."""
    return [
        f"{count} x {what}: {detail!r}; input {number}: {content}"
        for what, (number, detail, content, count) in outcome.failures.items()
    ]
