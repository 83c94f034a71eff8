"""Whole data directories in memory: to keep some utterances, rename, or combine.

The extra tables (ages, sessions, dates, nationalities, faces) go wherever Kaldi's
own tables go. Trial lists and lhotse manifests do not: what is left behind is said.
"""

import gzip
import json
import shutil
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from chronovox import datadir
from chronovox.cli import UserError, log
from chronovox.files import atomic_write

TABLES = (
    *datadir.UTT_TABLES, *datadir.RECO_TABLES, *datadir.SPK_TABLES,
    *datadir.FACE_TABLES,
)  # fmt: skip
# A table of these that is there has a line for every utterance (speaker, session).
COMPLETE_UTT = (
    "utt2session", "utt2dur", "utt2num_frames", "utt2uniq", "utt2lang", "text",
    "feats.scp", "vad.scp", "segments",
)  # fmt: skip
COMPLETE_SPK = ("spk2gender", "spk2nationality", "cmvn.scp")
MANIFESTS = ("recordings.jsonl.gz", "supervisions.jsonl.gz")
STATE = ("frame_shift", "utt2age.source")


@dataclass(frozen=True)
class DataDir:
    """The tables of a data directory, and the small files that go with them.

    tables: file name -> key -> rest of the line (the key of session2date is
    `<spk> <session>`); spk2utt is left out, as utt2spk says the same.
    state: file name -> content of frame_shift, utt2age.source and conf/*.
    """

    tables: dict[str, dict[str, str]]
    state: dict[str, bytes]

    @property
    def utt2spk(self) -> dict[str, str]:
        return self.tables["utt2spk"]

    def recording(self, utt: str) -> str:
        """The key of the utterance in wav.scp. Raises UserError without a segment."""
        if "segments" not in self.tables:
            return utt
        if utt not in self.tables["segments"]:
            raise UserError(f"segments: no line for '{utt}': run utils/fix_data_dir.py")
        return self.tables["segments"][utt].split()[0]

    def session(self, utt: str) -> str:
        """The key of the utterance in session2date."""
        return f"{self.utt2spk[utt]} {self.tables['utt2session'].get(utt)}"


def _read_named(path: Path, name: str) -> dict[str, str]:
    return datadir.read_table(path / name, *datadir.layout(name))


def load(data_dir, read: Callable = _read_named, in_place: bool = False) -> DataDir:
    """Read a data directory; `read(path, name)` reads one table.

    Logs what it holds that does not travel, unless the result stays `in_place`.
    Raises UserError for a bad table, or if there is no utt2spk.
    """
    path = Path(data_dir)
    if not (path / "utt2spk").is_file():
        raise UserError(f"{path / 'utt2spk'}: no such file")
    names = [name for name in TABLES if (path / name).is_file() and name != "spk2utt"]
    tables = {name: read(path, name) for name in names}
    state = {name: (path / name).read_bytes() for name in _state_files(path)}
    known = {name.split("/")[0] for name in (*TABLES, *STATE, "conf")}
    left = sorted(p.name for p in path.iterdir() if p.name not in known)
    left = [name for name in left if not name.startswith(".")]
    if left and not in_place:
        log.info("%s: not carried: %s", path, ", ".join(left))
    return DataDir(tables, state)


def _state_files(path: Path) -> list[str]:
    conf = sorted(f"conf/{p.name}" for p in (path / "conf").glob("[!.]*"))
    return [name for name in (*STATE, *conf) if (path / name).is_file()]


def save(data: DataDir, data_dir, keep_manifests: bool = False) -> None:
    """Write a data directory; tables of an earlier one at the same place are removed.

    keep_manifests: lhotse manifests there stay, less the utterances not in `data`.
    Raises UserError if no utterance is left, or if the order of the speakers and
    of their utterances would differ.
    """
    path = Path(data_dir)
    if not data.utt2spk:
        raise UserError(f"{path}: no utterance is left")
    if problem := speaker_problem(data.utt2spk):
        raise UserError(f"{path}: {problem}")
    if keep_manifests:
        _filter_manifests(data, path)
    for name, table in data.tables.items():
        if table:
            datadir.write_table(path / name, table)
        else:
            log.info("%s: no line of %s is left: not written", path, name)
    datadir.write_spk2utt(path / "spk2utt", data.utt2spk)
    for name, content in data.state.items():
        with atomic_write(path / name, "wb") as stream:
            stream.write(content)
    written = {name for name, table in data.tables.items() if table} | {"spk2utt"}
    manifests = () if keep_manifests else MANIFESTS
    for name in (*TABLES, *manifests, *_state_files(path)):
        if name not in written | data.state.keys() and (path / name).exists():
            (path / name).unlink()
            log.info("removed %s, left from before", path / name)
    speakers = len(set(data.utt2spk.values()))
    log.info("%s: %d utterances, %d speakers", path, len(data.utt2spk), speakers)


def _filter_manifests(data: DataDir, path: Path) -> None:
    """Leave the recordings and supervisions of the utterances of `data`."""
    recordings = {data.recording(utt) for utt in data.utt2spk}
    for name, ids in zip(MANIFESTS, (recordings, data.utt2spk), strict=True):
        if not (path / name).exists():
            continue
        try:
            lines = gzip.decompress((path / name).read_bytes()).splitlines()
            kept = [line + b"\n" for line in lines if json.loads(line)["id"] in ids]
        except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError):
            raise UserError(
                f"{path / name}: not a lhotse manifest: remove it"
            ) from None
        with atomic_write(path / name, "wb") as stream:
            stream.write(gzip.compress(b"".join(kept), mtime=0))


