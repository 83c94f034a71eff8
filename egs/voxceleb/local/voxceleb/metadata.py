"""vox1_meta.csv and vox2_meta.csv, and durations where there is no audio.

The tables hold gender, nationality and other names of speakers. They have a header,
and tabs or commas between fields, in vox2_meta.csv with blanks before them. Lines may
end as on Windows.
"""

import re
from typing import NamedTuple

from chronovox.cli import UserError, log
from chronovox.datadir import parse_float, read_text

SPEAKER = re.compile(r"id\d{5}", re.ASCII)
COLUMNS = {
    1: ("VoxCeleb1 ID", "VGGFace1 ID", "Gender", "Set", "Nationality"),
    2: ("VoxCeleb2 ID", "VGGFace2 ID", "Gender", "Set"),
}


class Speaker(NamedTuple):
    """A row; nationality is known of VoxCeleb1 alone. face_name: in trees of faces."""

    name: str
    face_name: str
    gender: str
    part: str
    nationality: str | None = None


def read_speakers(path, corpus: int) -> dict[str, Speaker]:
    """Speaker -> row, of VoxCeleb1 or VoxCeleb2.

    Raises UserError that names file and line for what is no such table, a speaker
    that stands twice, and a field that is missing or impossible.
    """
    lines = read_text(path).removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    mark = "\t" if "\t" in lines[0] else ","
    header = [name.strip() for name in lines[0].split(mark)]
    missing = [name for name in COLUMNS[corpus] if header.count(name) != 1]
    if missing:
        raise UserError(
            f"{path}:1: expected one column '{missing[0]}', found "
            f"{header.count(missing[0])}: is it vox{corpus}_meta.csv?"
        )
    places = [header.index(name) for name in COLUMNS[corpus]]
    speakers: dict[str, Speaker] = {}
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        fields, where = _fields(line, mark), f"{path}:{number}"
        if len(fields) != len(header):
            raise UserError(
                f"{where}: expected {len(header)} fields, found {len(fields)}: '{line}'"
            )
        speaker = Speaker(*(fields[place] for place in places))
        _check(speaker, where)
        if speaker.name in speakers:
            raise UserError(f"{where}: speaker '{speaker.name}' stands twice")
        speakers[speaker.name] = speaker
    if not speakers:
        raise UserError(f"{path}: no speaker in it")
    genders = [speaker.gender for speaker in speakers.values()]
    log.info(
        "%s: %d speakers, %d m, %d f",
        path, len(speakers), genders.count("m"), genders.count("f"),
    )  # fmt: skip
    return speakers


def read_utt2dur(path) -> dict[tuple[str, str, str], str]:
    """(speaker, video, utterance) -> seconds as they are written, in the file's order.

    Lines are `<speaker>/<video>/<utterance> <seconds>`. Raises UserError that names
    the line for any other, and for an utterance that stands twice.
    """
    found: dict[tuple[str, str, str], str] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        fields, where = line.split(), f"{path}:{number}"
        names = tuple(fields[0].split("/")) if fields else ()
        if len(fields) != 2 or len(names) != 3 or not all(names):
            raise UserError(
                f"{where}: expected '<speaker>/<video>/<utterance> <seconds>', found "
                f"'{line}'"
            )
        if parse_float(fields[1], where) <= 0:
            raise UserError(f"{where}: {fields[1]} s is not above 0")
        if names in found:
            raise UserError(f"{where}: {fields[0]} stands twice")
        found[names] = fields[1]
    if not found:
        raise UserError(f"{path}: empty file")
    return found


def _fields(line: str, mark: str) -> list[str]:
    """The fields of a line; a blank inside of one is written as `_`."""
    return ["_".join(field.split()) for field in line.split(mark)]


def _check(speaker: Speaker, where: str) -> None:
    if not SPEAKER.fullmatch(speaker.name):
        raise UserError(f"{where}: '{speaker.name}' is not id and five digits")
    if speaker.gender not in ("m", "f"):
        raise UserError(f"{where}: gender '{speaker.gender}' is not m or f")
    if speaker.part not in ("dev", "test"):
        raise UserError(f"{where}: set '{speaker.part}' is not dev or test")
    if speaker.nationality == "":
        raise UserError(f"{where}: no nationality of {speaker.name}")
