"""What the report reads beside the table of results; what is missing is noted.

lifetime.json, conditions.json, comparisons.json and ages.json hold `{"rows": [...]}`; a
value with its interval is `[value, low, high]`, each a number or null.
"""

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chronovox import datadir
from chronovox.cli import UserError, explain, log
from chronovox.evaluation.metrics import SortedTrials
from chronovox.files import sha256
from chronovox.scoring import read_info, read_scores
from chronovox.scoring.enrolments import read_enrolments, read_speakers
from chronovox.trials import read_trials

# What makes each file.
COMMANDS = {
    "lifetime.json": "steps/measure_lifetime.py",
    "conditions.json": "steps/measure_conditions.py",
    "comparisons.json": "steps/compare_systems.py",
    "ages.json": "local/report_ages.py",
}
CURVES = "loss", "accuracy", "development_eer_percent"


@dataclass(frozen=True)
class Estimate:
    """A value and its interval; what is not known is NaN."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Bin:
    """Trials whose sides lie from `low` to `high` apart; `rates` by name.

    high: NaN for all that is beyond `low`. middle: the mean of its targets, or of both.
    """

    low: float
    high: float
    middle: float
    n_target: int
    n_spk: int
    rates: dict[str, Estimate]

    @property
    def name(self) -> str:
        """The bin in words."""
        if math.isnan(self.high):
            return f"from {self.low:g}"
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Lifetime:
    """How one system holds out over time; `doubling` by rate of false alarms."""

    row: dict
    unit: str
    bins: list[Bin]
    doubling: dict[str, Estimate]


@dataclass(frozen=True)
class Condition:
    """The EER of one system on the trials of one condition.

    Without counts it is the difference of two values.
    """

    row: dict
    condition: str
    value: str
    counts: tuple[int | None, ...]
    eer: Estimate


@dataclass(frozen=True)
class Comparison:
    """A paired difference of two systems on one list."""

    row: dict
    a: str
    b: str
    metric: str
    values: tuple[float, float]
    difference: Estimate


def number(value) -> float:
    """A number of a JSON document, or NaN for null. Raises TypeError otherwise."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"not a number: {value!r}")
    return float(value)


def optional(row: dict, name: str) -> float | None:
    """A number that a row of results may have."""
    try:
        value = number(row.get(name))
    except (TypeError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def _estimate(value) -> Estimate:
    if value is None:
        return Estimate()
    centre, low, high = map(number, value)
    return Estimate(centre, low, high)


def _texts(row: dict, *names: str) -> dict:
    """The row, whose `names` are checked to be texts."""
    for name in names:
        if not isinstance(row[name], str):
            raise TypeError(f"{name}: {row[name]!r}")
    if not isinstance(row.get("seed"), str | int | None):
        raise TypeError(f"seed: {row['seed']!r}")
    return row


def _middle(entry: dict) -> float:
    """Where a bin stands on an axis of time."""
    low, high, center = (number(entry.get(name)) for name in ("low", "high", "center"))
    if not math.isnan(center):
        return center
    return low if math.isnan(high) else (low + high) / 2


def _lifetime(row: dict) -> Lifetime:
    bins = [
        Bin(
            number(entry["low"]), number(entry["high"]), _middle(entry),
            int(entry["n_target"]), int(entry["n_spk"]),
            {
                name: _estimate(value) for name, value in entry.items()
                if name in ("shift", "cllr_loss")
                or name.startswith(("frr_", "actdcf_"))
            },
        )
        for entry in row["bins"]
    ]  # fmt: skip
    doubling = {far: _estimate(v) for far, v in (row["doubling"] or {}).items()}
    for name in [*doubling, *(name for one in bins for name in one.rates)]:
        if name not in ("shift", "cllr_loss"):
            float(name.rpartition("_")[2])  # a rate of false alarms, or a prior
    row = _texts(row, "model", "data", "trials", "backend", "unit", "trials_sha256")
    return Lifetime(row, row["unit"], bins, doubling)


def _condition(row: dict) -> Condition:
    counts = tuple(
        None if row[name] is None else int(row[name])
        for name in ("n_target", "n_nontarget", "n_spk")
    )
    eer = Estimate(*(number(row[name]) for name in ("eer", "eer_lo", "eer_hi")))
    row = _texts(
        row, "model", "data", "trials", "backend", "condition", "trials_sha256"
    )
    return Condition(row, row["condition"], str(row["value"]), counts, eer)


def _comparison(row: dict) -> Comparison:
    values = number(row["value_a"]), number(row["value_b"])
    difference = Estimate(*(number(row[name]) for name in ("difference", "lo", "hi")))
    row = _texts(row, "data", "trials", "metric", "a", "b", "trials_sha256")
    return Comparison(row, row["a"], row["b"], row["metric"], values, difference)


def _ages(row: dict) -> dict:
    _texts(row, "data", "statistic")
    counts = {name: int(row[name]) for name in ("num_faces", "n")}
    return {**row, **counts, "mae": number(row["mae"]), "bias": number(row["bias"])}


_READERS = {
    "lifetime.json": _lifetime, "conditions.json": _condition,
    "comparisons.json": _comparison, "ages.json": _ages,
}  # fmt: skip


def read_document(results_dir, name: str) -> tuple[list, dict] | None:
    """The rows of a JSON file, checked, and the whole document; None without it.

    Raises UserError for a damaged one.
    """
    path = Path(results_dir) / name
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
        return [_READERS[name](row) for row in document["rows"]], document
    except FileNotFoundError:
        return None
    except (
        ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError
    ) as error:  # fmt: skip
        raise UserError(
            f"{path}: damaged ({error!r}): remove it, or make it again with "
            f"{COMMANDS[name]}"
        ) from None


def age_points(results_dir, document: dict) -> tuple[np.ndarray, np.ndarray] | None:
    """True and estimated ages `(N,)` of ages.json, if it holds any."""
    try:
        points = document.get("points") or {"true": [], "estimated": []}
        true, estimated = (
            np.array([number(x) for x in points[side]], np.float64)
            for side in ("true", "estimated")
        )
        if true.shape != estimated.shape or np.isnan([true, estimated]).any():
            raise ValueError("points: ages are missing")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{Path(results_dir) / 'ages.json'}: damaged ({error!r}): remove it, or "
            f"make it again with {COMMANDS['ages.json']}"
        ) from None
    return (true, estimated) if len(true) else None


