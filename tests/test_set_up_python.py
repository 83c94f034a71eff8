"""utils/set_up_python.sh makes .venv, with stubs in the place of python3 and pip."""

import os
import shutil
import subprocess

import pytest
from conftest import ROOT

# Says what it is asked for; `-m venv` makes a link to itself. The words in $BREAK,
# if they are among its own, make it fail.
STUB = """#!/bin/bash
echo "$*" >> "$CHRONOVOX_ROOT/asked"
if [ -n "${BREAK:-}" ] && [[ $* == *$BREAK* ]]; then exit 1; fi
if [ "$2" = venv ]; then mkdir -p .venv/bin && cp "$0" .venv/bin/python; fi
"""


@pytest.fixture
def project(tmp_path):
    for name in ("path.sh", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "utils").mkdir()
    shutil.copy(ROOT / "utils/set_up_python.sh", tmp_path / "utils")
    stub = tmp_path / "bin/python3"
    stub.parent.mkdir()
    stub.write_text(STUB)
    stub.chmod(0o755)
    return tmp_path


def set_up(project, fail_at=""):
    """Source path.sh; returns its exit code and what python3 was asked for."""
    env = {name: value for name, value in os.environ.items() if name[:6] != "CHRONO"}
    path = f"{project}/bin:{env['PATH']}"
    done = subprocess.run(
        ["bash", "-c", "set -euo pipefail; . ./path.sh"], cwd=project, check=False,
        env={**env, "PATH": path, "BREAK": fail_at}, capture_output=True, text=True,
    )  # fmt: skip
    asked = project / "asked"
    lines = asked.read_text().splitlines() if asked.exists() else []
    asked.unlink(missing_ok=True)
    return done.returncode, lines


def test_it_is_made_once(project):
    code, asked = set_up(project)
    assert code == 0 and len(asked) == 4
    assert "requirements.lock" in asked[2] and "torch==" in asked[3]
    assert set_up(project) == (0, [])


@pytest.mark.parametrize(
    "fail_at", ["version_info", "-m venv", "requirements.lock", "torch=="]
)
def test_a_set_up_that_fails_is_made_anew(project, fail_at):
    code, asked = set_up(project, fail_at)
    assert code == 1 and fail_at in asked[-1]
    assert not (project / ".venv/made-from").exists()
    code, asked = set_up(project)
    assert code == 0 and len(asked) == 4


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("requirements.lock", "--hash", "# --hash"),
        ("pyproject.toml", '"torch==', '"torch==9'),
    ],
)
def test_other_pins_make_it_anew(project, name, old, new):
    set_up(project)
    path = project / name
    path.write_text(path.read_text().replace(old, new, 1))
    code, asked = set_up(project)
    assert code == 0 and len(asked) == 4


def test_our_own_python_is_no_interpreter_of_your_own(project):
    shutil.copytree(ROOT / "utils/python", project / "utils/python")
    wrapper = project / "utils/python/python3"
    done = subprocess.run(
        ["bash", "-c", "set -euo pipefail; . ./path.sh"], cwd=project, check=False,
        env={**os.environ, "CHRONOVOX_PYTHON": str(wrapper)}, capture_output=True,
        text=True, timeout=20,
    )  # fmt: skip
    assert done.returncode == 1 and "names our own python3" in done.stderr


def test_a_shell_of_somebodys_own_outlives_a_set_up_that_fails(project):
    done = subprocess.run(
        ["bash", "-c", ". ./path.sh && echo done; echo still here"], cwd=project,
        env={**os.environ, "CHRONOVOX_PYTHON": "/nonexistent"}, capture_output=True,
        text=True, timeout=20, check=False,
    )  # fmt: skip
    assert "is no program" in done.stderr
    assert done.stdout == "still here\n"
