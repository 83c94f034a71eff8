"""Tables of results as JSON, `{"rows": [...]}`: read, checked, and changed by key."""

import contextlib
import fcntl
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chronovox.cli import UserError
from chronovox.files import atomic_write


@dataclass(frozen=True)
class Table:
    """A file in a folder of results.

    key: the columns that tell a row from the others, or a group of rows that are made
    together and keep their order. check: raises KeyError, TypeError
    or ValueError for a row that no step wrote. step: the script that makes it; remedy:
    how a damaged one is made again.
    """

    name: str
    key: tuple[str, ...]
    check: Callable[[dict], None]
    step: str
    remedy: str

    def key_of(self, row: dict) -> tuple:
        """What tells a row from the others."""
        return tuple(row[name] for name in self.key)

    def read(self, results_dir) -> list[dict]:
        """The rows. Raises UserError if the file is missing or damaged."""
        path = Path(results_dir) / self.name
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
            for row in rows:
                json.dumps(row, ensure_ascii=False, allow_nan=False).encode()
                self.check(row)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file: run {self.step}") from None
        except (
            ValueError, KeyError, TypeError, AttributeError, RecursionError
        ) as error:  # fmt: skip
            raise UserError(
                f"{path}: damaged ({error!r}): remove it and {self.remedy}"
            ) from None
        return rows

    @contextlib.contextmanager
    def updated(
        self, results_dir, rows: list[dict], replaced=(), is_gone=lambda row: False
    ) -> Iterator[list[dict]]:
        """Put `rows` in; rows of the same key, or of a key in `replaced`, and those of
        which `is_gone` holds, go.

        Gives all rows, sorted, while no other process may change them: to write what is
        made from the table. Safe to call from several processes at once.
        """
        results_dir = Path(results_dir)
        results_dir.mkdir(parents=True, exist_ok=True)
        path = results_dir / self.name
        gone = {self.key_of(row) for row in rows}.union(replaced)
        with _locked(results_dir):
            old = self.read(results_dir) if path.exists() else []
            kept = [row for row in old if self.key_of(row) not in gone]
            kept = [row for row in kept if not is_gone(row)]
            table = sorted(kept + rows, key=self._rank)
            with atomic_write(path) as stream:
                json.dump({"rows": table}, stream, indent=2, allow_nan=False)
                stream.write("\n")
            yield table

    def _rank(self, row: dict) -> tuple:
        """Rows in the order of their keys, seeds as numbers, then means of seeds."""
        return tuple(
            str(row[name]).rjust(10) if name == "seed" else str(row[name])
            for name in self.key
        )


def aligned(table: list[Sequence[str]], num_left: int = 1) -> list[str]:
    """Lines of equally long rows of cells; all but the first columns to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        words = [
            word.ljust(width) if place < num_left else word.rjust(width)
            for place, (word, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(("  " + "  ".join(words)).rstrip())
    return lines


@contextlib.contextmanager
def _locked(results_dir: Path):
    with open(results_dir / ".lock", "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