class Inputs:
    """Scores, trials and ages behind the rows, each read once.

    `notes` says of every file that was not used, why; the report goes on without.
    Paths are those of the command lines, which normally ran in RESULTS_DIR/../..
    """

    def __init__(self, results_dir):
        self._home = Path(results_dir).resolve().parent.parent
        self.notes: list[str] = []
        self._trials: dict[tuple[str, str], object] = {}
        self._scores: dict[str, SortedTrials | None] = {}

    def _path(self, text: str) -> Path:
        beside = self._home / text
        return beside if beside.exists() else Path(text)

    def _tried(self, function, *args):
        """What `function` returns, or None, and a note, if it cannot."""
        try:
            return function(*args)
        except (UserError, ValueError) as error:
            self.note(str(error))
        except OSError as error:
            self.note(explain(error))
        return None

    def note(self, text: str) -> None:
        """Say, once, in the log and in the report, that something is not shown."""
        if text not in self.notes:
            self.notes.append(text)
            log.warning("not shown: %s", text)

    def trials(self, row: dict):
        """The trials of a row, or None."""
        path = row.get("trials_path")
        if not isinstance(path, str):
            return None
        key = path, row["trials_sha256"]
        if key not in self._trials:
            self._trials[key] = self._tried(self._read_trials, *key)
        return self._trials[key]

    def _read_trials(self, path: str, expected: str):
        listed = self._path(path)
        trials = read_trials(listed)
        if sha256(listed) != expected:
            raise UserError(
                f"{path}: not the trials that the table of results was computed from: "
                "score them again"
            )
        return trials

    def scores(self, row: dict) -> SortedTrials | None:
        """The scored trials of a row of one score file; None if they do not fit it."""
        paths = row.get("scores")
        if not isinstance(paths, list) or len(paths) != 1:
            return None
        path = str(paths[0])
        if path not in self._scores:
            trials = self.trials(row)
            self._scores[path] = trials and self._tried(self._read, path, trials, row)
        return self._scores[path]

    def _read(self, path: str, trials, row: dict) -> SortedTrials:
        scored = self._path(path)
        if not scored.exists():
            raise UserError(f"{path}: no such file: score again (./run.sh --stage 6)")
        info = read_info(scored, trials)
        if info["embeddings_sha256"] != row.get("embeddings_sha256"):
            raise UserError(
                f"{path}: scores of other embeddings than those of the table of "
                "results: compute the metrics again"
            )
        found = SortedTrials(read_scores(scored, trials), trials.is_target)
        if abs(found.eer() - row["eer"]) > 1e-6:
            raise UserError(
                f"{path}: its EER is {100 * found.eer():.3f} %, in the table of "
                f"results {100 * row['eer']:.3f} %: compute the metrics again"
            )
        return found

    def ages(self, row: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Ages of enrolments and tests and whether it is a target, each `(N,)`.

        Trials without both ages are left out. None without ages or trials.
        """
        trials, data = self.trials(row), row.get("data_path")
        if trials is None or not isinstance(data, str):
            return None
        path = self._path(data)
        if not (path / "utt2age").exists():
            return None
        ages = self._tried(_ages_of_trials, path, trials)
        if ages is None:
            return None
        known = np.isfinite(ages).all(axis=0)
        return ages[0][known], ages[1][known], np.asarray(trials.is_target)[known]


def _ages_of_trials(data: Path, trials) -> np.ndarray:
    """The age of either side, `(2, N)`: NaN if unknown, of an enrolment the mean."""
    known = datadir.read_floats(data / "utt2age")
    for name, utts in read_enrolments(data).items():
        known[name] = float(np.mean([known.get(utt, math.nan) for utt in utts]))
    index = {key: number for number, key in enumerate(read_speakers(data))}
    ages = np.array([known.get(key, math.nan) for key in index])
    return ages[np.stack(trials.rows(index, data / "utt2spk"))]


def read_curves(folder) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Steps and values of a training, by name, from what TensorBoard reads.

    Empty if the folder is not there or holds nothing.
    """
    from tensorboard.backend.event_processing import event_accumulator

    logging.getLogger("tensorboard").setLevel(logging.WARNING)  # else of every end
    if not Path(folder).is_dir():
        return {}
    events = event_accumulator.EventAccumulator(str(folder), size_guidance={
        event_accumulator.SCALARS: 0
    })  # fmt: skip
    events.Reload()
    curves = {}
    for name in sorted({*CURVES} & {*events.Tags()["scalars"]}):
        points = [(e.step, e.value) for e in events.Scalars(name)]
        points = sorted({s: v for s, v in points if math.isfinite(v)}.items())
        every = max(1, len(points) // 400)  # as many as a picture shows
        if points:
            steps, values = np.array(points[::every], np.float64).T
            curves[name] = steps, values
    return curves
