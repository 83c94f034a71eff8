"""The recipe that egs/README.md shows, made from its text and run."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from conftest import ROOT

from chronovox.datadir import read_table


@pytest.fixture
def recipe(tmp_path):
    """A clone in small, with the files of egs/README.md in egs/mine."""
    for name in ("run.sh", "path.sh", "cmd.sh", "steps", "utils", "conf"):
        (tmp_path / name).symlink_to(ROOT / name)
    mine = tmp_path / "egs/mine"
    mine.mkdir(parents=True)
    for name in ("path.sh", "cmd.sh", "steps", "utils"):
        shutil.copy(ROOT / "egs/own_corpus" / name, mine, follow_symlinks=False)
    shutil.copytree(ROOT / "egs/own_corpus/conf", mine / "conf")
    text = (ROOT / "egs/README.md").read_text()
    scripts = dict(re.findall(r"```(bash|python)\n(.*?)```", text, re.DOTALL))
    for name, kind in (("run.sh", "bash"), ("local/prepare_data.sh", "python")):
        (mine / name).parent.mkdir(exist_ok=True)
        (mine / name).write_text(scripts[kind])
        (mine / name).chmod(0o755)
    return mine


def test_the_recipe_in_the_readme_runs(recipe, tmp_path):
    rng = np.random.default_rng(1)
    for spk in "abcdefgh":
        for name in ("1-x", "1-y", "2-x"):
            path = tmp_path / "corpus" / spk / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            level = np.repeat([0.001, 0.1, 0.001], 8000)
            soundfile.write(path, level * rng.normal(size=24000).clip(-4, 4), 16000)
    done = subprocess.run(
        ["./run.sh", "--stop-stage", "3", "--nj", "1"], cwd=recipe,
        env={
            **os.environ, "CORPUS": str(tmp_path / "corpus"),
            "CHRONOVOX_PYTHON": sys.executable,
        },
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    for name, speakers in (("test", "ae"), ("dev", "bf"), ("train", "cdgh")):
        data = recipe / "data" / name
        assert sorted(read_table(data / "spk2utt", None)) == list(speakers)
        assert len(read_table(data / "feats.scp", None)) == 3 * len(speakers)
    assert (recipe / "data/test/trials/random").stat().st_size > 0
