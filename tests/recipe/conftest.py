"""The talkers recipe, run once for all tests of this folder."""

from pathlib import Path

import pytest
from recipe_tools import SMALL, TINY_MODEL, copy_project, run


@pytest.fixture(scope="session")
def finished_recipe(tmp_path_factory) -> Path:
    """The talkers recipe in its small size, run once from nothing to the table."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    done = run(folder, "./run.sh", *SMALL, *TINY_MODEL)
    (folder / "exp" / "screen.log").write_text(done.stdout)
    return folder
