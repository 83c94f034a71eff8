"""What every job runner shares: its command line, and the form of its logs.

    CMD [options] [JOB=1:N] LOG COMMAND [WORD ...]

The options and the form of the log are Kaldi's. JOB may be any name, and is
replaced by the number of the job in the log's name and in every word.

A job that ends with REQUEUE_CODE says: stopped on request with my state saved,
run me again. Its next attempt writes on in the same log.
"""

import argparse
import contextlib
import dataclasses
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chronovox import cli, files
from chronovox.clusterconf import ClusterConf

# A word that is one of these is meant for a shell; all others mean themselves.
_FOR_SHELL = ("|", ">", ">>", "<", "2>&1", "&&", ";")
TAIL_LINES = 20
REQUEUE_CODE = 85
# A job that asks to be run again sooner has done nothing, and would ask for ever.
MIN_ATTEMPT_S = 1.0
GRACE_S = 5.0  # between SIGTERM and SIGKILL


@dataclass(frozen=True)
class Task:
    """One command, to be run once for every job number.

    name: what stands for the number, or None for a single job without one.
    """

    name: str | None
    numbers: Sequence[int]
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
    parser.add_argument("--gpu", type=cli.natural, default=0, help="of a job (0)")
    parser.add_argument("--time", help="time limit of a job, such as 4:00:00")
    parser.add_argument(
        "--num-threads", type=cli.positive_int, default=1, help="of a job (1)"
    )
    parser.add_argument(
        "--max-jobs-run", type=cli.positive_int, metavar="N", help="at once"
    )
    parser.add_argument(
        "--pick", choices=("all", "failed", "incomplete"), default="all",
        help="run only jobs whose log ends with a code other than 0 (failed) or has "
        "no `# Ended` line (incomplete), and take the others as done (all)",
    )  # fmt: skip
    parser.add_argument(
        "words", nargs="*", metavar="[JOB=1:N] LOG COMMAND", help="see above"
    )


