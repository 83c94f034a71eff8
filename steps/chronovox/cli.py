"""What every script shares: the argument parser, the log, errors and exit codes.

Exit codes: 0 done, 1 an error that the user can mend (`UserError`, or an error
of the operating system such as a full disk), 2 wrong usage, 130 interrupted.
"""

import argparse
import contextlib
import errno
import logging
import os
import signal
import sys

log = logging.getLogger("chronovox")
_ROOM, _OTHER = "make room, then run again", "it must be writable: name another place"
_REMEDIES = {
    errno.ENOSPC: _ROOM, errno.EDQUOT: _ROOM, errno.EFBIG: _ROOM, errno.EROFS: _OTHER
}  # fmt: skip


class UserError(Exception):
    """An error that the user can mend: names file, line, key and the remedy."""


class _Parser(argparse.ArgumentParser):
    """Shows the whole docstring as help; options must be written out in full."""

    def __init__(self, doc: str):
        super().__init__(
            description=doc,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The parser of a script whose module docstring is its help."""
    return _Parser((doc or "").strip())


def boolean(text: str) -> bool:
    """The type of a Kaldi-style boolean option: `--name true` or `--name false`."""
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"expected true or false, got '{text}'")
    return text == "true"


def positive_int(text: str) -> int:
    """The type of an option that counts something: a whole number from 1 on."""
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, got '{text}'")
    return int(text)


def natural(text: str) -> int:
    """The type of an option that may count nothing: a whole number from 0 on."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"expected a number from 0 on, got '{text}'")
    return int(text)


def fraction(text: str) -> float:
    """The type of an option between 0 and 1, both included."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"expected 0 to 1, got '{text}'")
    return value


def die_with_parent() -> None:
    """Ask Linux to end this process when the one that started it ends.

    A run killed with -9 then leaves no job behind that still writes.
    """
    try:
        import ctypes

        pr_set_pdeathsig, sigkill = 1, 9
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, sigkill)
    except (ImportError, OSError, AttributeError):
        pass


def _shown(text: str) -> str:
    """Text for a terminal, which must obey nothing that a bad file holds."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def explain(error: OSError) -> str:
    """An error of the operating system in a line: file, reason, and remedy."""
    words = (error.filename, error.strerror, _REMEDIES.get(error.errno))
    return ": ".join(str(word) for word in words if word)


def _flush() -> None:
    """Write out what was printed; after an error Python does not try it again."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise OSError(error.errno, error.strerror, "standard output") from None


def run(main) -> None:
    """Run a script's `main(argv=None) -> int` and exit with its code."""
    script = os.path.basename(sys.argv[0])
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format=f"{script}: %(message)s"
    )
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # utils/python/
        code = main()
        _flush()
    except UserError as error:
        print(f"{script}: error: {_shown(str(error))}", file=sys.stderr)
        code = 1
    except BrokenPipeError:
        code = 1
    except OSError as error:
        if error.errno is None:
            raise
        print(f"{script}: error: {_shown(explain(error))}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print(f"{script}: interrupted", file=sys.stderr)
        code = 130
    with contextlib.suppress(OSError):
        _flush()
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback from Python's end
    sys.exit(code)
