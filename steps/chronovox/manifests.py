"""Lhotse manifests beside a data directory, made before or after its Kaldi tables.

One recording and one supervision per utterance. A supervision's `speaker` and
`gender` (m or f) are lhotse's own; `session`, `nationality` and `date` (ISO date
or day number) are custom fields. Ages come to them, as custom field `age` in years,
when they are estimated or imported, and never before.
"""

import gzip
import io
import json
import zlib
from pathlib import Path

from lhotse import Recording, RecordingSet, SupervisionSegment, SupervisionSet
from lhotse.audio import AudioSource

from chronovox import datadir, datadir_ops
from chronovox.cli import UserError, log
from chronovox.files import atomic_write


def utterance(
    utt: str, path: str, num_samples: int, sampling_rate: int, spk: str, session: str,
    gender: str | None = None, nationality: str | None = None, date: str | None = None,
) -> tuple[Recording, SupervisionSegment]:  # fmt: skip
    """The manifest entries of an utterance that is a whole mono file."""
    duration = num_samples / sampling_rate
    recording = Recording(
        id=utt,
        sources=[AudioSource(type="file", channels=[0], source=path)],
        sampling_rate=sampling_rate,
        num_samples=num_samples,
        duration=duration,
    )
    custom = {"session": session, "nationality": nationality, "date": date}
    supervision = SupervisionSegment(
        id=utt, recording_id=utt, start=0.0, duration=duration, speaker=spk,
        gender=gender,
        custom={key: value for key, value in custom.items() if value is not None},
    )  # fmt: skip
    return recording, supervision


def _write_jsonl_gz(path: Path, items) -> None:
    """Write JSON lines, compressed; the same items give the same bytes."""
    with (
        atomic_write(path, "wb") as stream,
        gzip.GzipFile(filename="", fileobj=stream, mode="wb", mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as text,
    ):
        for item in items:
            text.write(json.dumps(item, ensure_ascii=False) + "\n")


def write_data_dir(data_dir, entries) -> None:
    """Write both manifests, then the Kaldi tables from what was read back.

    Tables, features, trial lists and settings of an earlier corpus at this place are
    removed: its recordings had perhaps the same names.

    entries: what `utterance` returned, in any order. spk2gender, spk2nationality
    and session2date are written only if all speakers (sessions) have the value.
    """
    data_dir = Path(data_dir)
    datadir_ops.remove_earlier(data_dir)
    entries = sorted(entries, key=lambda entry: entry[0].id)
    _write_jsonl_gz(
        data_dir / "recordings.jsonl.gz",
        (recording.to_dict() for recording, _ in entries),
    )
    _write_jsonl_gz(
        data_dir / "supervisions.jsonl.gz",
        (segment.to_dict() for _, segment in entries),
    )
    export_kaldi(data_dir)


def import_kaldi(data_dir, sampling_rate: int) -> int:
    """Write both manifests from the Kaldi tables of a data directory; returns how many.

    Needs utt2dur; the lengths of its recordings are rounded to whole samples. Raises
    UserError where utterances are parts of recordings, or a table lacks one.
    """
    data = datadir_ops.load(data_dir, in_place=True)
    if "segments" in data.tables:
        raise UserError(f"{data_dir}: has segments: one recording an utterance needed")

    def entry(utt: str):
        spk = data.utt2spk[utt]
        values = [
            data.tables.get(name, {}).get(spk)
            for name in ("spk2gender", "spk2nationality")
        ]
        date = data.tables.get("session2date", {}).get(data.session(utt))
        path, dur_s, session = (
            data.tables[name][utt] for name in ("wav.scp", "utt2dur", "utt2session")
        )
        length = round(float(dur_s) * sampling_rate)
        return utterance(utt, path, length, sampling_rate, spk, session, *values, date)

    for name in ("wav.scp", "utt2dur", "utt2session"):
        lacking = sorted(data.utt2spk.keys() - data.tables.get(name, {}).keys())
        if lacking:
            raise UserError(f"{Path(data_dir) / name}: no line for '{lacking[0]}'")
    for row, name in enumerate(datadir_ops.MANIFESTS):
        items = (entry(utt)[row].to_dict() for utt in data.utt2spk)
        _write_jsonl_gz(Path(data_dir) / name, items)
    return len(data.utt2spk)


def export_kaldi(data_dir) -> None:
    """Write the Kaldi tables of `data_dir` from the manifests in it."""
    data_dir = Path(data_dir)
    recordings = RecordingSet.from_file(data_dir / "recordings.jsonl.gz")
    supervisions = SupervisionSet.from_file(data_dir / "supervisions.jsonl.gz")
    wav = {item.id: item.sources[0].source for item in recordings}
    segments = {item.id: item for item in supervisions}
    if wav.keys() != segments.keys():
        raise UserError(f"{data_dir}: recordings and supervisions differ")
    utt2spk = {utt: segment.speaker for utt, segment in segments.items()}
    datadir.write_table(data_dir / "wav.scp", wav)
    datadir.write_table(data_dir / "utt2spk", utt2spk)
    datadir.write_spk2utt(data_dir / "spk2utt", utt2spk)
    datadir.write_table(
        data_dir / "utt2dur", {utt: f"{s.duration:.3f}" for utt, s in segments.items()}
    )
    datadir.write_table(
        data_dir / "utt2session", {u: s.custom["session"] for u, s in segments.items()}
    )
    _write_if_complete(
        data_dir / "spk2gender", {s.speaker: s.gender for s in segments.values()}
    )
    _write_if_complete(
        data_dir / "spk2nationality",
        {s.speaker: s.custom.get("nationality") for s in segments.values()},
    )
    _write_if_complete(
        data_dir / "session2date",
        {
            f"{s.speaker} {s.custom['session']}": s.custom.get("date")
            for s in segments.values()
        },
    )


def write_ages(data_dir, utt2age: dict[str, float]) -> None:
    """Put ages in years into the supervisions of `data_dir`, and take others out.

    Raises UserError for a damaged manifest.
    """
    path = Path(data_dir) / "supervisions.jsonl.gz"
    try:
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            items = [json.loads(line) for line in stream]
        for item in items:
            custom = item.setdefault("custom", {})
            custom.pop("age", None)
            if item["id"] in utt2age:
                custom["age"] = utt2age[item["id"]]
    except (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError,
            zlib.error) as error:  # fmt: skip
        raise UserError(
            f"{path}: damaged ({error}): run stage 0 again, or remove it"
        ) from None
    _write_jsonl_gz(path, items)


def _write_if_complete(path: Path, table: dict[str, str | None]) -> None:
    """Write a table, or remove an old one and say so where values are missing."""
    missing = [key for key, value in table.items() if value is None]
    if missing:
        path.unlink(missing_ok=True)
        log.info("no %s: not known for %d of %d", path, len(missing), len(table))
    else:
        datadir.write_table(path, table)
