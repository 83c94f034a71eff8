"""What a stage was given, what it made, and what it dropped with which reason."""

import contextlib
import os
import re
from pathlib import Path

from chronovox.cli import UserError, log
from chronovox.datadir import read_lines
from chronovox.files import write_lines

# Characters that lines of a table cannot hold; the last range stands for bytes that
# are no UTF-8.
UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def shown(path) -> str:
    """A path as one word: blanks, control characters and no UTF-8 as \\x20."""

    def escape(match) -> str:
        return "".join(f"\\x{byte:02x}" for byte in os.fsencode(match[0]))

    return re.sub(rf"\s|{UNWRITABLE.pattern}", escape, str(path))


class Coverage:
    """Counts the items of one job; an item whose work raises UserError is dropped.

    coverage = Coverage()
    for utt in utts:
        with coverage.item(utt):
            writer.write(utt, compute(utt))
    coverage.finish("log/dropped.1")
    """

    def __init__(self):
        self._count = 0
        self._dropped: dict[str, str] = {}

    @contextlib.contextmanager
    def item(self, key: str):
        """Do the work of one item inside."""
        self._count += 1
        try:
            yield
        except UserError as error:
            log.warning("dropped %s: %s", key, error)
            self._dropped[key] = str(error)

    def finish(self, path, max_fail_ratio: float | None = None) -> None:
        """Write the dropped items, `<key> <reason>`, and log the counts.

        max_fail_ratio: raise UserError if more were dropped, or all; without it,
        `collect` does so for all jobs.
        """
        list_dropped(self._count, self._dropped, path, max_fail_ratio)


def list_dropped(
    num_in: int, reasons: dict[str, str], path, max_fail_ratio: float | None = None
) -> None:
    """Write dropped items, `<key> <reason>`, and log the counts.

    reasons: dropped item -> why. max_fail_ratio: raise UserError if more of the
    `num_in` items were dropped, or all.
    """
    write_lines(path, [f"{key} {why}" for key, why in reasons.items()])
    _log_counts(num_in, num_in - len(reasons), path)
    if max_fail_ratio is not None:
        _check_losses(num_in, reasons, max_fail_ratio, path)


def _log_counts(num_in: int, num_out: int, dropped_path) -> None:
    dropped = num_in - num_out
    more = f" (reasons in {dropped_path})" if dropped else ""
    log.info("%d in, %d out, %d dropped%s", num_in, num_out, dropped, more)


def _check_losses(num_in: int, reasons: dict, max_fail_ratio: float, path) -> None:
    """Raise UserError if more than `max_fail_ratio` of the items were dropped, or all.

    reasons: dropped item -> why; `path`: where they are listed.
    """
    if reasons and (len(reasons) == num_in or len(reasons) > max_fail_ratio * num_in):
        key, why = min(reasons.items())
        raise UserError(
            f"{len(reasons)} of {num_in} were dropped, more than "
            f"--max-fail-ratio {max_fail_ratio} allows; the first: {key}: {why}; "
            f"all are in {path}"
        )


def read_keys(path) -> list[str]:
    """The first field of each line."""
    return [line.split(None, 1)[0] for line in read_lines(path) if line.strip()]


def part_path(pattern: str, job: int) -> Path:
    """`x.JOB.scp` -> `x.3.scp`."""
    return Path(pattern.replace("JOB", str(job)))


def collect(
    num_jobs: int,
    expected: list[str],
    tables: dict[str, str],
    dropped: tuple[str, str],
    max_fail_ratio: float = 0.05,
) -> int:
    """Join what jobs 1 to `num_jobs` wrote into whole tables; returns the items made.

    expected: the keys that went in. tables: pattern of the parts, with `JOB` in it
    -> table to write. dropped: the same pair for the lists of dropped items.
    Raises UserError if a part is missing, if an expected key is neither in the
    tables nor dropped, if more than `max_fail_ratio` were dropped, or all.
    """
    reasons = _read_parts(dropped[0], num_jobs)
    list_dropped(
        len(expected), dict(sorted(reasons.items())), dropped[1], max_fail_ratio
    )
    wanted = sorted(set(expected) - set(reasons))
    for pattern, path in tables.items():
        table = _read_parts(pattern, num_jobs)
        if sorted(table) != wanted:
            odd = min(set(table) ^ set(wanted))
            raise UserError(
                f"{part_path(pattern, 1)} to {num_jobs}: '{odd}' is missing or was not "
                "asked for: run the stage again"
            )
        write_lines(path, [f"{key} {table[key]}" for key in wanted])
    return len(wanted)


def _read_parts(pattern: str, num_jobs: int) -> dict[str, str]:
    """All lines `<key> <value>` of the parts; a part may be empty."""
    table: dict[str, str] = {}
    for job in range(1, num_jobs + 1):
        path = part_path(pattern, job)
        if not path.exists():
            raise UserError(f"{path}: no such file: did job {job} fail?")
        for line in read_lines(path) if path.stat().st_size else []:
            key, _, value = line.partition(" ")
            table[key] = value
    return table
