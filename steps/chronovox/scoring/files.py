"""Score files: `<enrol> <test> <score>`, and beside each what made it (`.json`)."""

import json
import os
from pathlib import Path

import numpy as np

from chronovox import files
from chronovox.cli import UserError
from chronovox.datadir import parse_float
from chronovox.trials.lists import Trials, read_columns

# What stands beside a score file, and of which type.
_INFO = {
    "model": str, "seed": int | None, "config": str, "backend": str, "marks": list,
    "embeddings_sha256": str, "trials_sha256": str,
}  # fmt: skip


def name_below(directory: str, path) -> str:
    """The name of `path` relative to the last directory called `directory` in it.

    `name_below("exp", "/home/me/exp/xvector_s1")` is `xvector_s1`; without such a
    directory the path stays as it is.
    """
    parts = Path(os.path.normpath(path)).parts
    if directory in parts[:-1]:
        last = len(parts) - 2 - parts[-2::-1].index(directory)
        parts = parts[last + 1 :]
    return str(Path(*parts))


def info_path(scores) -> Path:
    """The JSON file beside a score file."""
    scores = Path(scores)
    return scores.with_name(f"{scores.name}.json")


def write_scores(path, trials: Trials, scores: np.ndarray, info: dict) -> None:
    """Write a score file and its `.json`, which holds `info`.

    Nine significant digits restore a float32 exactly, so no order and no tie
    changes. An older `.json` goes first: it never stands beside other scores. Raises
    UserError for a score that is not finite.
    """
    if not np.isfinite(scores).all():
        raise UserError(f"{path}: a score is NaN or infinite: it is not written")
    info_path(path).unlink(missing_ok=True)
    with files.atomic_write(path) as stream:
        rows = zip(trials.enrol, trials.test, scores.tolist(), strict=True)
        stream.writelines(
            f"{enrol} {test} {score:.9g}\n" for enrol, test, score in rows
        )
    info = {**info, "trials_sha256": files.sha256(trials.path)}
    with files.atomic_write(info_path(path)) as stream:
        json.dump(info, stream, indent=2, sort_keys=True)
        stream.write("\n")


def read_scores(path, trials: Trials) -> np.ndarray:
    """The score of every trial, `(N,)` float64, in the order of `trials`.

    Raises UserError for a trial without a score, a score without a trial, a pair
    written twice, and a score that is no finite number.
    """
    enrol, test, texts = read_columns(path, 3)
    pairs = list(zip(trials.enrol, trials.test, strict=True))
    scored = list(zip(enrol, test, strict=True))
    trial_lines = _lines_of(pairs, trials.path, "remove one")
    score_lines = _lines_of(scored, path, "score again")
    missing = [pair for pair in pairs if pair not in score_lines]
    if missing:
        raise UserError(
            f"{path}: {len(missing)} trials have no score, the first is "
            f"{trials.path}:{trial_lines[missing[0]]}: '{' '.join(missing[0])}': "
            "score again"
        )
    unknown = [pair for pair in scored if pair not in trial_lines]
    if unknown:
        raise UserError(
            f"{path}:{score_lines[unknown[0]]}: '{' '.join(unknown[0])}' is not in "
            f"{trials.path}; {len(unknown)} scores have no trial: score again"
        )
    values = [
        parse_float(text, f"{path}:{number}") for number, text in enumerate(texts, 1)
    ]
    return np.array(values)[[score_lines[pair] - 1 for pair in pairs]]


def _lines_of(pairs: list, path, remedy: str) -> dict:
    """The line of each pair. Raises UserError for one that stands twice."""
    lines: dict[tuple[str, str], int] = {}
    for number, pair in enumerate(pairs, 1):
        if lines.setdefault(pair, number) != number:
            raise UserError(
                f"{path}:{number}: '{' '.join(pair)}' stands in line {lines[pair]} "
                f"already: {remedy}"
            )
    return lines


def _checked(value, kind):
    """The value, if of that kind and writable as text; else TypeError, ValueError."""
    if not isinstance(value, kind):
        raise TypeError(value)
    if isinstance(value, list) and not all(isinstance(item, str) for item in value):
        raise TypeError(value)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def read_info(path, trials: Trials) -> dict:
    """What stands in the `.json` beside the score file `path`.

    Raises UserError if it is missing or damaged, or was made for other trials.
    """
    remedy = "score again with steps/score_trials.py"
    try:
        info = json.loads(info_path(path).read_text(encoding="utf-8"))
        info = {name: _checked(info[name], kind) for name, kind in _INFO.items()}
    except FileNotFoundError:
        raise UserError(f"{info_path(path)}: no such file: {remedy}") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UserError(f"{info_path(path)}: damaged: {remedy}") from None
    if info["trials_sha256"] != files.sha256(trials.path):
        raise UserError(
            f"{path}: these scores are of another version of {trials.path}: {remedy}"
        )
    return info
