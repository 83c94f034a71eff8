"""Faults of machines: full and read-only disks, clocks that disagree, Ctrl-C.

On real processes and a real file system that is full: a small tmpfs, or, where
mounting is not permitted, files of limited size. Killed jobs are in test_jobs.py and
test_slurm.py, killed stages in test_talkers_recipe.py and full/kills.py, killed
trainings and workers in test_training.py.
"""

import contextlib
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, absent
from data_dirs import make_noise_dir
from recipe_tools import SMALL, TINY_MODEL, digests, environment, run
from training_data import FEATURES, make_dir, write_settings

from chronovox import config
from chronovox.datadir import write_table
from chronovox.scoring import write_scores
from chronovox.trials import read_trials

ENVIRONMENT = {**environment(), "PYTHONPATH": str(ROOT / "steps"), "MPLBACKEND": "agg"}
MANIFESTS = """
import sys
from chronovox import cli, manifests
def main():
    entries = [
        manifests.utterance(f"a-{n}{'x' * 200}", "/x.wav", 9, 9, "a", "1")
        for n in range(2000)
    ]
    manifests.write_data_dir(sys.argv[1], entries)
    return 0
cli.run(main)
"""
BIG_JOB = "head -c 100000 /dev/zero | tr '\\0' 'x'"


class Disk:
    """A folder that can be full: a tmpfs, or files that may not grow."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            self.mounted, reason = done.returncode == 0, done.stderr.strip()
        except OSError as error:
            self.mounted, reason = False, str(error)
        if not self.mounted:
            print(f"no tmpfs ({reason}): the size of a file is limited instead")

    def run(self, words, room: int | None = None) -> subprocess.CompletedProcess:
        """Run with `room` bytes of space left; None for enough."""
        limit, ballast = None, self.folder / ".ballast"
        if room is not None and self.mounted:
            stat = os.statvfs(self.folder)
            ballast.write_bytes(bytes(stat.f_bavail * stat.f_bsize - room))
        elif room is not None:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            limit = lambda: resource.setrlimit(  # noqa: E731
                resource.RLIMIT_FSIZE, (room, hard)
            )
        try:
            return subprocess.run(
                list(map(str, words)), env=ENVIRONMENT, cwd=ROOT, check=False,
                capture_output=True, text=True, preexec_fn=limit, timeout=120,
            )  # fmt: skip
        finally:
            ballast.unlink(missing_ok=True)

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", self.folder], check=True)


@pytest.fixture
def disk(tmp_path):
    one = Disk(tmp_path / "disk")
    yield one
    one.close()


def table_job(source: Path, out: Path):
    write_table(source / "big", {f"k{n}": "x" * 50 for n in range(2000)})
    return ["utils/split_scp.py", source / "big", out / "part.1"], ["part.1"]


def ark_job(source: Path, out: Path):
    data = make_noise_dir(source / "data", {"a-1": 16000, "a-2": 16000})
    settings = ROOT / "conf/fbank.yaml"
    words = ["steps/set_up_features.py", "fbank", settings, data]
    subprocess.run(words, env=ENVIRONMENT, cwd=ROOT, check=True, capture_output=True)
    words = ["steps/compute_features.py", data, data / "wav.scp", source, "1"]
    return [*words, out / "f.ark", out / "f.scp"], ["f.ark", "f.scp"]


def manifest_job(source: Path, out: Path):
    (source / "write.py").write_text(MANIFESTS)
    return ["python3", source / "write.py", out], ["utt2spk"]


def results_job(source: Path, out: Path):
    utts = [f"s{n // 2}-{n}" for n in range(200)]
    write_table(source / "utt2spk", {utt: utt.split("-")[0] for utt in utts})
    pairs = [f"{utts[n]} {utts[n + 1]} target" for n in range(0, 200, 2)]
    pairs += [f"{utts[n]} {utts[n + 2]} nontarget" for n in range(0, 198, 2)]
    (source / "list").write_text("\n".join(pairs) + "\n")
    trials = read_trials(source / "list")
    info = {"model": "m", "seed": 1, "backend": "b", "config": "c", "marks": []}
    info |= {"embeddings_sha256": "0", "more": "x" * 20000}
    scores = np.linspace(0, 1, len(trials))
    write_scores(source / "scores", trials, scores.astype(np.float32), info)
    words = ["steps/compute_metrics.py", source, source / "list", source / "scores"]
    return [*words, out], ["results.json", "results.tsv"]


def recordings_job(source: Path, out: Path):
    words = ["local/plan_talkers.py", "--size", "small", "conf/talkers.yaml"]
    words += [source / "data", source / "truth"]
    subprocess.run(words, env=ENVIRONMENT, cwd=ROOT, check=True, capture_output=True)
    names = (source / "data/local/talkers").read_text().splitlines()
    (source / "one").write_text(f"{names[0]}\n")
    words = ["local/speak_talkers.py", source / "data/local/talkers.yaml"]
    return [*words, source / "one", out, source / "made"], [names[0]]


def training_job(source: Path, out: Path):
    train = make_dir(source / "train", [f"t{n}" for n in range(4)])
    dev = make_dir(source / "dev", [f"d{n}" for n in range(3)], seed=1)
    settings = write_settings(
        source / "x.yaml", num_steps=20, checkpoint_every=5
    )
    words = ["steps/train_embedding.py", "--device", "cpu", settings, train, dev]
    return [*words, out], ["final.pt"]


def log_job(source: Path, out: Path):
    return ["utils/run.py", out / "x.log", "bash", "-c", BIG_JOB], []


@pytest.mark.parametrize(
    ("job", "room"),
    [(table_job, 2**14), (ark_job, 2**15), (manifest_job, 2**13), (results_job, 2**13),
     (recordings_job, 2**15), (training_job, 2**16), (log_job, 2**13)],
    ids=lambda value: getattr(value, "__name__", None),
)  # fmt: skip
def test_a_full_disk_is_named_and_with_space_again_all_goes_well(
    disk, tmp_path, job, room
):
    (tmp_path / "source").mkdir()
    words, names = job(tmp_path / "source", disk.folder)
    done = disk.run(words, room)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    why = "No space left on device" if disk.mounted else "File too large"
    assert re.search(rf"error: .*{disk.folder}/.*: {why}: make room", done.stderr)
    assert not any((disk.folder / name).is_file() for name in names)
    assert not list(disk.folder.rglob(".*.tmp"))
    done = disk.run(words)
    assert done.returncode == 0, done.stderr
    assert all((disk.folder / name).exists() for name in names)
