"""Score files: `<enrol> <test> <score>`, and beside each what made it (`.json`)."""

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from chronovox import files
from chronovox.cli import UserError
from chronovox.datadir import parse_float
from chronovox.trials.lists import Trials, read_blocks

# What stands beside a score file, and of which type. SYSTEM: what made the scores.
SYSTEM = {
    "model": str, "seed": int | None, "config": str, "backend": str,
    "system_sha256": str | None, "marks": list,
}  # fmt: skip
_INFO = SYSTEM | {"llr": bool, "embeddings_sha256": str, "trials_sha256": str}
LARGEST = 1e38  # so that sums and squares over trials stay far from infinity


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
    UserError for a score that is not finite, or beyond LARGEST.
    """
    if not (np.abs(scores) <= LARGEST).all():
        raise UserError(f"{path}: a score is NaN, infinite or too large: not written")
    info_path(path).unlink(missing_ok=True)
    with files.atomic_write(path) as stream:
        stream.writelines(
            f"{enrol} {test} {score:.9g}\n"
            for enrol, test, score in trials.blocks(scores)
        )
    info = {**info, "trials_sha256": files.sha256(trials.path)}
    with files.atomic_write(info_path(path)) as stream:
        json.dump(info, stream, indent=2, sort_keys=True)
        stream.write("\n")


def read_scores(path, trials: Trials) -> np.ndarray:
    """The score of every trial, `(N,)` float64, in the order of `trials`.

    Raises UserError for a trial without a score, a score without a trial, a pair
    written twice, and a score that is no finite number or beyond LARGEST.
    """
    pairs = trials.pairs()
    _check_distinct(pairs, trials)
    values, lines = np.empty(len(pairs)), 0
    for scored, numbers in _read_pairs(path, trials):
        block = slice(lines, lines + len(scored))
        if not np.array_equal(scored, pairs[block]):
            return _ordered(path, trials, pairs)
        values[block] = numbers
        lines = block.stop
    return values if lines == len(pairs) else _ordered(path, trials, pairs)


def _ordered(path, trials: Trials, pairs) -> np.ndarray:
    """The scores of `pairs` `(N,)` from a file that has them in another order."""
    order = np.argsort(pairs).astype(np.int32)
    pairs = pairs[order]
    values, lines = np.empty(len(pairs)), np.zeros(len(pairs), np.int32)
    num_lines, unknown = 0, []
    for scored, numbers in _read_pairs(path, trials):
        at = np.minimum(np.searchsorted(pairs, scored), len(pairs) - 1)
        known = pairs[at] == scored
        place, own = order[at[known]], num_lines + 1 + np.flatnonzero(known)
        before = lines[place]
        lines[place[::-1]] = own[::-1]  # of a pair that stands twice, the first
        again = np.flatnonzero((before > 0) | (lines[place] != own))
        if len(again):
            line, trial = own[again[0]], place[again[0]]
            raise UserError(
                f"{path}:{line}: '{trials.pair(trial)}' stands in line "
                f"{before[again[0]] or lines[trial]} already: score again"
            )
        values[place] = numbers[known]
        unknown.append(num_lines + 1 + np.flatnonzero(~known))
        num_lines += len(scored)
    if not lines.all():
        first = int(np.argmin(lines > 0))
        raise UserError(
            f"{path}: {(lines == 0).sum()} trials have no score, the first is "
            f"{trials.path}:{first + 1}: '{trials.pair(first)}': score again"
        )
    unknown = np.concatenate(unknown)
    if len(unknown):
        with open(path, encoding="utf-8") as stream:
            line = next(islice(stream, int(unknown[0]) - 1, None)).split()
        raise UserError(
            f"{path}:{unknown[0]}: '{' '.join(line[:2])}' is not in {trials.path}; "
            f"{len(unknown)} scores have no trial: score again"
        )
    return values


def _read_pairs(path, trials: Trials) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of lines: their pairs, as `Trials.pairs`, -1 if unknown, and scores."""
    rows = {key: row for row, key in enumerate(trials.keys)}
    for first, (enrol, test, texts) in read_blocks(path, 3):
        left, right = (
            np.fromiter((rows.get(key, -1) for key in side), np.int64, len(side))
            for side in (enrol, test)
        )
        unknown = (left < 0) | (right < 0)
        pairs = np.where(unknown, -1, left * len(rows) + right)
        yield pairs, _numbers(texts, path, first)


def _numbers(texts: list[str], path, first: int) -> np.ndarray:
    """Numbers of lines from `first` on. Raises UserError for what is no score."""
    joined = "".join(texts)
    try:
        values = np.fromiter(map(float, texts), np.float64, len(texts))
        # What Python takes for a number and a table may not hold.
        if (np.abs(values) <= LARGEST).all() and joined.isascii() and "_" not in joined:
            return values
    except ValueError:
        pass
    checked = (
        _number(text, f"{path}:{line}") for line, text in enumerate(texts, first)
    )
    return np.fromiter(checked, np.float64, len(texts))


def _number(text: str, where: str) -> float:
    value = parse_float(text, where)
    if abs(value) > LARGEST:
        raise UserError(f"{where}: '{text}' is too large for a score: score again")
    return value


def _check_distinct(pairs, trials: Trials) -> None:
    """Raise UserError if a list has a pair twice."""
    ordered = np.sort(pairs)
    if (ordered[1:] != ordered[:-1]).all():
        return
    order = np.argsort(pairs, kind="stable")
    again = order[1:][pairs[order[1:]] == pairs[order[:-1]]].min()
    first = int(np.argmax(pairs == pairs[again]))
    raise UserError(
        f"{trials.path}:{again + 1}: '{trials.pair(again)}' stands in line "
        f"{first + 1} already: remove one"
    )


def checked(info: dict, kinds: dict) -> dict:
    """The entries that `kinds` names, each of its kind and writable as text.

    Raises TypeError, ValueError or AttributeError for what is not.
    """
    return {name: _checked(info.get(name), kind) for name, kind in kinds.items()}


def _checked(value, kind):
    if not isinstance(value, kind):
        raise TypeError(value)
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("beyond 64 bits")
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
        info = checked(info, _INFO)
    except FileNotFoundError:
        missing = info_path(path) if Path(path).exists() else path
        raise UserError(f"{missing}: no such file: {remedy}") from None
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{info_path(path)}: damaged: {remedy}") from None
    if info["trials_sha256"] != files.sha256(trials.path):
        raise UserError(
            f"{path}: these scores are of another version of {trials.path}: {remedy}"
        )
    return info
