"""Score files: `<enrol> <test> <score>`, and beside each what made it (`.json`)."""

import json
import os
from pathlib import Path

import numpy as np

from chronovox import files
from chronovox.cli import UserError
from chronovox.datadir import parse_float
from chronovox.trials.lists import Trials, read_columns


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
    changes. An older `.json` goes first: it never stands beside other scores.
    """
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
    line_of: dict[tuple[str, str], int] = {}
    for number, pair in enumerate(zip(enrol, test, strict=True), 1):
        if line_of.setdefault(pair, number) != number:
            raise UserError(
                f"{path}:{number}: '{' '.join(pair)}' has a score in line "
                f"{line_of[pair]} already: score again"
            )
    pairs = list(zip(trials.enrol, trials.test, strict=True))
    _check_pairs(path, line_of, pairs, trials.path)
    values = [
        parse_float(text, f"{path}:{number}") for number, text in enumerate(texts, 1)
    ]
    return np.array(values)[[line_of[pair] - 1 for pair in pairs]]


def _check_pairs(path, line_of: dict, pairs: list, trials_path: str) -> None:
    """Raises UserError unless scores and trials are the same pairs, each once."""
    wanted = set(pairs)
    if len(wanted) < len(pairs):
        seen: set = set()
        for number, pair in enumerate(pairs, 1):
            if pair in seen:
                raise UserError(
                    f"{trials_path}:{number}: trial '{' '.join(pair)}' stands twice: "
                    "remove one"
                )
            seen.add(pair)
    for number, pair in enumerate(pairs, 1):
        if pair not in line_of:
            raise UserError(
                f"{path}: {len(wanted - line_of.keys())} trials have no score, the "
                f"first is {trials_path}:{number}: '{' '.join(pair)}': score again"
            )
    for pair, line in line_of.items():
        if pair not in wanted:
            raise UserError(
                f"{path}:{line}: '{' '.join(pair)}' is not in {trials_path}; "
                f"{len(line_of.keys() - wanted)} scores have no trial: score again"
            )


def read_info(path, trials: Trials) -> dict:
    """What stands in the `.json` beside the score file `path`.

    Raises UserError if it is missing or damaged, or was made for other trials.
    """
    remedy = "score again with steps/score_trials.py"
    try:
        info = json.loads(info_path(path).read_text(encoding="utf-8"))
        made_for = info["trials_sha256"]
    except FileNotFoundError:
        raise UserError(f"{info_path(path)}: no such file: {remedy}") from None
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{info_path(path)}: damaged: {remedy}") from None
    if made_for != files.sha256(trials.path):
        raise UserError(
            f"{path}: these scores are of another version of {trials.path}: {remedy}"
        )
    return info
