"""Lists for identification: a folder with two tables, such as DATA/identification/NAME.

enrolments: `<name> <utt> <utt> ...`, one a speaker; tests: `<utt>` a line. A test of a
speaker who is not enrolled is an impostor's.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chronovox.cli import UserError
from chronovox.datadir import read_rows, write_table
from chronovox.files import fingerprint, write_lines
from chronovox.scoring.enrolments import read_enrolments, read_speakers
from chronovox.trials.lists import Speakers


@dataclass(frozen=True)
class SearchList:
    """enrolments: name -> utterances; tests: utterances; speakers: of each enrolment
    `(N,)` and each test `(M,)`; own `(M,)`: each test's enrolment, -1 for none."""

    enrolments: dict[str, list[str]]
    tests: list[str]
    speakers: Speakers
    own: np.ndarray
    sha256: str


def read_list(data, folder) -> SearchList:
    """Read a list; speakers are those of DATA/utt2spk.

    Raises UserError for a table that is missing; an utterance that is unknown, twice
    among the tests, or both enrolled and a test; an enrolment of several speakers, or
    called like an utterance or another speaker; a speaker who is enrolled twice; fewer
    than two enrolments; and if no test is of a speaker who is enrolled.
    """
    paths = [Path(folder) / name for name in ("enrolments", "tests")]
    for path in paths:
        if not path.exists():
            raise UserError(
                f"{path}: no such file: make the list, as by "
                "steps/select_identification.py"
            )
    speaker_of = read_speakers(data, folder)
    enrolments = read_enrolments(folder)
    row_of = _enrolled(enrolments, speaker_of, paths[0])
    tests = [utt for (utt,) in read_rows(paths[1], 1)]
    _check_tests(tests, enrolments, speaker_of, f"{data}/utt2spk", paths)
    names = sorted({speaker_of[key] for key in (*enrolments, *tests)})
    numbers = {name: number for number, name in enumerate(names)}
    enrol, test = (
        np.array([numbers[speaker_of[key]] for key in keys])
        for keys in (enrolments, tests)
    )
    own = np.array([row_of.get(speaker_of[utt], -1) for utt in tests])
    if (own < 0).all():
        raise UserError(f"{paths[1]}: no test is of a speaker of {paths[0]}")
    return SearchList(
        enrolments, tests, Speakers(names, enrol, test), own, fingerprint("", paths)
    )


def _enrolled(enrolments: dict, speaker_of: dict[str, str], path) -> dict[str, int]:
    """The enrolment of each speaker, by its number. Raises UserError."""
    speakers = set(speaker_of.values())
    row_of: dict[str, int] = {}
    for row, name in enumerate(enrolments):
        spk = speaker_of[name]
        if name in speakers and name != spk:
            raise UserError(f"{path}: {name}: is another speaker than its own, {spk}")
        if row_of.setdefault(spk, row) != row:
            raise UserError(
                f"{path}: {name}: {spk} is enrolled twice: make one enrolment of both"
            )
    if len(enrolments) < 2:
        raise UserError(f"{path}: a search needs two enrolments at least")
    return row_of


def _check_tests(tests, enrolments, speaker_of, source, paths) -> None:
    """Raise UserError for a test that is unknown, twice, or part of an enrolment."""
    part_of = {utt: name for name, utts in enrolments.items() for utt in utts}
    seen: set[str] = set()
    for number, utt in enumerate(tests, 1):
        where = f"{paths[1]}:{number}: '{utt}'"
        if utt in enrolments or utt not in speaker_of:
            raise UserError(f"{where} is not in {source}")
        if utt in part_of:
            raise UserError(f"{where} is part of the enrolment '{part_of[utt]}'")
        if utt in seen:
            raise UserError(f"{where} stands twice")
        seen.add(utt)


def write_list(folder, enrolments: dict[str, list[str]], tests: list[str]) -> None:
    """Write a list; `tests` last, without which there is none."""
    folder = Path(folder)
    (folder / "tests").unlink(missing_ok=True)
    texts = {name: " ".join(sorted(utts)) for name, utts in enrolments.items()}
    write_table(folder / "enrolments", texts)
    write_lines(folder / "tests", sorted(tests))
