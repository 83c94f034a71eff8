"""Fixtures that all tests share."""

import importlib.util
import os
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A background job of a shell ignores SIGINT, and so does all it starts: tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# The same for SIGHUP under nohup: what is caught here, what is started does not ignore.
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)


def absent(reason: str) -> None:
    """Skip with a printed reason, or fail where everything must be at hand."""
    if os.environ.get("CHRONOVOX_REQUIRE_ALL") == "1":
        pytest.fail(f"CHRONOVOX_REQUIRE_ALL=1, but {reason}")
    pytest.skip(reason)


def load_script(path: str):
    """The module of a script that lies outside steps/, such as utils/split_scp.py."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real test data beside the project."""
    default = ROOT.parent / "shared" / "data"
    path = Path(os.environ.get("CHRONOVOX_TEST_DATA", default))
    if not path.is_dir():
        absent(f"no test data at {path} (set CHRONOVOX_TEST_DATA)")
    return path


@pytest.fixture(scope="session")
def finished_recipe(tmp_path_factory) -> Path:
    """The talkers recipe in its small size, run once from nothing to the table."""
    from recipe_tools import SMALL, TINY_MODEL, copy_project, run

    folder = copy_project(tmp_path_factory.mktemp("project"))
    done = run(folder, "./run.sh", *SMALL, *TINY_MODEL)
    (folder / "exp" / "screen.log").write_text(done.stdout)
    return folder
