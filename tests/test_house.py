"""The house's own rules: which room imports which, sizes, forms of scripts."""

import ast
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT, absent

LIBRARY = ROOT / "steps/chronovox"
STEPS = sorted((ROOT / "steps").glob("*.py"))
UTILS = sorted((ROOT / "utils").glob("*.py"))
LOCAL = sorted([*ROOT.glob("local/*.py"), *ROOT.glob("egs/*/local/*.py")])
ROOMS = sorted(LIBRARY.rglob("*.py"))
SHELL = sorted(
    path
    for folder in (
        "",
        "steps",
        "utils",
        "local",
        "tests",
        "tests/*",
        "egs/*",
        "egs/*/local",
    )
    for path in ROOT.glob(f"{folder}/*.sh".lstrip("/"))
)
# What utils/ may use besides the standard library.
FOR_UTILS = {
    "cli", "files", "datadir", "datadir_ops", "datadir_check", "clusterconf", "jobs",
}  # fmt: skip


def name_of(path) -> str:
    return str(path.relative_to(ROOT))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path) -> set[str]:
    """All imported names, dotted; `from x import y` gives x.y."""
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms_used(path: Path) -> set[str]:
    parts = [name.split(".") for name in imports(path)]
    return {part[1] for part in parts if part[0] == "chronovox"}


def room_order() -> list[str]:
    """The rooms in the order in which steps/chronovox/__init__.py lists them."""
    doc = ast.get_docstring(tree_of(LIBRARY / "__init__.py"))
    listed = doc.partition(":\n\n")[2]
    return re.findall(r"\w+", listed)


def room_of(path: Path) -> str:
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def test_every_room_is_listed():
    rooms = {room_of(path) for path in ROOMS} - {"__init__"}
    assert rooms <= set(room_order())


@pytest.mark.parametrize("path", ROOMS, ids=name_of)
def test_a_room_imports_only_rooms_above_it(path):
    order = room_order()
    room = room_of(path)
    if room == "__init__":
        assert not imports(path)
        return
    above = order[: order.index(room)]
    below = rooms_used(path) - {room} - set(above)
    assert not below, f"{name_of(path)} imports {below}"
    if path.parent == LIBRARY:
        assert room not in rooms_used(path)


def test_only_kaldi_io_imports_kaldiio():
    users = {
        name_of(path)
        for path in [*ROOMS, *STEPS, *UTILS, *LOCAL]
        if any(name.split(".")[0] == "kaldiio" for name in imports(path))
    }
    assert users == {"steps/chronovox/kaldi_io.py"}


def test_only_pictures_import_opencv():
    """It sets the limit to their size, before OpenCV is loaded."""
    users = {
        name_of(path)
        for path in [*ROOMS, *STEPS, *UTILS, *LOCAL]
        if any(name.split(".")[0] == "cv2" for name in imports(path))
    }
    assert users == {"steps/chronovox/faces/pictures.py"}


@pytest.mark.parametrize("path", [*ROOMS, *STEPS, *UTILS], ids=name_of)
def test_the_corpus_free_part_imports_no_step_and_nothing_local(path):
    scripts = {script.stem for script in [*STEPS, *UTILS, *LOCAL]}
    used = {name.split(".")[0] for name in imports(path)}
    assert not used & (scripts - sys.stdlib_module_names)


@pytest.mark.parametrize("path", UTILS, ids=name_of)
def test_utils_need_nothing_but_the_standard_library(path):
    outside = {name.split(".")[0] for name in imports(path)} - sys.stdlib_module_names
    assert outside <= {"chronovox"}
    assert rooms_used(path) <= FOR_UTILS


@pytest.mark.parametrize("room", sorted(FOR_UTILS))
def test_what_utils_use_needs_nothing_else_either(room):
    path = LIBRARY / f"{room}.py"
    outside = {name.split(".")[0] for name in imports(path)} - sys.stdlib_module_names
    assert outside <= {"chronovox"}
    assert rooms_used(path) <= FOR_UTILS


@pytest.mark.parametrize("path", [*ROOMS, *STEPS, *UTILS, *LOCAL], ids=name_of)
def test_sizes(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= (400 if path in ROOMS else 250), f"{name_of(path)}: {lines} lines"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= 80, f"{name_of(path)}: {node.name}: {length} lines"


def test_run_sh_can_be_read_in_one_sitting():
    assert (ROOT / "run.sh").read_text().count("\n") <= 200


@pytest.mark.parametrize("path", [*STEPS, *UTILS, *LOCAL], ids=name_of)
def test_form_of_scripts(path):
    tree = tree_of(path)
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    doc = ast.get_docstring(tree) or ""
    assert {"get_parser", "main"} <= functions
    assert "usage:" in doc.lower() and "e.g." in doc, f"{name_of(path)}: docstring"
    assert path.read_text().startswith("#!/usr/bin/env python3\n")
    assert os.access(path, os.X_OK), f"{name_of(path)} is not executable"


def test_help_is_the_docstring():
    """`--help` works before any input is there, and shows the docstring."""

    def help_of(path):
        done = subprocess.run(
            [sys.executable, path, "--help"], capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "steps")}, check=False,
        )  # fmt: skip
        return path, done

    with ThreadPoolExecutor(2) as pool:
        for path, done in pool.map(help_of, [*STEPS, *UTILS, *LOCAL]):
            assert done.returncode == 0, f"{name_of(path)}: {done.stderr}"
            first = ast.get_docstring(tree_of(path)).splitlines()[0]
            assert first in done.stdout, name_of(path)


def test_shell_steps_have_help():
    """So has run.sh; from a recipe directory, as they are called."""
    env = {**os.environ, "CHRONOVOX_PYTHON": sys.executable}
    for path in [ROOT / "run.sh", *sorted(ROOT.glob("steps/*.sh"))]:
        done = subprocess.run(
            ["bash", path.relative_to(ROOT), "--help"], cwd=ROOT, env=env, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{name_of(path)}: {done.stderr}"
        assert "Usage" in done.stdout and "#" not in done.stdout, name_of(path)


@pytest.mark.parametrize("path", SHELL, ids=name_of)
def test_shell_scripts_parse(path):
    subprocess.run(["bash", "-n", path], check=True)


def test_shellcheck():
    if shutil.which("shellcheck") is None:
        absent("there is no shellcheck")
    done = subprocess.run(
        ["shellcheck", "--severity=warning", *SHELL], cwd=ROOT, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("words", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff(words):
    program = Path(sys.executable).parent / "ruff"
    if not program.exists():
        absent("there is no ruff")
    done = subprocess.run(
        [program, *words, "."], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_light_rooms_are_imported_in_a_tenth_of_a_second():
    code = (
        "import time; begin = time.process_time()\n"
        "from chronovox import cli, config, datadir, runinfo\n"
        "print(time.process_time() - begin)"
    )
    times = []
    for _ in range(7):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "steps")},
        )  # fmt: skip
        times.append(float(done.stdout))
    assert min(times) < 0.1, times
