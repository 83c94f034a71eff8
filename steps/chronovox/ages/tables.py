"""The ages of a data directory: `utt2age`, and the files that go with it.

Ages are in years. `utt2age.source` is one line, `<writer> <file>: <settings>`; what
stands before the colon names the source, and no other may write over its ages.
`utt2age_std` is the spread of the faces that an age was made of, `utt2num_faces` how
many there were. An utterance without an age has no line in `utt2age`.
"""

from pathlib import Path

from chronovox.cli import UserError
from chronovox.datadir import parse_float, read_lines, read_table, write_table
from chronovox.files import write_lines

MAX_AGE = 120.0
# `utt2age` last: where it stands, all is of one making.
_BESIDE = ("utt2age.source", "utt2age_std", "utt2num_faces")
_LISTS = ("utt2age.dropped", "utt2age.rejected")


def parse_age(text: str, where: str) -> float:
    """Years that a person can be old; `where` names them in the error.

    Raises UserError for what is no number, not above 0, or above MAX_AGE.
    """
    age = parse_float(text, where)
    if not 0.0 < age <= MAX_AGE:
        raise UserError(f"{where}: {text} is not above 0 and up to {MAX_AGE:g} years")
    return age


def read_sessions(data_dir) -> dict[str, tuple[str, str]]:
    """Utterance -> (speaker, session). Raises UserError for one without a session."""
    utt2spk = read_table(Path(data_dir) / "utt2spk")
    path = Path(data_dir) / "utt2session"
    utt2session = read_table(path)
    lacking = sorted(utt2spk.keys() - utt2session)
    if lacking:
        raise UserError(
            f"{path}: no line for '{lacking[0]}', {len(lacking)} in all: add the "
            "session (video, day, visit) of every utterance"
        )
    return {utt: (spk, utt2session[utt]) for utt, spk in utt2spk.items()}


def claim(data_dir, source: str) -> None:
    """Make sure that `source` may write ages; removes those of its earlier runs.

    Raises UserError if the ages that are there are of another source, or of none.
    """
    path, record = Path(data_dir) / "utt2age", Path(data_dir) / "utt2age.source"
    if path.exists():
        found = read_lines(record)[0] if record.exists() else "unknown"
        name = source.partition(": ")[0]
        if not found.startswith(f"{name}: "):
            raise UserError(
                f"{path}: written by another source ({record}: {found}), not by "
                f"{name}: to replace these ages, remove {path}* first"
            )
    for name in ("utt2age", *_BESIDE, *_LISTS):
        (Path(data_dir) / name).unlink(missing_ok=True)


def write_ages(data_dir, source: str, utt2age: dict[str, float], **beside) -> None:
    """Write ages with their source, and `beside` them utt2age_std and utt2num_faces.

    The source has a claim to them. Nine significant digits restore a float32. Lhotse's
    supervisions, where they are, get the ages too.
    """
    data_dir = Path(data_dir)
    write_lines(data_dir / "utt2age.source", [source])
    if (data_dir / "supervisions.jsonl.gz").exists():
        from chronovox import manifests  # it takes a second to load

        manifests.write_ages(data_dir, utt2age)
    for name, table in {**beside, "utt2age": utt2age}.items():
        if table:
            texts = {utt: f"{value:.9g}" for utt, value in table.items()}
            write_table(data_dir / name, texts)
