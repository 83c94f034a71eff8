"""Enrolments of several utterances: DATA/enrolments, `<name> <utt> <utt> ...`.

The first field of a trial is an utterance, or such a name.
"""

from pathlib import Path

from chronovox.cli import UserError
from chronovox.datadir import read_table


def read_enrolments(data_dir) -> dict[str, list[str]]:
    """Name -> utterances; none if there is no such table. Raises UserError."""
    path = Path(data_dir) / "enrolments"
    if not path.exists():
        return {}
    return {name: text.split() for name, text in read_table(path, None).items()}


def read_speakers(data_dir) -> dict[str, str]:
    """Speaker of each utterance, by utt2spk, and of each enrolment.

    Raises UserError for an enrolment of unknown utterances, of one twice, or of several
    speakers, and for one that is called like an utterance.
    """
    utt2spk = read_table(Path(data_dir) / "utt2spk")
    speakers = dict(utt2spk)
    for name, utts in read_enrolments(data_dir).items():
        where = f"{data_dir}/enrolments: {name}"
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
