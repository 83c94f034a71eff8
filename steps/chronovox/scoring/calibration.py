"""Calibration: any number of scores, and quality measures, to one log-likelihood ratio.

With one score file it is calibration, with several fusion. The ratio is a linear
function, trained by logistic regression whose cost weighs targets by the prior p and
non-targets by 1 - p; the prior's log odds, which the regression has in it, are taken
off. Brümmer and du Preez, "Application-independent evaluation of speaker detection"
(Computer Speech and Language, 2006).

A trained calibration is a folder: config.yaml; weights, `<name> <number>`, where a name
is `offset`, a MODEL/BACKEND, or a measure; systems.json, what the scores are of, in
order; speakers, `<spk> <number of trials>`, which no trial may share.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from chronovox import config, datadir
from chronovox.cli import UserError
from chronovox.files import atomic_write, write_lines
from chronovox.scoring.files import SYSTEM, checked
from chronovox.scoring.quality import Measure

# Of the mean cost at the prior, for inputs of variance 1: too small to be seen, but
# scores that part targets and non-targets perfectly have finite weights by it.
RIDGE = 1e-6
_FILES = ("config.yaml", "weights", "systems.json", "speakers")
_REMEDY = "train it again (steps/train_calibration.py)"


@dataclass(frozen=True)
class CalibrationConfig:
    """conf/calibration/NAME.yaml.

    p_target: the prior probability of a target at which the cost of training is
    weighed. quality: measures that are in the regression beside the scores.
    """

    p_target: float = 0.5
    quality: list[Measure] = field(default_factory=list)

    def __post_init__(self):
        if not 1e-4 <= self.p_target <= 1 - 1e-4:
            raise ValueError("p_target must be from 0.0001 to 0.9999")
        if len(set(self.quality)) < len(self.quality):
            raise ValueError("quality names a measure twice")


@dataclass(frozen=True)
class Calibration:
    """The ratio is `weights["offset"]` + the sum of `weights[name]` times a regressor.

    systems: what SYSTEM holds of each score file, in order. cohort: the fingerprint of
    the back end that the measure `cohort` is of, if it is asked for. trials_sha256: of
    the list that it was trained on.
    """

    config: CalibrationConfig
    systems: list[dict]
    cohort: str | None
    weights: dict[str, float]
    trials_sha256: str

    def llrs(self, regressors: dict[str, np.ndarray]) -> np.ndarray:
        """Log-likelihood ratios of trials, `(N,)`, each by its own regressors alone."""
        total = np.float64(self.weights["offset"])
        for name, values in regressors.items():
            total = total + self.weights[name] * values
        return total


def name_of(system: dict) -> str:
    """What the weight of a score file is called, in one line."""
    return " ".join(f"{system['model']}/{system['backend']}".split())


def all_names(systems: list[dict], settings: CalibrationConfig) -> list[str]:
    """All regressors, in order."""
    return [*map(name_of, systems), *settings.quality]


def train(regressors: dict[str, np.ndarray], is_target, p_target: float) -> dict:
    """The weights of regressors `(N,)`, `offset` first, of trials `(N,)` of both kinds.

    A regressor that does not vary gets the weight 0. Raises UserError for trials of one
    kind, and numbers too large or too small to reckon with.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    num_targets = int(is_target.sum())
    if num_targets in (0, len(is_target)):
        raise UserError("trials of one kind only: targets and non-targets are needed")
    inputs = np.stack(list(regressors.values()), axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        center, scale = inputs.mean(axis=0), inputs.std(axis=0)
    varies = inputs.min(axis=0) < inputs.max(axis=0)
    for name, number, known in zip(regressors, scale, varies, strict=True):
        if not np.isfinite(number) or (known and number == 0):
            raise UserError(f"{name}: numbers too large or too small to be trained on")
    scale = np.where(varies, scale, np.inf)
    curvature = p_target * (1 - p_target)  # of the cost, where nothing is known
    shares = p_target / num_targets, (1 - p_target) / (len(is_target) - num_targets)
    regression = LogisticRegression(
        C=1 / (RIDGE * curvature),
        tol=1e-8 * curvature,
        max_iter=1000,
        solver="newton-cholesky",
    )
    with threadpool_limits(1):  # sums do not depend on the number of processors
        inputs = (inputs - center) / scale
        regression.fit(inputs, is_target, np.where(is_target, *shares))
    weights = regression.coef_[0] / scale
    odds = np.log(p_target / (1 - p_target))
    offset = regression.intercept_[0] - weights @ center - odds
    named = zip(regressors, weights.tolist(), strict=True)
    return {"offset": float(offset), **dict(named)}


def parts(folder: Path) -> list[Path]:
    """The files that ratios depend on."""
    return [folder / "config.yaml", folder / "weights"]


def clear(folder: Path) -> None:
    """Remove an earlier calibration, config.yaml first: without it there is none.

    Raises UserError for a folder whose config.yaml is of something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "config.yaml").exists() and not (folder / "systems.json").exists():
        raise UserError(f"{folder}: holds no calibration: name a folder of its own")
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)


def save(found: Calibration, folder: Path, trials_of: dict[str, int]) -> None:
    """Write a calibration into a folder that was cleared, config.yaml last.

    trials_of: speaker -> number of trials.
    """
    lines = (f"{name} {weight!r}" for name, weight in found.weights.items())
    write_lines(folder / "weights", lines)
    about = {
        "systems": found.systems, "cohort": found.cohort,
        "trials_sha256": found.trials_sha256,
    }  # fmt: skip
    with atomic_write(folder / "systems.json") as stream:
        json.dump(about, stream, indent=2, sort_keys=True)
        stream.write("\n")
    datadir.write_table(folder / "speakers", trials_of)
    config.save(found.config, folder / "config.yaml")


def load(folder: Path) -> Calibration:
    """Read a trained calibration. Raises UserError if a part is missing or damaged."""
    if not (folder / "config.yaml").exists():
        raise UserError(
            f"{folder}: no trained calibration: steps/train_calibration.py makes it"
        )
    settings = config.load(folder / "config.yaml", CalibrationConfig)
    path = folder / "systems.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        systems = [checked(one, SYSTEM) for one in about["systems"]]
        kinds = {"cohort": str | None, "trials_sha256": str}
        more = checked(about, kinds)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file: {_REMEDY}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise UserError(f"{path}: damaged: {_REMEDY}") from None
    weights = _read_weights(folder / "weights")
    expected = ["offset", *all_names(systems, settings)]
    if list(weights) != expected:
        raise UserError(
            f"{folder}/weights: of {', '.join(weights)}, expected those of "
            f"{', '.join(expected)}: {_REMEDY}"
        )
    return Calibration(
        settings, systems, more["cohort"], weights, more["trials_sha256"]
    )


def _read_weights(path: Path) -> dict[str, float]:
    """Name -> weight, in file order; a name is all but the last field."""
    weights = {}
    for number, line in enumerate(datadir.read_lines(path), 1):
        name, _, text = line.rpartition(" ")
        if not name or name in weights:
            raise UserError(f"{path}:{number}: damaged: {_REMEDY}")
        weights[name] = datadir.parse_float(text, f"{path}:{number}")
    return weights


def check_systems(found: Calibration, folder: Path, paths, infos: list[dict]) -> None:
    """Refuse score files of other systems than a calibration in `folder` is for.

    infos: what stands beside each of `paths`.
    """
    wanted = [name_of(system) for system in found.systems]
    order = f"give one of each of {', '.join(wanted)}, in this order"
    if len(infos) != len(wanted):
        raise UserError(
            f"{folder}: of {len(wanted)} score files, not {len(infos)}: {order}"
        )
    for path, info, system in zip(paths, infos, found.systems, strict=True):
        if name_of(info) != name_of(system):
            raise UserError(
                f"{path}: scores of {name_of(info)}, where {folder} was trained on "
                f"those of {name_of(system)}: {order}"
            )
        for key in ("seed", "config", "system_sha256"):
            if info[key] != system[key]:
                raise UserError(
                    f"{path}: {name_of(info)} is not the system that {folder} was "
                    f"trained on: another {key}: score again, then {_REMEDY}"
                )
