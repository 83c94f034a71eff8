"""Run, kill and compare recipes in a private copy of the project."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["--prepare-opts", "--size small", "--nj", "2"]
TINY_MODEL = ["--model-config", "tests/xvector_tiny.yaml"]


def copy_project(target: Path) -> Path:
    """Copy what git tracks, and what it does not ignore, to `target`."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "-co", "--exclude-standard"],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)
    return target


def environment() -> dict[str, str]:
    """The recipes run under the interpreter that runs the tests."""
    return {**os.environ, "CHRONOVOX_PYTHON": sys.executable}


def run(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess:
    """Run a command line in `folder` and check its exit code."""
    done = subprocess.run(
        words, cwd=folder, env=environment(), text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == code, (
        f"{words} ended with {done.returncode}\n{done.stdout}"
    )
    return done


def run_and_kill(folder: Path, words, started, whole_group: bool = True) -> bool:
    """Start `words`, wait until `started()`, kill -9; True if it was still running."""
    process = subprocess.Popen(
        words, cwd=folder, env=environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while not started() and process.poll() is None:
        assert time.monotonic() < deadline, f"{words}: never came to the point to kill"
        time.sleep(0.005)
    alive = process.poll() is None
    if alive and whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    elif alive:
        process.kill()
    process.wait()
    return alive


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every result below `folder`; logs and run information are exempt."""
    result = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        exempt = "log" in path.parts or path.name in ("runinfo.json", ".run.lock")
        if path.is_file() and not exempt and not path.name.endswith(".log"):
            result[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return result
