"""Writing files so that a killed run leaves the old file or the whole new one."""

import contextlib
import errno
import fcntl
import hashlib
import os
from pathlib import Path

from chronovox.cli import UserError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def named(path):
    """Let an error of a full disk name `path`, which by itself it does not.

    Such an error is found behind the exception of a library, too.
    """
    try:
        yield
    except Exception as error:
        cause = error
        while cause is not None and getattr(cause, "errno", None) not in _NO_ROOM:
            cause = cause.__context__
        if cause is None or cause.filename is not None:
            raise
        raise OSError(cause.errno, cause.strerror, str(path)) from None


@contextlib.contextmanager
def locked(folder, reason: str):
    """Make a folder and hold it alone. Raises UserError (`reason`) if another does."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: {reason}") from None
        yield


def temporary_name(path) -> Path:
    """The hidden name, in the same directory, under which `path` is written."""
    path = Path(path)
    return path.with_name(f".{path.name}.tmp")


def _open_keeping(path, flags: int) -> int:
    """An opener that does not yet empty the file: another process may hold it."""
    return os.open(path, flags & ~os.O_TRUNC, 0o666)


def _open_locked(temporary: Path, path: Path, mode: str):
    """Open and lock `temporary`; whatever a killed writer left there is dropped."""
    options = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    while True:
        stream = open(  # noqa: SIM115  # the caller closes it
            temporary, mode, opener=_open_keeping, **options
        )
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
            raise UserError(
                f"{path}: another process is writing it: wait for it or stop it"
            ) from None
        # Between open and lock the file may have been renamed to its final name.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(temporary), os.fstat(stream.fileno())):
                stream.truncate(0)
                return stream
        stream.close()


@contextlib.contextmanager
def atomic_write(path, mode: str = "w", sync: bool = False):
    """Open a temporary file beside `path` and rename it to `path` at the end.

    After an error nothing is renamed and the temporary file is removed. `sync`
    also waits for the disk, for what must survive a power failure (checkpoints).
    Raises UserError if another live process is writing the same file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    stream = _open_locked(temporary, path, mode)
    try:
        with named(path):
            yield stream
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
            os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        with contextlib.suppress(OSError):
            stream.close()


def write_lines(path, lines) -> None:
    """Write text lines atomically."""
    with atomic_write(path) as stream:
        stream.writelines(f"{line}\n" for line in lines)


def sha256(path) -> str:
    """The SHA-256 of a file, in hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(text: str, paths=()) -> str:
    """The SHA-256 of a text and of what is in files, in hex.

    A file that cannot be read counts, too: it is not the same as an empty one.
    """
    total = hashlib.sha256(text.encode())
    for path in paths:
        try:
            known = sha256(path) if Path(path).is_file() else "-"
        except (OSError, ValueError):
            known = "-"
        total.update(known.encode())
    return total.hexdigest()
