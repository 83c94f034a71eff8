"""What trials can be made of: utterances with speaker, session, traits and age."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chronovox.cli import UserError
from chronovox.datadir import read_floats, read_table
from chronovox.trials.rules import TRAIT_TABLES, Rules

AUDIT = "the audit reads it: mend it, or remove it"


@dataclass(frozen=True)
class Pool:
    """U utterances, sorted by key, as numbers: equal numbers are equal values.

    speaker, session `(U,)`: of each; sessions of two speakers are never equal.
    traits: name -> `(U,)`, for those that were asked for. age, age_std `(U,)` in
    years: NaN where an age is not known, or how sure it is.
    """

    utts: list[str]
    speaker: np.ndarray
    session: np.ndarray
    traits: dict[str, np.ndarray]
    age: np.ndarray
    age_std: np.ndarray

    def __len__(self) -> int:
        return len(self.utts)

    def groups(self, traits: list[str]) -> np.ndarray:
        """A number for each utterance, equal where all of `traits` are, `(U,)`."""
        return codes(zip(*(self.traits[name].tolist() for name in traits), strict=True))


def codes(values) -> np.ndarray:
    """Number equal values alike, from 0 on, in order of appearance, int64."""
    numbers: dict = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], int)


def members(numbers: np.ndarray) -> list[np.ndarray]:
    """The rows that carry each of the numbers from 0 on, in order."""
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.cumsum(np.bincount(numbers))[:-1])


def read_pool(data_dir, rules: list[Rules], rules_path, audit: bool = False) -> Pool:
    """Read from a data directory what `rules`, named by `rules_path`, need.

    utt2age is read where it is, and may lack utterances. audit: read what else there
    is, too. Raises UserError for a table that is missing or otherwise incomplete, and
    for a single speaker.
    """
    data_dir = Path(data_dir)
    utt2spk = read_table(data_dir / "utt2spk")
    utts = sorted(utt2spk)
    names = [utt2spk[utt] for utt in utts]
    speaker = codes(names)
    if speaker.max() == 0:
        raise UserError(
            f"{data_dir}/utt2spk: only one speaker, {names[0]}: no non-target "
            "trial can be made: add speakers"
        )
    session = np.zeros(len(utts), int)
    kinds = sorted({rule.positives.session for rule in rules} - {"any"})
    path = data_dir / "utt2session"
    if kinds or audit and path.exists():
        why = _why(f"positives.session: {kinds[0]}", rules_path) if kinds else AUDIT
        table = _complete_table(path, utts, why)
        session = codes(zip(names, map(table.__getitem__, utts), strict=True))
    wanted = {trait for rule in rules for trait in rule.negatives.same}
    traits = {}
    for trait, name in TRAIT_TABLES.items():
        path = data_dir / name
        if trait in wanted or audit and path.exists():
            needed = trait in wanted
            why = _why(f"negatives.same: {trait}", rules_path) if needed else AUDIT
            table = _complete_table(path, sorted(set(names)), why)
            traits[trait] = codes(map(table.__getitem__, names))
    need = any(rule.need_ages for rule in rules)
    why = f"the rules of {rules_path} ask for ages: run stage 1, or use others"
    age = _numbers(data_dir / "utt2age", utts, why if need else None)
    need = any(rule.positives.confidence is not None for rule in rules)
    why = _why("positives.confidence", rules_path) if need else None
    age_std = _numbers(data_dir / "utt2age_std", utts, why)
    return Pool(utts, speaker, session, traits, age, age_std)


def _why(key: str, rules_path) -> str:
    return f"`{key}` of {rules_path} needs it: add it, or use rules without"


def _numbers(path: Path, utts: list[str], why: str | None) -> np.ndarray:
    """A table of numbers, NaN for utterances that are not in it, `(U,)`.

    why: the reason why the table must be there, if it must.
    """
    if why and not path.exists():
        raise UserError(f"{path}: no such file; {why}")
    table = read_floats(path) if path.exists() else {}
    return np.array([table.get(utt, np.nan) for utt in utts])


def _complete_table(path: Path, keys, why: str) -> dict[str, str]:
    if not path.exists():
        raise UserError(f"{path}: no such file; {why}")
    table = read_table(path, None)
    missing = [key for key in keys if key not in table]
    if missing:
        raise UserError(
            f"{path}: {len(missing)} keys have no entry, the first is "
            f"'{missing[0]}'; {why}"
        )
    return table
