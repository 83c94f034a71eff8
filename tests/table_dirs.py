"""Data directories with every table that travels, as text; no audio."""

from pathlib import Path

UTTS = ["a-1-1", "a-1-2", "a-2-1", "b-1-1", "b-2-1", "c-1-1"]


def lines(*rows: str) -> str:
    return "".join(f"{row}\n" for row in rows)


def full_tables() -> dict[str, str]:
    """File name -> text: three speakers, five sessions, six utterances."""

    def per_utt(value) -> str:
        return lines(*(f"{utt} {value(utt)}" for utt in UTTS))

    return {
        "wav.scp": per_utt(lambda utt: f"/audio/{utt}.wav"),
        "utt2spk": per_utt(lambda utt: utt[0]),
        "spk2utt": lines("a a-1-1 a-1-2 a-2-1", "b b-1-1 b-2-1", "c c-1-1"),
        "utt2session": per_utt(lambda utt: utt[2]),
        "session2date": lines(
            "a 1 2001-01-01", "a 2 2011-01-01", "b 1 10", "b 2 20", "c 1 5"
        ),
        "spk2gender": lines("a f", "b m", "c f"),
        "spk2nationality": lines("a Irish", "b Irish", "c Welsh"),
        "utt2dur": per_utt(lambda utt: f"{6 - UTTS.index(utt)}.5"),
        "utt2num_frames": per_utt(lambda utt: 150),
        "feats.scp": per_utt(lambda utt: f"/ark/feats.ark:{UTTS.index(utt)}"),
        "vad.scp": per_utt(lambda utt: f"/ark/vad.ark:{UTTS.index(utt)}"),
        "text": per_utt(lambda utt: "some words"),
        "utt2age": lines("a-1-1 20.5", "a-2-1 30.5", "b-1-1 41"),
        "utt2age_std": lines("a-1-1 2", "a-2-1 3", "b-1-1 4"),
        "utt2num_faces": lines("a-1-1 2", "a-2-1 1", "b-1-1 0"),
        "utt2age.source": lines("label_ages"),
        "faces/face.scp": lines(
            "a-1-1-f1 /f/1.png", "a-1-1-f2 /f/2.png", "a-2-1-f1 /3.png"
        ),
        "faces/face2utt": lines(
            "a-1-1-f1 a-1-1", "a-1-1-f2 a-1-1", "a-2-1-f1 a-2-1"
        ),
        "frame_shift": lines("0.01"),
        "conf/features.yaml": lines("type: fbank"),
    }  # fmt: skip


def write_dir(path: Path, tables: dict[str, str | None]) -> Path:
    """Write file name -> text; None leaves a file out."""
    for name, text in tables.items():
        if text is not None:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(text.encode())
    return path


def read_dir(path: Path) -> dict[str, str]:
    """File name -> text of all files that are not hidden."""
    return {
        str(p.relative_to(path)): p.read_text()
        for p in sorted(path.rglob("*"))
        if p.is_file() and not str(p.relative_to(path)).startswith(".")
    }
