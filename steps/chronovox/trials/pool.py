"""What trials can be made of: utterances with speaker, session and group."""

from pathlib import Path

import numpy as np

from chronovox.cli import UserError
from chronovox.datadir import read_table
from chronovox.trials.rules import TRAIT_TABLES, Rules


def _codes(values) -> np.ndarray:
    """Number equal values alike, from 0 on, in order of appearance."""
    numbers: dict = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values])


def _members(codes: np.ndarray) -> list[np.ndarray]:
    """The rows that carry each code."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes))[:-1])


class Pool:
    """The utterances of a data directory, and the partners that the rules allow.

    utts: sorted keys. eligible: bool `(U,)`, whether the group of the speaker is
    large enough. A group is formed by the speakers who share the traits of
    `rules.negatives.same`.
    """

    def __init__(self, rules: Rules, utt2spk: dict, sessions: dict, groups: dict):
        """sessions: utterance -> session; groups: speaker -> anything to compare."""
        self._session_rule = rules.positives.session
        self.utts = sorted(utt2spk)
        names = [utt2spk[utt] for utt in self.utts]
        self.speaker = _codes(names)
        self._session = _codes(
            (name, sessions.get(utt))
            for name, utt in zip(names, self.utts, strict=True)
        )
        self._group = _codes(groups.get(name) for name in names)
        self._of_speaker = _members(self.speaker)
        self._of_group = _members(self._group)
        self._group_sizes = np.array(
            [len(np.unique(self.speaker[rows])) for rows in self._of_group]
        )
        sizes = self._group_sizes[self._group]
        self.eligible = sizes >= rules.negatives.min_group_size

    def group_size(self, row: int) -> int:
        """Number of speakers in the group of an utterance's speaker."""
        return int(self._group_sizes[self._group[row]])

    def positives(self, row: int) -> np.ndarray:
        """Rows that make a target trial with `row`."""
        others = self._of_speaker[self.speaker[row]]
        others = others[others != row]
        if self._session_rule == "any":
            return others
        same = self._session[others] == self._session[row]
        return others[same if self._session_rule == "same" else ~same]

    def negatives(self, row: int) -> np.ndarray:
        """Rows that make a non-target trial with `row`."""
        others = self._of_group[self._group[row]]
        return others[self.speaker[others] != self.speaker[row]]


def read_pool(data_dir, rules: Rules, rules_path) -> Pool:
    """Read from a data directory what `rules`, read from `rules_path`, need.

    Raises UserError for a table that is missing or incomplete, and for data in
    which no trial of one kind can exist.
    """
    data_dir = Path(data_dir)
    utt2spk = read_table(data_dir / "utt2spk")
    speakers = sorted(set(utt2spk.values()))
    if len(speakers) < 2:
        raise UserError(
            f"{data_dir}/utt2spk: only one speaker, {speakers[0]}: no non-target "
            "trial can be made: add speakers"
        )
    sessions: dict = {}
    if rules.positives.session != "any":
        need = f"positives.session: {rules.positives.session}"
        why = f"`{need}` of {rules_path} needs it: add it, or use rules without"
        sessions = _complete_table(data_dir / "utt2session", utt2spk, why)
    traits = []
    for trait in rules.negatives.same:
        why = (
            f"`negatives.same: {trait}` of {rules_path} needs it: add it, or use "
            "rules without"
        )
        traits.append(_complete_table(data_dir / TRAIT_TABLES[trait], speakers, why))
    groups = {name: tuple(table[name] for table in traits) for name in speakers}
    pool = Pool(rules, utt2spk, sessions, groups)
    _check_possible(pool, rules, data_dir, rules_path)
    return pool


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


def _check_possible(pool: Pool, rules: Rules, data_dir: Path, rules_path) -> None:
    if not pool.eligible.any():
        size, same = rules.negatives.min_group_size, rules.negatives.same
        group = f"of the same {' and '.join(same)} " if same else ""
        raise UserError(
            f"{data_dir}: no group of {size} speakers {group}is there, which "
            f"`negatives` of {rules_path} asks for: add speakers, or lower "
            "min_group_size"
        )
    if any(len(pool.positives(row)) for row in np.flatnonzero(pool.eligible)):
        return
    problem = {
        "different": "no speaker has two sessions (utt2session)",
        "same": "no session has two utterances (utt2session)",
        "any": "no speaker has two utterances",
    }[rules.positives.session]
    raise UserError(
        f"{data_dir}: {problem}, so no target trial obeys {rules_path}: use rules "
        "with another `positives.session`, or add recordings"
    )
