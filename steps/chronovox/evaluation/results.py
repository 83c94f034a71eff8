"""The table of results: one row a model, data set, trial list, back end and seed.

`results.json` holds everything; `results.tsv` is written from it.
"""

import contextlib
import fcntl
import json
from pathlib import Path

from chronovox.cli import UserError
from chronovox.files import atomic_write, write_lines

KEY = ("model", "data", "trials", "backend", "seed")
COLUMNS = (
    *KEY, "n_target", "n_nontarget", "n_spk", "eer", "eer_lo", "eer_hi", "eer_kaldi",
    "mindcf_0.01", "mindcf_0.05", "mindcf_0.001",
    "trials_sha256", "config", "commit", "command", "marks", "min_cllr", "cllr",
    "few_errors",
)  # fmt: skip
_COSTS = "mindcf_", "actdcf_", "min_cllr", "cllr"


def columns(rows: list[dict]) -> list[str]:
    """COLUMNS, and on their right the costs at whatever other priors rows have."""
    more = {name for row in rows for name in row if name.startswith(_COSTS[:2])}
    return [*COLUMNS, *sorted(more.difference(COLUMNS))]


def key_of(row: dict) -> tuple:
    """What tells a row from the others."""
    return tuple(row[name] for name in KEY)


def cell(row: dict, name: str) -> str:
    """A cell as text: rates in percent with 3 decimals, costs with 4, `-` for none."""
    value = row.get(name)
    if isinstance(value, float):
        return f"{100 * value:.3f}" if name.startswith("eer") else f"{value:.4f}"
    if isinstance(value, list):
        value = ",".join(value)
    return "-" if value in (None, "") else " ".join(str(value).split())


def read(results_dir) -> list[dict]:
    """The rows of `results.json`, rates as fractions.

    Raises UserError if it is missing or damaged.
    """
    path = Path(results_dir) / "results.json"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        for row in rows:
            _check(row)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file: run steps/compute_metrics.py") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path}: damaged ({error!r}): remove it and compute the metrics again"
        ) from None
    return rows


def _check(row: dict) -> None:
    """Raise KeyError, TypeError or ValueError for a row that `update` did not write."""
    json.dumps(row, ensure_ascii=False, allow_nan=False).encode()
    for name in (*COLUMNS, *row):
        cell(row, name)
        kinds: tuple = (str,)
        value = row.get(name) if name.startswith(_COSTS) else row[name]
        if name.startswith(("n_", "eer", *_COSTS)):
            kinds = (int, float)
            if name.startswith(("eer_", *_COSTS)):
                kinds = (int, float, type(None))
        elif name == "seed":
            kinds = (str, int, type(None))
        elif name in ("marks", "few_errors"):
            kinds = (list,)
        elif name not in COLUMNS:
            continue
        if not isinstance(value, kinds):
            raise TypeError(f"{name}: {value!r}")
        if isinstance(value, int) and abs(value) >= 2**63:
            raise ValueError(f"{name} is beyond 64 bits")
    if not isinstance(row["corpus"], dict | None):
        raise TypeError("corpus")


def update(results_dir, rows: list[dict], replaced=()) -> None:
    """Put `rows` into the table; rows of the same key or of a key in `replaced` go.

    Safe to call from several processes at once.
    """
    results_dir = Path(results_dir)
    results_dir.mkdir(parents=True, exist_ok=True)
    gone = {key_of(row) for row in rows}.union(replaced)
    with _locked(results_dir):
        old = read(results_dir) if _exists(results_dir) else []
        kept = [row for row in old if key_of(row) not in gone]
        table = sorted(kept + rows, key=_rank)
        with atomic_write(results_dir / "results.json") as stream:
            json.dump({"rows": table}, stream, indent=2, allow_nan=False)
            stream.write("\n")
        names = columns(table)
        lines = ["\t".join(cell(row, name) for name in names) for row in table]
        write_lines(results_dir / "results.tsv", ["\t".join(names), *lines])


def _rank(row: dict) -> tuple:
    """Rows in the order of their keys, seeds as numbers, then the means of seeds."""
    return tuple(str(value).rjust(10) if name == "seed" else str(value)
                 for name, value in zip(KEY, key_of(row), strict=True))  # fmt: skip


def _exists(results_dir: Path) -> bool:
    if (results_dir / "results.json").exists():
        return True
    if (results_dir / "results.tsv").exists():
        raise UserError(
            f"{results_dir}/results.json: no such file, but results.tsv is there: "
            "restore the one or remove the other"
        )
    return False


@contextlib.contextmanager
def _locked(results_dir: Path):
    with open(results_dir / ".lock", "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