def speaker_problem(utt2spk: dict[str, str]) -> str | None:
    """What is wrong with the order of utt2spk once it is sorted by speaker."""
    remedy = "name utterances <spk>-<utt>, as Kaldi sorts both ways"
    last_spk, last_utt = "", ""
    for utt in sorted(utt2spk):
        spk = utt2spk[utt]
        if not utt.startswith(spk):
            return f"speaker '{spk}' is no prefix of utterance '{utt}': {remedy}"
        if spk < last_spk:
            return (
                f"sorted by speaker, '{utt}' of '{spk}' would come before "
                f"'{last_utt}' of '{last_spk}': {remedy}"
            )
        last_spk, last_utt = spk, utt
    return None


def remove_earlier(data_dir) -> None:
    """Remove the tables of an earlier corpus in `data_dir`, and what came from it."""
    for name in (*TABLES, *STATE, *MANIFESTS):
        (Path(data_dir) / name).unlink(missing_ok=True)
    for name in ("conf", "trials", "faces", ".backup"):
        if (Path(data_dir) / name).exists():
            shutil.rmtree(Path(data_dir) / name)


def refuse_same(source, target) -> None:
    """Raise UserError if the two are one directory."""
    if Path(source).resolve() == Path(target).resolve():
        raise UserError(f"{target}: the same directory as {source}: name another")


def keep(data: DataDir, utts: Collection[str]) -> DataDir:
    """Only what belongs to `utts`, in every table."""
    utts = set(utts) & data.utt2spk.keys()
    speakers = {data.utt2spk[utt] for utt in utts}
    recordings = {data.recording(utt) for utt in utts}
    sessions = (
        {data.session(utt) for utt in utts} if "utt2session" in data.tables else None
    )
    face2utt = data.tables.get("faces/face2utt", {})
    faces = {face for face, utt in face2utt.items() if utt in utts}

    def kept(name: str, key: str) -> bool:
        if name == "session2date":
            return key.split()[0] in speakers if sessions is None else key in sessions
        if name in datadir.FACE_TABLES:
            return key in faces
        if name in datadir.RECO_TABLES:
            return key in recordings
        return key in (utts if name in datadir.UTT_TABLES else speakers)

    tables = {
        name: {key: value for key, value in table.items() if kept(name, key)}
        for name, table in data.tables.items()
    }
    return DataDir(tables, data.state)


def rename(
    data: DataDir, utt_name: Callable[[str], str], spk_name: Callable[[str], str]
) -> DataDir:
    """New names for utterances (faces with them) and speakers.

    utt2uniq goes on to name the original utterances, segments the recordings.
    """

    def line(name: str, key: str, value: str) -> tuple[str, str]:
        if name == "utt2spk":
            return utt_name(key), spk_name(value)
        if name == "session2date":
            spk, session = key.split()
            return f"{spk_name(spk)} {session}", value
        if name == "faces/face2utt":
            return utt_name(key), utt_name(value)
        if name in datadir.SPK_TABLES:
            return spk_name(key), value
        if name in datadir.RECO_TABLES and "segments" in data.tables:
            return key, value
        return utt_name(key), value

    tables = {
        name: dict(line(name, key, value) for key, value in table.items())
        for name, table in data.tables.items()
    }
    return DataDir(tables, data.state)


def combine(sources: dict[str, DataDir]) -> DataDir:
    """All utterances of all directories (name -> content) in one.

    A table that some directory lacks is left out, which is said; but whole
    recordings become segments, and names of their own in utt2uniq, where others
    have these tables. Raises UserError for an utterance that two of them have, or
    where they contradict each other.
    """
    sources = {
        name: _fill(name, data, sources.values()) for name, data in sources.items()
    }
    tables: dict[str, dict[str, str]] = {}
    for name in TABLES:
        lacking = [s for s, data in sources.items() if name not in data.tables]
        if not lacking:
            tables[name] = _merge(name, sources)
        elif len(lacking) < len(sources):
            log.info("no %s in %s: left out", name, ", ".join(lacking))
    return DataDir(tables, _merge_state(sources))


def _fill(name: str, data: DataDir, others) -> DataDir:
    """Add the segments and utt2uniq of a directory that needs none by itself."""
    tables = dict(data.tables)
    if any("utt2uniq" in other.tables for other in others):
        tables.setdefault("utt2uniq", {utt: utt for utt in data.utt2spk})
    if any("segments" in other.tables for other in others):
        if "segments" not in tables and "utt2dur" not in tables:
            raise UserError(f"{name}: needs utt2dur, as others have segments")
        if "segments" not in tables:
            tables["segments"] = {
                utt: f"{utt} 0 {duration}"
                for utt, duration in tables["utt2dur"].items()
            }
    return DataDir(tables, data.state)


def _merge(name: str, sources: dict[str, DataDir]) -> dict[str, str]:
    merged: dict[str, str] = {}
    origin: dict[str, str] = {}
    for source, data in sources.items():
        for key, value in data.tables[name].items():
            if name == "utt2spk" and key in merged:
                raise UserError(
                    f"utterance '{key}' is in {origin[key]} and in {source}: rename "
                    "one with utils/copy_data_dir.py --utt-prefix"
                )
            if merged.setdefault(key, value) != value:
                raise UserError(
                    f"{name}: '{key}' is '{merged[key]}' in {origin[key]}, "
                    f"'{value}' in {source}"
                )
            origin.setdefault(key, source)
    return merged


def _merge_state(sources: dict[str, DataDir]) -> dict[str, bytes]:
    state: dict[str, bytes] = {}
    origin: dict[str, str] = {}
    for source, data in sources.items():
        for name, content in data.state.items():
            if state.setdefault(name, content) != content:
                raise UserError(
                    f"{origin[name]}/{name} and {source}/{name} differ: make both "
                    "with the same settings"
                )
            origin.setdefault(name, source)
    return dict(sorted(state.items()))
