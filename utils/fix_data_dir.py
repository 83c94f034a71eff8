#!/usr/bin/env python3
"""Mend a data directory: sort its tables and keep what all of them have.

usage: utils/fix_data_dir.py DIR
e.g.:  utils/fix_data_dir.py data/train

Sorts, drops repeated and blank lines, mends line ends, makes spk2utt anew. An
utterance stays if every table that must be complete has it (wav.scp, utt2session,
feats.scp, ...), and its speaker and session are in the tables of speakers and
sessions; ages and faces may be missing. What is dropped is listed with the reason
in DIR/.backup/dropped, and leaves lhotse manifests too; changed files are kept as
they were in DIR/.backup. Killed while it writes, it leaves DIR/.backup/unfinished,
and is to be run again (steps/make_*.sh do).
"""

from pathlib import Path

from chronovox import cli, datadir, datadir_check, datadir_ops, files


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("dir", metavar="DIR")
    return parser


def read_untidy(path: Path, name: str) -> dict[str, str]:
    """A table in whatever order. Raises UserError for what cannot be guessed."""
    path = path / name
    table: dict[str, str] = {}
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise cli.UserError(f"{path}: not UTF-8 text (byte {error.start})") from None
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line:
            continue
        where = f"{path}:{number}"
        first, *rest = line.split(None, 1)
        key, value = datadir.parse_line(
            " ".join([first, *rest]), where, *datadir.layout(name)
        )
        if table.setdefault(key, value) != value:
            raise cli.UserError(
                f"{where}: '{key}' is '{value}' here and '{table[key]}' before: "
                "remove one of the lines"
            )
    return table


def reason_to_drop(data: datadir_ops.DataDir, utt: str) -> str | None:
    """Why the utterance cannot stay."""
    tables, spk = data.tables, data.utt2spk[utt]
    for name in datadir_ops.COMPLETE_UTT:
        if utt not in tables.get(name, (utt,)):
            return f"not in {name}"
    if "wav.scp" in tables and data.recording(utt) not in tables["wav.scp"]:
        return f"recording {data.recording(utt)} not in wav.scp"
    for name in datadir_ops.COMPLETE_SPK:
        if spk not in tables.get(name, (spk,)):
            return f"speaker {spk} not in {name}"
    dates = tables.get("session2date")
    if dates and "utt2session" in tables and data.session(utt) not in dates:
        return f"session {data.session(utt)} not in session2date"
    return None


def changed_files(data: datadir_ops.DataDir, path: Path) -> list[str]:
    """The tables in `path` that are not as `data` has them."""
    spk2utt = {
        spk: " ".join(utts) for spk, utts in datadir.invert(data.utt2spk).items()
    }
    tables = {**data.tables, "spk2utt": spk2utt}
    changed = []
    for name in datadir_ops.TABLES:
        table = tables.get(name, {})
        text = "".join(f"{key} {table[key]}\n" for key in sorted(table)).encode()
        old = (path / name).read_bytes() if (path / name).is_file() else None
        if old != (text or None):
            changed.append(name)
    return changed


def back_up(path: Path, names: list[str], dropped: dict[str, str]) -> None:
    """Keep the named files as they are, and the reasons, in .backup.

    What a killed run had kept there already stays: it is older than its changes.
    """
    backup = path / ".backup"
    reasons = [f"{utt} {why}" for utt, why in dropped.items()]
    if (backup / "unfinished").exists():
        earlier = (backup / "dropped").read_text(encoding="utf-8").splitlines()
        reasons = sorted({*earlier, *reasons})
    files.write_lines(backup / "dropped", reasons)
    for name in names:
        if (path / name).is_file():
            with files.atomic_write(backup / name, "wb") as stream:
                stream.write((path / name).read_bytes())
    (backup / "unfinished").touch()


def main(argv=None) -> int:
    path = Path(get_parser().parse_args(argv).dir)
    data = datadir_ops.load(path, read_untidy, in_place=True)
    tables = {name: table for name, table in data.tables.items() if table}
    data = datadir_ops.DataDir({"utt2spk": {}} | tables, data.state)
    reasons = {utt: reason_to_drop(data, utt) for utt in sorted(data.utt2spk)}
    dropped = {utt: why for utt, why in reasons.items() if why}
    if len(dropped) == len(reasons):
        first = "".join(f": {utt}: {why}" for utt, why in list(dropped.items())[:1])
        raise cli.UserError(f"{path}: no utterance would be left{first}")
    fixed = datadir_ops.keep(data, reasons.keys() - dropped.keys())
    changed = changed_files(fixed, path)
    manifests = [name for name in datadir_ops.MANIFESTS if (path / name).exists()]
    if changed:
        back_up(path, changed + (manifests if dropped else []), dropped)
        datadir_ops.save(fixed, path, keep_manifests=True)
    (path / ".backup/unfinished").unlink(missing_ok=True)
    cli.log.info(
        "%s: %d utterances in, %d out, %d dropped%s; changed: %s",
        path, len(reasons), len(reasons) - len(dropped), len(dropped),
        f" (reasons in {path}/.backup/dropped)" if dropped else "",
        ", ".join(changed) or "nothing",
    )  # fmt: skip
    problems = datadir_check.find_problems(path, True, True, True)
    if problems:
        shown = "".join(f"\n  {problem}" for problem in problems[:20])
        raise cli.UserError(f"{path}: what is left to mend by hand:{shown}")
    return 0


if __name__ == "__main__":
    cli.run(main)
