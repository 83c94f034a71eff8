"""What every script shares: the argument parser, the log, errors and exit codes.

Exit codes: 0 done, 1 an error that the user can mend (`UserError`, or an error
of the operating system such as a full disk), 2 wrong usage, 130 interrupted.
"""

import argparse
import logging
import os
import sys

log = logging.getLogger("chronovox")


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


def run(main) -> None:
    """Run a script's `main(argv=None) -> int` and exit with its code."""
    script = os.path.basename(sys.argv[0])
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format=f"{script}: %(message)s"
    )
    try:
        code = main()
        sys.stdout.flush()
    except UserError as error:
        print(f"{script}: error: {_shown(str(error))}", file=sys.stderr)
        code = 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        if error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"{script}: error: {where}{error.strerror}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print(f"{script}: interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)
