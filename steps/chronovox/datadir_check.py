"""Everything that can be wrong with a data directory, without reading its arks."""

import re
from pathlib import Path

from chronovox import datadir, datadir_ops
from chronovox.cli import UserError
from chronovox.datadir_ops import DataDir

# Stages make these anew from the audio, and may drop what they cannot read.
_FROM_AUDIO = ("feats.scp", "vad.scp", "utt2num_frames", "utt2dur")
# Table -> is the value a whole number, may it be 0.
_NUMBERS = {
    "utt2dur": (False, False), "reco2dur": (False, False),
    "utt2num_frames": (True, False), "utt2age": (False, True),
    "utt2age_std": (False, True), "utt2num_faces": (True, True),
}  # fmt: skip
_NO_WORDS = ("<s>", "</s>", "#0")  # Kaldi keeps these for itself
_MEND = "run utils/fix_data_dir.py"


def find_problems(
    data_dir, no_feats: bool = False, no_wav: bool = False, no_text: bool = False
) -> list[str]:
    """A line for every problem of a data directory; an empty list if it is good.

    no_feats, no_wav, no_text: feats.scp, wav.scp, text need not be there. With
    no_feats, tables that are made from the audio need not be complete either.
    """
    path = Path(data_dir)
    if not path.is_dir():
        return [f"{path}: no such directory"]
    needed = {
        "utt2spk": True, "spk2utt": True, "utt2session": True,
        "wav.scp": not no_wav, "feats.scp": not no_feats, "text": not no_text,
    }  # fmt: skip
    problems = [
        f"{path / name}: no such file"
        for name, wanted in needed.items()
        if wanted and not (path / name).is_file()
    ]
    tables: dict[str, dict[str, str]] = {}
    for name in datadir_ops.TABLES:
        if (path / name).is_file():
            tables[name] = _scan(path, name, problems)
    problems += _values(path, tables)
    if "utt2spk" in tables:
        data = DataDir(tables, {})
        problems += _speakers(path, data)
        problems += _utterances(path, data, () if not no_feats else _FROM_AUDIO)
        problems += _recordings(path, data)
        problems += _faces(path, data)
    return problems


def _scan(path: Path, name: str, problems: list[str]) -> dict[str, str]:
    try:
        table, found = datadir.scan_table(path / name, *datadir.layout(name))
    except UserError as error:
        table, found = {}, [str(error)]
    problems += found
    return table


def _compare(path: Path, found, wanted, what: str, complete: bool = True):
    """Problems where the keys of a table are not the wanted ones."""
    unknown, missing = sorted(found - wanted), sorted(wanted - found)
    if unknown:
        yield f"{path}: {what} '{unknown[0]}' is unknown{_more(unknown)}: {_MEND}"
    if missing and complete:
        yield f"{path}: no line for {what} '{missing[0]}'{_more(missing)}: {_MEND}"


def _more(keys: list[str]) -> str:
    return f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""


def _values(path: Path, tables):
    for name, (whole, zero) in _NUMBERS.items():
        for key, value in tables.get(name, {}).items():
            where = f"{path / name}: {key}"
            if problem := _number_problem(value, where, whole, zero):
                yield problem
    for spk, gender in tables.get("spk2gender", {}).items():
        if gender not in ("m", "f"):
            yield f"{path}/spk2gender: {spk}: '{gender}' is neither m nor f"
    for key, value in tables.get("text", {}).items():
        odd = set(value.split()) & set(_NO_WORDS)
        if odd or any(char.isspace() and char != " " for char in value):
            what = f"'{min(odd)}' is no word" if odd else "odd white space"
            yield f"{path}/text: {key}: {what}: '{value}'"
    for key, value in tables.get("wav.scp", {}).items():
        if value.startswith("~"):
            yield f"{path}/wav.scp: {key}: '{value}': write out what ~ stands for"
    frame_shift = path / "frame_shift"
    if frame_shift.is_file():
        value = " ".join(frame_shift.read_text(errors="replace").split())
        if problem := _number_problem(value, str(frame_shift), False, False):
            yield problem


def _number_problem(value: str, where: str, whole: bool, zero: bool) -> str | None:
    if whole and not re.fullmatch(r"\d+", value, re.ASCII):
        return f"{where}: '{value}' is not a whole number"
    try:
        number = datadir.parse_float(value, where)
    except UserError as error:
        return str(error)
    if number < 0 or (number == 0 and not zero):
        return f"{where}: {value} is not {'0 or more' if zero else 'above 0'}"
    return None


def _speakers(path: Path, data: DataDir):
    if problem := datadir_ops.speaker_problem(data.utt2spk):
        yield f"{path}/utt2spk: {problem}"
    spk2utt = datadir.invert(data.utt2spk)
    if "spk2utt" in data.tables:
        found = {spk: utts.split() for spk, utts in data.tables["spk2utt"].items()}
        yield from _compare(path / "spk2utt", found.keys(), spk2utt.keys(), "speaker")
        for spk in sorted(found.keys() & spk2utt.keys()):
            if found[spk] != spk2utt[spk]:
                yield f"{path}/spk2utt: {spk}: not what utt2spk says: {_MEND}"
    for name in datadir_ops.COMPLETE_SPK:
        if name in data.tables:
            found = data.tables[name].keys()
            yield from _compare(path / name, found, spk2utt.keys(), "speaker")
    if {"session2date", "utt2session"} <= data.tables.keys():
        sessions = {
            data.session(utt)
            for utt in data.utt2spk.keys() & data.tables["utt2session"].keys()
        }
        dates = data.tables["session2date"].keys()
        yield from _compare(path / "session2date", dates, sessions, "session")


def _utterances(path: Path, data: DataDir, incomplete):
    for name in datadir.UTT_TABLES:
        if name != "utt2spk" and name in data.tables:
            complete = name in datadir_ops.COMPLETE_UTT and name not in incomplete
            found = data.tables[name].keys()
            yield from _compare(
                path / name, found, data.utt2spk.keys(), "utterance", complete
            )


def _recordings(path: Path, data: DataDir):
    recordings = data.utt2spk.keys()
    if "segments" in data.tables:
        recordings = {data.recording(utt) for utt in data.tables["segments"]}
        for utt, value in data.tables["segments"].items():
            _, start, end = value.split()
            try:
                datadir.parse_times(start, end, f"{path}/segments: {utt}")
            except UserError as error:
                yield str(error)
    if "segments" in data.tables and "wav.scp" not in data.tables:
        yield f"{path}/segments: there is no wav.scp that they are parts of"
    for name in datadir.RECO_TABLES:
        if name in data.tables:
            found = data.tables[name].keys()
            yield from _compare(path / name, found, recordings, "recording")


def _faces(path: Path, data: DataDir):
    if not data.tables.keys() & set(datadir.FACE_TABLES):
        return
    faces = data.tables.get("faces/face.scp", {})
    face2utt = data.tables.get("faces/face2utt", {})
    yield from _compare(path / "faces/face2utt", face2utt.keys(), faces.keys(), "face")
    unknown = sorted(set(face2utt.values()) - data.utt2spk.keys())
    if unknown:
        yield f"{path}/faces/face2utt: utterance '{unknown[0]}' is unknown: {_MEND}"
