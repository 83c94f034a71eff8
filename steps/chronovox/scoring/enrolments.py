"""Enrolments of several utterances, a table `enrolments`: `<name> <utt> <utt> ...`.

In DATA it is of trials, whose first field is an utterance or such a name; in a list for
identification, of those among whom a test is sought.
"""

from pathlib import Path

from chronovox.cli import UserError
from chronovox.datadir import read_table


def read_enrolments(folder) -> dict[str, list[str]]:
    """Name -> utterances; none if there is no such table. Raises UserError."""
    path = Path(folder) / "enrolments"
    if not path.exists():
        return {}
    return {name: text.split() for name, text in read_table(path, None).items()}


def read_speakers(data_dir, folder=None) -> dict[str, str]:
    """Speaker of each utterance, by utt2spk, and of each enrolment of `folder`, which
    is the data directory itself if none is given.

    Raises UserError for an enrolment of unknown utterances, of one twice, or of several
    speakers, and for one that is called like an utterance.
    """
    utt2spk = read_table(Path(data_dir) / "utt2spk")
    speakers = dict(utt2spk)
    folder = folder or data_dir
    for name, utts in read_enrolments(folder).items():
        where = f"{folder}/enrolments: {name}"
        if name in utt2spk:
            raise UserError(f"{where}: is an utterance, too: choose another name")
        if len(set(utts)) < len(utts):
            raise UserError(f"{where}: names an utterance twice: name it once")
        unknown = [utt for utt in utts if utt not in utt2spk]
        if unknown:
            raise UserError(f"{where}: '{unknown[0]}' is not in {data_dir}/utt2spk")
        own = sorted({utt2spk[utt] for utt in utts})
        if len(own) > 1:
            raise UserError(f"{where}: its utterances are of {', '.join(own)}")
        speakers[name] = own[0]
    return speakers


def rows_of(
    enrolments: dict[str, list[str]], index: dict[str, int], folder, sessions=None
) -> tuple[list[list[int]], list[int]]:
    """The rows of each enrolment's vectors, and how many recordings it counts as.

    index: utterance -> row. sessions: utterance -> session, if these are counted and
    not utterances. Raises UserError for an utterance that has no vector or session.
    """
    rows, counts = [], []
    for name, utts in enrolments.items():
        for table, what in (index, "vector"), (sessions, "session"):
            lacking = [utt for utt in utts if table is not None and utt not in table]
            if lacking:
                raise UserError(
                    f"{folder}/enrolments: {name}: {lacking[0]} has no {what}"
                )
        rows.append([index[utt] for utt in utts])
        counts.append(len(utts if sessions is None else {sessions[u] for u in utts}))
    return rows, counts
