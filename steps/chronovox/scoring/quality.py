"""Quality measures: what tells of an utterance how far its scores can be trusted.

A table each, `<utt> <number>`, in the folder that steps/measure_quality.py writes:
duration (s), norm of the embedding, mean score with the cohort, number of faces; and
made_from, which embeddings and which back end they are of. `gap` needs no table: it is
the difference of the two utt2age, in years, and never an age by itself.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from chronovox.cli import UserError
from chronovox.datadir import read_floats, read_table, write_table
from chronovox.trials import Trials
from chronovox.trials.statistics import read_age_rule, stats_path

Measure = Literal["duration", "norm", "cohort", "faces", "gap"]
TABLES = ("duration", "norm", "cohort", "faces")
# What of them is in the regression, and the least number that it is defined for.
_SCALES = {"duration": (np.log, 1e-6), "faces": (np.log1p, 0.0)}
_MADE = "made by steps/measure_quality.py"


def clear(folder: Path) -> None:
    """Remove earlier measures, made_from first: without it there are none."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("made_from", *TABLES):
        (folder / name).unlink(missing_ok=True)


def save(
    folder: Path, tables: dict[str, dict[str, str]], made_from: dict[str, str]
) -> None:
    """Write measures into a folder that was cleared, made_from last."""
    for name, table in tables.items():
        write_table(folder / name, table)
    write_table(folder / "made_from", made_from)


def with_enrolments(table: dict[str, str], enrolments) -> dict[str, str]:
    """Add the mean over the utterances of each enrolment that has all of them."""
    means = {
        name: f"{np.mean([float(table[utt]) for utt in utts]):.9g}"
        for name, utts in enrolments.items()
        if all(utt in table for utt in utts)
    }
    return table | means


def read_made_from(
    folder: Path | None, measures: list[Measure], embeddings_sha256: str
) -> dict[str, str]:
    """What the measures that are asked for were made from; nothing if they are none.

    Raises UserError if they are missing, or of other embeddings than these.
    """
    wanted = [measure for measure in measures if measure != "gap"]
    if not wanted:
        return {}
    if folder is None:
        raise UserError(
            f"the calibration asks for {', '.join(wanted)}: give --quality DIR, "
            "which steps/measure_quality.py makes"
        )
    if not (folder / "made_from").exists():
        raise UserError(f"{folder}/made_from: no such file: no measures {_MADE}")
    made_from = read_table(folder / "made_from")
    if made_from.get("embeddings") != embeddings_sha256:
        raise UserError(
            f"{folder}: measures of other embeddings than those of the first score "
            "file: measure again with steps/measure_quality.py"
        )
    return made_from


def regressors(
    measures: list[Measure], folder: Path | None, data: Path, trials: Trials
) -> dict[str, np.ndarray]:
    """A number of each trial by each measure, `(N,)`.

    `gap` is the difference of both sides; of the other measures it is the smaller of
    both, so that they are symmetric. With the larger as well, the regression would
    weigh their difference: that tells how alike two utterances are, which is a habit of
    speakers, and not how far a score can be trusted.

    Raises UserError for a measure that is missing, as a whole or of an utterance, and
    for `gap` where it may not be used.
    """
    found = {}
    for measure in measures:
        if measure == "gap":
            _check_gap(trials)
            one, other = _sides(data / "utt2age", "written by stage 1", trials)
            found["gap"] = np.abs(one - other)
            continue
        path, made = folder / measure, _MADE
        if measure == "cohort":
            made += " --backend DIR, of a back end with a cohort"
        smaller = np.minimum(*_sides(path, made, trials))
        scale, least = _SCALES.get(measure, (np.positive, -np.inf))
        line = int(np.argmin(smaller))
        if smaller[line] < least:
            raise UserError(
                f"{path}: {smaller[line]:g}, of one of '{trials.pair(line)}', is no "
                f"{measure}"
            )
        found[measure] = scale(smaller)
    return found


def _sides(path: Path, made: str, trials: Trials) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of both sides of all trials by a table, `(N,)` each."""
    if not path.exists():
        raise UserError(f"{path}: no such file: it is {made}")
    table = read_floats(path)
    index = {key: row for row, key in enumerate(table)}
    rows = trials.rows(index, f"{path} ({made})")
    values = np.fromiter(table.values(), np.float64, len(table))
    return values[rows[0]], values[rows[1]]


def _check_gap(trials: Trials) -> None:
    """Refuse the gap where the rules of a list make it tell targets from others."""
    if read_age_rule(trials) == "unmatched":
        raise UserError(
            f"{trials.path}: gap: by {stats_path(trials.path)} the rules of this list "
            "mention age, and the years between both sides alone would tell targets "
            "from non-targets: use a gap-matched list (conf/trials/*-matched.yaml), or "
            "a calibration without gap"
        )
