"""Copies of a data directory's arks and recordings on a disk of this machine.

A node of a cluster reads them over the network otherwise, again in every epoch.
"""

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

from chronovox import datadir, files, kaldi_io
from chronovox.cli import UserError, log
from chronovox.datadir_ops import STATE, TABLES

_SCPS = ("feats.scp", "vad.scp", "wav.scp")


@contextlib.contextmanager
def staged(
    data_dir,
    owner,
    scps,
    scratch,
    wait=lambda: None,
    copies: bool = True,
    check=lambda: None,
):
    """Yield a data directory in `scratch` whose `scps` name copies that lie there.

    owner: a path of whoever reads it, as no two may share copies. scps: which of
    feats.scp, vad.scp and wav.scp are read; the others stay away. copies: whether
    this process makes the copies, and at the end removes them; of several on a
    machine one does, and `wait` is where they meet. What a killed process left is
    used or replaced. check: called before each copy, to raise what stops it. Raises
    UserError for a pipe, and where another process holds these copies.
    """
    paths = f"{os.path.realpath(data_dir)} {os.path.realpath(owner)}"
    folder = Path(scratch) / f"chronovox_{_digest(paths)}"
    if not copies:
        wait()
        yield folder
        wait()
        return
    with files.locked(folder, "another process reads these copies"):
        try:
            _copy(Path(data_dir), scps, folder, check)
            wait()
            yield folder
            wait()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _copy(data: Path, scps, folder: Path, check) -> None:
    num_bytes, copied = 0, {}
    shutil.rmtree(folder / "conf", ignore_errors=True)
    for name in (*TABLES, *STATE):
        if name not in _SCPS and (data / name).exists():
            _copy_file(data / name, folder / name)
        else:
            (folder / name).unlink(missing_ok=True)  # what a killed process left
    if (data / "conf").exists():
        shutil.copytree(data / "conf", folder / "conf", dirs_exist_ok=True)
    for name in scps:
        table = datadir.read_table(data / name, None)
        for key, rxfile in table.items():
            if rxfile.endswith("|"):
                raise UserError(
                    f"{data / name}: {key}: a command cannot be copied: make files "
                    "of it with steps/pack_audio.sh"
                )
            source = kaldi_io.parse_location(rxfile).path
            if source not in copied:
                check()
                name_there = _digest(source) + Path(source).suffix  # tells the format
                copied[source] = str(folder / "files" / name_there)
                num_bytes += _copy_file(Path(source), Path(copied[source]))
            table[key] = copied[source] + rxfile[len(source) :]
        datadir.write_table(folder / name, table)
    for path in (folder / "files").iterdir():
        if str(path) not in copied.values():
            path.unlink()
    log.info(
        "%s: %d files, %.1f GB, copied to %s",
        data,
        len(copied),
        num_bytes / 1e9,
        folder,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _copy_file(source: Path, target: Path) -> int:
    """Copy unless a copy of the same size and age is there. Returns the bytes."""
    try:
        info = source.stat()
        if target.exists():
            there = target.stat()
            if (there.st_size, there.st_mtime_ns) == (info.st_size, info.st_mtime_ns):
                return info.st_size
        with open(source, "rb") as stream, files.atomic_write(target, "wb") as copy:
            shutil.copyfileobj(stream, copy, 2**20)
            copy.flush()
            os.utime(copy.fileno(), ns=(info.st_atime_ns, info.st_mtime_ns))
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: no such file: make it again") from None
    return info.st_size
