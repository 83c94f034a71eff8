"""Faults of machines: full and read-only disks, clocks that disagree, Ctrl-C.

On real processes and a real file system that is full: a small tmpfs, or, where
mounting is not permitted, files of limited size. Killed jobs are in test_jobs.py and
test_slurm.py, killed stages in test_talkers_recipe.py and full/kills.py, killed
trainings and workers in test_training.py.
"""

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from data_dirs import make_noise_dir
from recipe_tools import copy_project, environment, run
from training_data import make_dir, write_settings

from chronovox.datadir import read_table, write_table
from chronovox.kaldi_io import read_matrix
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
            warnings.warn(f"no tmpfs ({reason}): files may not grow", stacklevel=2)

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
            if room is not None:
                ballast.unlink(missing_ok=True)

    @contextlib.contextmanager
    def read_only(self):
        """Nothing can be written inside; yields what Linux says then."""
        if self.mounted:
            remount = ["mount", "-o"]
            subprocess.run([*remount, "remount,ro", self.folder], check=True)
        elif os.geteuid() == 0:
            pytest.skip("root may write everywhere, and cannot mount here")
        else:
            self.folder.chmod(0o555)
        try:
            yield "Read-only file system: it m" if self.mounted else "Permission denied"
        finally:
            if self.mounted:
                subprocess.run([*remount, "remount,rw", self.folder], check=True)
            else:
                self.folder.chmod(0o755)

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
    info = {"model": "m", "seed": 1, "backend": "b", "marks": [], "llr": False}
    info |= {"embeddings_sha256": "0", "config": "c" * 20000}
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
    network = {"type": "xvector", "width": 32, "pool_dim": 32, "embed_dim": 12}
    settings = write_settings(
        source / "x.yaml", num_steps=20, checkpoint_every=5, model=network
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


@pytest.mark.parametrize("job", [table_job, ark_job, training_job, log_job])
def test_a_folder_that_cannot_be_written_is_named(disk, tmp_path, job):
    (tmp_path / "source").mkdir()
    words, names = job(tmp_path / "source", disk.folder)
    before = disk.files()
    with disk.read_only() as reason:
        done = disk.run(words)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert re.search(rf"error: {disk.folder}\S*: {reason}", done.stderr)
    assert disk.files() == before
    done = disk.run(words)
    assert done.returncode == 0, done.stderr
    assert all((disk.folder / name).exists() for name in names)


def test_what_cannot_be_printed_is_an_error():
    code = "from chronovox import cli; cli.run(lambda: print('x' * {}) or 0)"
    for length in (10, 100_000):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-c", code.format(length)], env=ENVIRONMENT,
                stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        assert done.returncode == 1
        assert re.fullmatch(
            r"-c: error: (standard output: )?No space left on device: make room, .*\n",
            done.stderr,
        )


@pytest.fixture
def project(tmp_path) -> Path:
    """A copy of the project, whose stage 0 says in `trace` when it works."""
    folder = copy_project(tmp_path / "project")
    script = folder / "local/prepare_data.sh"
    script.write_text("echo begin >> trace; sleep 1; echo end >> trace; exit 1\n")
    return folder


def start(folder: Path, *words, **options) -> subprocess.Popen:
    return subprocess.Popen(
        words, cwd=folder, env=environment(), text=True, start_new_session=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **options},
    )  # fmt: skip


def test_a_stage_whose_name_cannot_be_printed_is_not_skipped(project):
    with open("/dev/full", "w") as full:
        process = start(project, "./run.sh", stdout=full, stderr=subprocess.PIPE)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "No space left on device" in errors and not (project / "trace").exists()


def test_of_two_runs_in_one_directory_the_second_waits(project):
    both = [start(project, "./run.sh", "--stop-stage", "0") for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]
    waiting = f"another run works in {project}: waiting for it to end"
    assert sorted(waiting in text for text in said) == [False, True]
    assert (project / "trace").read_text() == "begin\nend\n" * 2


def test_features_made_twice_at_once_are_as_made_once(tmp_path):
    lengths = {f"{spk}-{n}": 8000 for spk in "abc" for n in range(4)}
    data, exp = make_noise_dir(tmp_path / "data", lengths), tmp_path / "exp"

    def make(nj: int):
        return start(ROOT, "steps/make_fbank.sh", "--nj", str(nj), data, exp, exp)

    def features() -> dict[str, bytes]:
        table = read_table(data / "feats.scp", None)
        return {utt: read_matrix(place).tobytes() for utt, place in table.items()}

    alone = make(1)
    assert alone.wait(120) == 0, alone.stdout.read()
    expected = features()
    both = [make(1), make(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    waiting = f"another process works in {data}: waiting for it to end"
    assert sum(waiting in text for text in said) <= 1  # after two seconds it is said
    assert features() == expected
    assert not list(tmp_path.rglob(".*.tmp"))


def interrupted(process, seconds: float = 10) -> str:
    """Press Ctrl-C, as a terminal does; what was printed."""
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=seconds)
    assert process.returncode in (130, -signal.SIGINT), said
    assert "Traceback" not in said
    return said


def wait_for(condition, process) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("where", ["import", "main", "end"])
def test_an_interrupt_is_one_line_at_most(tmp_path, where):
    """Wherever Python is: before main(), in it, or behind it."""
    script = tmp_path / "x.py"
    script.write_text(f"""#!/usr/bin/env python3
import atexit, time
def stay(seconds, here):
    if here == "{where}":
        open("here", "w")
        time.sleep(seconds)
stay(1, "import")
from chronovox import cli
def main():
    atexit.register(stay, 20, "end")
    stay(20, "main")
    return 0
if __name__ == "__main__":
    cli.run(main)
""")
    script.chmod(0o755)
    process = start(tmp_path, "bash", "-c", f". {ROOT}/path.sh; exec ./x.py")
    wait_for((tmp_path / "here").exists, process)
    said = "" if where == "end" else "x.py: interrupted\n"
    assert interrupted(process) == said


def test_an_interrupt_ends_run_sh_though_what_runs_comes_to_its_end(project):
    (project / "local/prepare_data.sh").write_text(
        "trap '' INT; touch trace; sleep 1; mkdir -p data\n"
    )
    process = start(project, "./run.sh")
    wait_for((project / "trace").exists, process)
    assert "validate" not in interrupted(process)
    done = run(project, "bash", "-ic", ". ./path.sh; trap -p INT")
    assert "kill" not in done.stdout  # in a user's own shell nothing is changed
