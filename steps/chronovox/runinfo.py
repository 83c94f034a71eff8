"""Where a result came from: commit, versions, command line, machine, time."""

import datetime
import functools
import json
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

from chronovox.files import atomic_write

PACKAGES = ("torch", "numpy", "scipy", "lhotse", "kaldiio", "soundfile")


@functools.cache
def commit() -> str:
    """The git commit of this code, `+` behind it if files differ, or `unknown`."""
    root = Path(__file__).resolve().parents[2]

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *words],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def command() -> str:
    """The command line of this process, quoted for a shell."""
    return shlex.join([os.path.relpath(sys.argv[0]), *sys.argv[1:]])


def _version(package: str) -> str | None:
    from importlib import metadata  # slow, and needed only here

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def write(path, **more) -> None:
    """Write runinfo.json; `more` adds entries."""
    info = {
        "command": command(),
        "commit": commit(),
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        **more,
    }
    with atomic_write(path) as stream:
        json.dump(info, stream, indent=2)
        stream.write("\n")
