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
TINY_FACES = ["--face-config", "tests/face_age_tiny.yaml"]
TINY_MODEL = [
    "--model-config", "tests/xvector_tiny.yaml", *TINY_FACES, "--trials", "random hard",
]  # fmt: skip


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


def start_until(folder: Path, words, started) -> subprocess.Popen:
    """Start `words` in a session of its own; returns when `started()`, or at its end.

    What it prints goes to `folder`/screen.log.
    """
    with open(folder / "screen.log", "w") as screen:
        process = subprocess.Popen(
            words, cwd=folder, env=environment(), start_new_session=True,
            stdout=screen, stderr=screen,
        )  # fmt: skip
    deadline = time.monotonic() + 300
    while not started() and process.poll() is None:
        assert time.monotonic() < deadline, f"{words}: never came to the point to kill"
        time.sleep(0.005)
    return process


def run_and_kill(folder: Path, words, started, whole_group: bool = True) -> bool:
    """Start `words`, wait until `started()`, kill -9; True if it was still running."""
    process = start_until(folder, words, started)
    alive = process.poll() is None
    if alive and whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    elif alive:
        process.kill()
    process.wait()
    return alive


def run_and_interrupt(folder: Path, words, after_s: float) -> None:
    """Start `words`, press Ctrl-C after some seconds: it ends soon and quietly."""
    begin = time.monotonic()
    process = start_until(folder, words, lambda: time.monotonic() > begin + after_s)
    assert process.poll() is None, f"{words}: over before it could be interrupted"
    os.killpg(process.pid, signal.SIGINT)
    code = process.wait(20)
    said = (folder / "screen.log").read_text()
    assert code in (130, -signal.SIGINT) and "Traceback" not in said, said


def set_clocks_apart(folder: Path, hours: int) -> None:
    """Give the files below `folder` times as from machines whose clocks are apart."""
    for number, path in enumerate(sorted(folder.rglob("*"))):
        shift_s = 3600 * hours * (1 if number % 2 else -1)
        if path.is_file():
            os.utime(path, times=(time.time() + shift_s,) * 2)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every result below `folder`; logs and run information are exempt."""
    result = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        exempt = "log" in path.parts or path.name in ("runinfo.json", ".run.lock")
        if path.is_file() and not exempt and not path.name.endswith(".log"):
            result[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return result
