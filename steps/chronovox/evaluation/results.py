"""The table of results: one row a model, data set, trial list, back end and seed.

`results.json` holds everything; `results.tsv` is written from it.
"""

from pathlib import Path

from chronovox.cli import UserError
from chronovox.evaluation.tables import Table
from chronovox.files import write_lines
from chronovox.scoring import name_below
from chronovox.trials import Trials

KEY = ("model", "data", "trials", "backend", "seed")
COLUMNS = (
    *KEY, "n_target", "n_nontarget", "n_spk", "eer", "eer_lo", "eer_hi", "eer_kaldi",
    "mindcf_0.01", "mindcf_0.05", "mindcf_0.001",
    "trials_sha256", "config", "commit", "command", "marks", "min_cllr", "cllr",
    "few_errors",
)  # fmt: skip
_ALWAYS = frozenset(COLUMNS[: COLUMNS.index("min_cllr")])  # others came later
_COSTS = "mindcf_", "actdcf_", "min_cllr", "cllr"


def columns(rows: list[dict]) -> list[str]:
    """COLUMNS, and on their right the costs at whatever other priors rows have."""
    more = {name for row in rows for name in row if name.startswith(_COSTS[:2])}
    return [*COLUMNS, *sorted(more.difference(COLUMNS))]


def identity(info: dict, data, trials: Trials) -> dict:
    """What KEY names of a score file; info: what stands beside it."""
    return {
        "model": info["model"], "data": name_below("data", data),
        "trials": Path(trials.path).name, "backend": info["backend"],
        "seed": info["seed"],
    }  # fmt: skip


def cell(row: dict, name: str) -> str:
    """A cell as text: rates in percent with 3 decimals, costs with 4, `-` for none."""
    value = row.get(name)
    if isinstance(value, float):
        return f"{100 * value:.3f}" if name.startswith("eer") else f"{value:.4f}"
    if isinstance(value, list):
        value = ",".join(value)
    return "-" if value in (None, "") else " ".join(str(value).split())


def _check(row: dict) -> None:
    """Raise KeyError, TypeError or ValueError for a row that `update` did not write."""
    for name in (*COLUMNS, *row):
        cell(row, name)
        kinds: tuple = (str,)
        if name.startswith(_COSTS):
            value = row.get(name)
        else:
            value = row[name] if name in _ALWAYS else row.get(name, [])
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


TABLE = Table(
    "results.json", KEY, _check, "steps/compute_metrics.py", "compute the metrics again"
)
key_of = TABLE.key_of
read = TABLE.read  # rates as fractions


def is_older(row: dict, new: dict) -> bool:
    """Whether a row is of a model and list of `new`, but of another version of one."""
    stem = new["model"].removesuffix(f"_s{new['seed']}")
    same_model = row["model"] == new["model"]
    same_mean = str(row["seed"]).startswith("mean(") and stem in row["model"].split("+")
    if (row["data"], row["trials"]) != (new["data"], new["trials"]):
        return False
    if not (same_model or (same_mean and row["config"] == new["config"])):
        return False
    known = new.get("embeddings_sha256"), row.get("embeddings_sha256")
    mine, theirs = ([x] if isinstance(x, str) else x or [] for x in known)
    other = row["trials_sha256"] != new["trials_sha256"]
    return other or not (set(mine) & set(theirs) or new["config"] == "-")


def update(results_dir, rows: list[dict], replaced=()) -> int:
    """Put `rows` into the table; rows of the same key or of a key in `replaced` go.

    So do rows that are older, `is_older`, whose number is returned. Safe to call from
    several processes at once.
    """
    tsv = Path(results_dir) / "results.tsv"
    # It is written after results.json, so looked for before.
    if tsv.exists() and not tsv.with_suffix(".json").exists():
        raise UserError(
            f"{results_dir}/results.json: no such file, but results.tsv is there: "
            "restore the one or remove the other"
        )
    older = []

    def is_gone(row: dict) -> bool:
        gone = any(is_older(row, new) for new in rows)
        older.extend([row] * gone)
        return gone

    with TABLE.updated(results_dir, rows, replaced, is_gone) as table:
        names = columns(table)
        lines = ["\t".join(cell(row, name) for name in names) for row in table]
        write_lines(tsv, ["\t".join(names), *lines])
    return len(older)