def _memory(text: str) -> str:
    if not re.fullmatch(r"\d+[KMGT]?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"expected a size such as 4G, got '{text}'")
    return text


def split_words(words: Sequence[str]) -> tuple[list[str], str | None, list[str]]:
    """Options with their values, the word JOB=1:N if any, and the other words.

    Options, of one value each, may stand before and behind JOB=1:N.
    """
    words, options, numbers = list(words), [], None
    while words:
        if words[0].startswith("-"):
            options += words[:2]
            del words[:2]
        elif numbers is None and re.fullmatch(
            r"[A-Za-z_]\w*=[\d:]*", words[0], re.ASCII
        ):
            numbers = words.pop(0)
        else:
            break
    return options, numbers, words


def parse(
    parser: argparse.ArgumentParser,
    argv: list[str] | None,
    conf: ClusterConf | None = None,
) -> tuple[argparse.Namespace, Task]:
    """Options and task; what is wrong is a usage error (exit code 2)."""
    hint = ""
    if conf is not None:
        conf.add_options(parser)
        hint = f" ({conf.path} has lines for {', '.join(sorted(conf.options))})"
    options, array, words = split_words(sys.argv[1:] if argv is None else argv)
    for option in options[::2]:
        if "=" in option:  # the next word is no value, but would be taken for it
            parser.error(f"{option}: write '{option.replace('=', ' ', 1)}'")
    args, unknown = parser.parse_known_args(options)
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    name, numbers = None, range(1, 2)
    if array is not None:
        name, _, text = array.partition("=")
        numbers = _numbers(parser, text)
    if len(words) < 2:
        parser.error("give a log and a command")
    task = Task(name, numbers, words[0], tuple(words[1:]))
    if len(numbers) > 1 and task.log_path(1) == task.log_path(2):
        parser.error(f"{len(numbers)} jobs need {name} in the log's name: {task.log}")
    return args, task


def pick(program: str, task: Task, which: str) -> Task:
    """The task with only those of its jobs that `which` names; says how many.

    failed: the log ends with another code than 0. incomplete: it has no end.
    """
    if which == "all":
        return task
    ends = {number: _logged_code(task.log_path(number)) for number in task.numbers}
    if which == "failed":
        numbers = tuple(n for n, code in ends.items() if code not in (None, 0))
    else:
        numbers = tuple(n for n, code in ends.items() if code is None)
    print(
        f"{program}: {len(numbers)} of {len(ends)} jobs are {which} and are run, "
        "the others are taken as done", file=sys.stderr
    )  # fmt: skip
    return dataclasses.replace(task, numbers=numbers)


def _logged_code(log: Path) -> int | None:
    """The code of the last attempt in a log; None if that has no end."""
    code = None
    with contextlib.suppress(FileNotFoundError), open(log, "rb") as stream:
        for line in stream:
            match = re.match(rb"# Ended \(code (\d+)\) at ", line)
            code = int(match[1]) if match else code
    return code


def _numbers(parser: argparse.ArgumentParser, text: str) -> range:
    match = re.fullmatch(r"(\d{1,7})(?::(\d{1,7}))?", text, re.ASCII)
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


def runs_again(code: int, seconds: float) -> bool:
    """Whether a job that ended with `code` after `seconds` is to be run again."""
    return code == REQUEUE_CODE and seconds >= MIN_ATTEMPT_S


def start(
    task: Task, number: int, environment: dict[str, str], mask, attempt: int = 1
) -> subprocess.Popen | int:
    """Start a job, whose log begins anew unless this is another attempt.

    The job leads a process group of its own, ends when this process ends, and
    gets back the signal mask that this process had before it blocked signals.
    Returns the code 126 or 127 of what cannot be started.
    """
    log = task.log_path(number)
    log.parent.mkdir(parents=True, exist_ok=True)
    again = f"# Run again: attempt {attempt}\n" if attempt > 1 else ""
    with files.named(log), open(log, "a" if again else "w") as stream:
        stream.write(again + header(task.command(number)))
    parent = os.getpid()

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        cli.die_with_parent()
        if os.getppid() != parent:
            os._exit(1)

    try:
        with open(log, "ab") as stream:
            return subprocess.Popen(
                task.argv(number),
                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
                env={**os.environ, **environment},
                process_group=0, preexec_fn=prepare,
            )  # fmt: skip
    except OSError as error:
        write_on(log, f"{task.command(number)[0]}: {error.strerror}\n")
        return 127 if isinstance(error, FileNotFoundError) else 126


def write_on(log: Path, text: str) -> None:
    """Add to the end of a log."""
    with files.named(log), open(log, "a") as stream:
        stream.write(text)


def thread_variables(num_threads: int) -> dict[str, str]:
    """What tells a job how many threads it may use."""
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(num_threads))


def exit_code(process: subprocess.Popen) -> int | None:
    """The code of a process that has ended, as a shell gives it, or None."""
    code = process.poll()
    return code if code is None or code >= 0 else 128 - code


def next_signal(signals: set[int], timeout_s: float) -> int | None:
    """The next of some blocked signals, or None after `timeout_s`."""
    caught = signal.sigtimedwait(signals, timeout_s)
    # Stopped and continued meanwhile, Python 3.11 gives a struct of anything.
    return caught.si_signo if caught and caught.si_signo in signals else None


def kill_group(group: int, kind: signal.Signals) -> bool:
    """Send a signal to a process group; False if it is no more."""
    try:
        os.killpg(group, kind)
    except ProcessLookupError:
        return False
    return True


def kill_groups(names: set[str]) -> None:
    """For a guard: kill process groups, until they are no more."""
    groups = {int(name) for name in names}
    deadline = time.monotonic() + GRACE_S
    while groups and time.monotonic() < deadline:
        groups = {group for group in groups if kill_group(group, signal.SIGKILL)}
        time.sleep(0.01)


def tell_guard(guard, sign: str, name) -> None:
    """Tell a guard of a name (+), or that it is no more (-)."""
    with contextlib.suppress(BrokenPipeError):
        guard.write(f"{sign}{name}\n".encode())


def start_guard(end: Callable[[set[str]], None]):
    """A process that calls end(names) once this process has ended.

    Being told of names ends with this process, however that ends.
    """
    reading, writing = os.pipe()
    if os.fork():
        os.close(reading)
        return os.fdopen(writing, "wb", buffering=0)
    try:
        os.setsid()
        os.close(writing)
        names: set[str] = set()
        for line in os.fdopen(reading):
            (names.add if line[0] == "+" else names.discard)(line[1:].rstrip("\n"))
        if names:
            end(names)
    finally:
        os._exit(0)


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
