"""utils/slurm.py: the contract of utils/run.py, by jobs of a real Slurm.

The cluster is one node on loopback. Slurm counts time limits in minutes, so the
jobs that run into one are started first, and looked at last.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import ROOT, absent
from data_dirs import make_noise_dir
from slurm_cluster import Cluster, missing_programs, wait_for
from training_data import FEATURES, make_dir, write_settings

import train_embedding
from chronovox import config, models
from chronovox.training import settings as training_settings
from chronovox.training.checkpoint import save_state

SLURM = str(ROOT / "utils/slurm.py")
# Chains 400 hashes, slowly at first. Asked to stop, it saves how far it is.
COUNTER = """
import hashlib, json, os, signal, sys, time
asked = []
signal.signal(signal.SIGUSR1, lambda *_: asked.append(1))
parent = os.getpid()
if not os.fork():  # inherits the handler, as a worker of a DataLoader does
    while os.getppid() == parent:
        time.sleep(0.1)
        if asked:
            open("worker", "w")
    os._exit(0)
begin, value = 0, ""
if os.path.exists("state"):
    begin, value = json.load(open("state"))
print("begin at", begin, flush=True)
for number in range(begin, 400):
    if asked:
        json.dump((number, value), open("state", "w"))
        sys.exit(85)
    value = hashlib.sha256(f"{value} {number}".encode()).hexdigest()
    time.sleep(0.01 if begin else 0.5)
open("result", "w").write(value)
"""

# A training that does not end within the time limit, but for its second attempt.
TRAIN = """
import os, sys, time
import train_embedding
from chronovox import cli
from chronovox.training import schedule
learning_rate = schedule.learning_rate
def slowly(*arguments):
    time.sleep(0.0 if os.path.exists(sys.argv[-1] + ".tried") else 0.5)
    return learning_rate(*arguments)
schedule.learning_rate = slowly
train_embedding.__file__ = __file__
cli.run(lambda: train_embedding.main(sys.argv[1:]))
"""
START = """
import os, sys
if os.path.isdir("{exp}"):
    open("{exp}.tried", "w")
words = "{srun} " + sys.executable + " train.py --device cpu --num-nodes {nodes}"
words = words.split() + ["x.yaml", "train", "dev", "{exp}"]
os.execvp(words[0], words)
"""
SRUN = "srun --ntasks 2 --overcommit"


@pytest.fixture(scope="module")
def cluster():
    missing = missing_programs()
    if missing:
        absent(f"there is no Slurm: no {', '.join(missing)}")
    one = Cluster()
    try:
        one.start()
        yield one
    finally:
        one.stop()
    wait_for(lambda: not one.processes(), 10, "no process left over")


def start(cluster, folder, *words, **environment) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, SLURM, *map(str, words)], cwd=folder,
        env={**cluster.environment, "PYTHONPATH": f"{ROOT}/steps", **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def limited(cluster, tmp_path_factory):
    """Jobs with a time limit: one counts, one sleeps too long, two train, the last of
    them as on two nodes.
    """
    folder = tmp_path_factory.mktemp("limited")
    (folder / "1").write_text(COUNTER)
    (folder / "2").write_text("import time; time.sleep(300)")
    (folder / "train.py").write_text(TRAIN)
    (folder / "3").write_text(START.format(exp="exp", srun="", nodes=1))
    (folder / "4").write_text(START.format(exp="exp_srun", srun=SRUN, nodes=2))
    make_dir(folder / "train", [f"t{n}" for n in range(6)])
    make_dir(folder / "dev", [f"d{n}" for n in range(3)], seed=1)
    write_settings(folder / "x.yaml", num_steps=150, checkpoint_every=200)
    conf = (ROOT / "conf/slurm.conf").read_text()
    assert "@90" in conf
    (folder / "slurm.conf").write_text(conf.replace("@90", "@5"))
    process = start(
        cluster, folder, "--config", "slurm.conf", "--time", "1", "JOB=1:4",
        "limited.JOB.log", sys.executable, "JOB", "|", "cat",
    )  # fmt: skip
    yield process, folder
    if process.poll() is None:
        process.terminate()
    process.communicate(timeout=60)


@pytest.fixture
def run(cluster, tmp_path):
    """Run utils/slurm.py in tmp_path, check its exit code; returns its stderr."""

    def call(*words, code=0, folder=tmp_path, **environment):
        process = start(cluster, folder, *words, **environment)
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == code, stderr
        return stderr

    yield call
    assert not list(tmp_path.rglob(".*.slurm"))


def job_ids(cluster, name: str) -> list[str]:
    """The arrays in the queue whose log begins with `name`."""
    lines = cluster.ask("squeue", "-h", "-o", "%F %j").splitlines()
    return sorted({x.split()[0] for x in lines if x.split()[1].startswith(name)})


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def is_alive(pid: int) -> bool:
    status = text_of(Path(f"/proc/{pid}/status"))
    return "State:" in status and not re.search(r"State:\s+[ZX]", status)


def test_the_log_has_the_form_of_kaldi(run, tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log/x%a.2.log").write_text("of an earlier run\n")
    assert run("JOB=2:2", "log/x%a.JOB.log", "echo", "it's JOB") == ""
    text = (tmp_path / "log/x%a.2.log").read_text()
    date = r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \S+ \d{4}"
    assert re.fullmatch(
        rf"""# echo 'it'"'"'s 2'
# Started at {date}
#
it's 2
# Accounting: time=\d+ threads=1
# Ended \(code 0\) at {date}, elapsed time \d+ seconds
""",
        text,
    ), text


def test_a_job_has_folder_environment_threads_and_python(run, tmp_path):
    folder = tmp_path / "JOB's 100%"
    folder.mkdir()
    script = 'pwd; echo "$MINE $OMP_NUM_THREADS $MKL_NUM_THREADS $SLURM_CPUS_PER_TASK"'
    run(
        "--num-threads", "2", "JOB=1:1", "y/JOB/x JOB.log", "bash", "-c",
        f"{script}; cat; ps -o args= -p $PPID; echo e >&2",
        folder=folder, MINE="a 'b'", SLURM_RESTART_COUNT="3",
    )  # fmt: skip
    lines = (folder / "y/1/x 1.log").read_text().splitlines()
    assert lines[2:5] == ["#", str(folder), "a 'b' 2 2 2"]
    assert lines[5].startswith(f"{sys.executable} {ROOT}/utils/slurm_task.py")
    assert lines[6] == "e"


def test_pipes_and_redirections_work_and_fail_as_a_whole(run, tmp_path):
    run("x.log", "printf", r"b\na\n", "|", "sort", ">", "out put")
    assert (tmp_path / "out put").read_text() == "a\nb\n"
    run("x.log", "false", "|", "cat", code=1)


def test_a_failed_job_is_named_and_pick_failed_runs_it_alone(run, tmp_path):
    script = "for i in $(seq 40); do echo line $i; done; "
    script += "[ -e mended ] || exit $((JOB % 2 * 7))"
    words = ("JOB=1:4", "log/x.JOB.log", "bash", "-c", script)
    stderr = run(*words, code=1)
    assert "job 1 failed with code 7, its log is log/x.1.log" in stderr
    assert "job 3 failed with code 7" in stderr
    assert "job 2" not in stderr
    assert "2 / 4 failed, log is in log/x.*.log" in stderr
    assert "  line 40\n" in stderr and "line 20\n" not in stderr
    logs = [tmp_path / f"log/x.{number}.log" for number in (1, 2, 3, 4)]
    before = [log.stat().st_mtime_ns for log in logs]
    (tmp_path / "mended").touch()
    assert "2 of 4 jobs are failed and are run" in run("--pick", "failed", *words)
    changed = [log.stat().st_mtime_ns for log in logs]
    assert [a != b for a, b in zip(before, changed, strict=True)] == [1, 0, 1, 0]
    assert "0 of 4 jobs are failed" in run("--pick", "failed", *words)
    assert all("# Ended (code 0)" in log.read_text() for log in logs)


def test_codes_of_signals_and_of_what_cannot_be_started(run, tmp_path):
    (tmp_path / "p2").write_text("no program\n")
    (tmp_path / "p3").write_text("#!/bin/sh\nkill -9 $$\n")
    (tmp_path / "p4").write_text("#!/bin/sh\nexit 85\n")
    for name in ("p3", "p4"):
        (tmp_path / name).chmod(0o755)
    stderr = run("JOB=1:4", "x.JOB.log", "./pJOB", code=1)
    codes = {1: 127, 2: 126, 3: 137, 4: 85}  # 85 at once is no wish to be run again
    for number, code in codes.items():
        assert f"job {number} failed with code {code}" in stderr
        log = (tmp_path / f"x.{number}.log").read_text()
        assert f"# Ended (code {code})" in log and log.count("# Started") == 1
    assert "./p1: No such file" in (tmp_path / "x.1.log").read_text()
    assert "./p2: Permission denied" in (tmp_path / "x.2.log").read_text()


def test_no_more_jobs_at_once_than_allowed(run, tmp_path):
    script = "mkdir run.JOB; ls -d run.* | wc -l; sleep 0.5; rmdir run.JOB"
    run("--max-jobs-run", "1", "JOB=1:3", "x.JOB.log", "bash", "-c", script)
    logs = [(tmp_path / f"x.{n}.log").read_text().splitlines() for n in (1, 2, 3)]
    assert [log[3] for log in logs] == ["1", "1", "1"]
    # Without it these two wait for each other.
    script = "touch here.JOB; until [ -e here.1 -a -e here.2 ]; do sleep 0.05; done"
    run("JOB=1:2", "x.JOB.log", "timeout", "20", "bash", "-c", script)


def test_what_sbatch_refuses_is_said_in_its_words(run, cluster, tmp_path):
    stderr = run("--partition", "nowhere", "x.log", "true", code=1)
    assert "--partition=nowhere failed: " in stderr
    assert "Invalid partition name specified" in stderr
    stderr = run("JOB=1:200", "x.JOB.log", "true", code=1)
    assert "Invalid job array specification" in stderr and "MaxArraySize" in stderr
    assert not list(tmp_path.glob("x.*"))


def test_a_controller_that_is_down_is_named_and_nothing_is_lost(run, cluster, tmp_path):
    conf = Path(cluster.environment["SLURM_CONF"]).read_text()
    conf = re.sub(r"(?m)^SlurmctldPort=.*", "SlurmctldPort=1\nMessageTimeout=2", conf)
    (tmp_path / "down.conf").write_text(conf)
    down = tmp_path / "down.conf"
    stderr = run("x.log", "true", code=1, SLURM_CONF=str(down))
    assert "Unable to contact slurm controller" in stderr
    assert "cancelling what an earlier run left: x." in run("x.log", "true")


# A job whose shell has a child that lives on by itself, as `python3 x | gzip` has.
LASTING = "echo $$ > pid.JOB; echo $PPID > up.JOB; sleep 300 & echo $! > child.JOB; "
LASTING += "{ [ -e quick ] || wait $!; } && echo JOB > result.JOB"


def start_lasting(cluster, folder, *options) -> tuple[subprocess.Popen, list[int]]:
    """Start slurm.py on two jobs that last; returns it and their processes."""
    process = start(
        cluster, folder, *options, "JOB=1:2", "last.JOB.log", "bash", "-c", LASTING
    )
    files = [folder / f"{name}.{n}" for n in (1, 2) for name in ("pid", "child", "up")]
    wait_for(lambda: all(map(text_of, files)), 30, "both jobs run")
    return process, [int(text_of(file)) for file in files]


@pytest.mark.parametrize(
    ("kind", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_a_signal_cancels_the_jobs_and_is_the_exit_code(cluster, tmp_path, kind, code):
    process, pids = start_lasting(cluster, tmp_path)
    process.send_signal(kind)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert f"{kind.name}: cancelling the jobs" in stderr
    assert not job_ids(cluster, "last.") and not any(map(is_alive, pids))
    assert "# Ended (code 143)" in (tmp_path / "last.1.log").read_text()
    assert not list(tmp_path.glob(".*"))


def test_killed_with_9_it_leaves_no_job(cluster, tmp_path):
    process, pids = start_lasting(cluster, tmp_path)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    wait_for(lambda: not job_ids(cluster, "last."), 30, "no job in the queue")
    wait_for(lambda: not any(map(is_alive, pids)), 10, "no process left")


def test_what_a_machine_that_went_down_left_is_gone_before_a_rerun(cluster, tmp_path):
    process, pids = start_lasting(cluster, tmp_path)
    task = Path(f"/proc/{process.pid}/task/{process.pid}")
    for pid in (task / "children").read_text().split():  # the guard, maybe squeue
        os.kill(int(pid), signal.SIGKILL)
    process.kill()
    process.communicate(timeout=60)
    assert job_ids(cluster, "last.") and all(map(is_alive, pids))
    (tmp_path / "quick").touch()
    again = start(
        cluster, tmp_path, "JOB=1:1", "last.JOB.log", "bash", "-c",
        # One that ended and was not waited for yet does nothing more.
        f"ps -o stat= -p {','.join(map(str, pids))} | grep -v ^Z; {LASTING}",
    )  # fmt: skip
    _, stderr = again.communicate(timeout=60)
    assert again.returncode == 0 and "cancelling what an earlier run left" in stderr
    lines = (tmp_path / "last.1.log").read_text().splitlines()
    assert lines[2] == "#" and lines[3].startswith("# Accounting")
    assert [text_of(tmp_path / f"result.{n}") for n in (1, 2)] == ["1\n", ""]


def test_tasks_that_leave_no_status_have_failed(cluster, tmp_path):
    """The runner of the first is killed, the second is cancelled, the third too."""
    process = start(
        cluster, tmp_path, "--max-jobs-run", "2", "JOB=1:3", "last.JOB.log",
        "bash", "-c", LASTING,
    )  # fmt: skip
    files = [tmp_path / name for name in ("up.1", "up.2")]
    wait_for(lambda: all(map(text_of, files)), 30, "two jobs run")
    (job,) = job_ids(cluster, "last.")
    cluster.ask("scancel", f"{job}_3", f"{job}_2")
    os.kill(int(text_of(tmp_path / "up.1")), signal.SIGKILL)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1 and "3 / 3 failed" in stderr
    for number, code, reason in (
        (1, 137, f"# Slurm: task {job}_1 ended without a status: FAILED"),
        (2, 143, "CANCELLED AT"),
        (3, 1, f"# Slurm: task {job}_3 ended without a status: CANCELLED"),
    ):
        log = (tmp_path / f"last.{number}.log").read_text()
        assert f"job {number} failed with code {code}" in stderr
        assert f"# Ended (code {code})" in log and reason in log
    assert not is_alive(int(text_of(tmp_path / "pid.1")))


def test_what_is_cancelled_is_not_put_back(cluster, tmp_path):
    script = "trap 'exit 85' TERM; touch here; for i in $(seq 300); do sleep 0.2; done"
    process = start(cluster, tmp_path, "last.log", "bash", "-c", f"sleep 1; {script}")
    wait_for((tmp_path / "here").exists, 30, "the job runs")
    cluster.ask("scancel", *job_ids(cluster, "last."))
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1 and "job 1 failed with code 85" in stderr
    assert "requeue" not in (tmp_path / "last.log").read_text()


def shell(cluster, *words) -> None:
    done = subprocess.run(
        list(map(str, words)), cwd=ROOT, text=True, check=False,
        env={**cluster.environment, "CHRONOVOX_PYTHON": sys.executable},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_features_are_those_of_run_py(cluster, tmp_path):
    lengths = {"a-1": 16000, "a-2": 8000, "b-1": 20000, "b-2": 12345}
    data, made = make_noise_dir(tmp_path / "data", lengths), []
    for cmd in ("utils/run.py", "utils/slurm.py --mem 1G"):
        shutil.rmtree(tmp_path / "fbank", ignore_errors=True)
        words = ("--nj", 2, "--cmd", cmd, data, tmp_path / "log", tmp_path / "fbank")
        shell(cluster, "steps/make_fbank.sh", *words)
        made.append(contents(tmp_path / "fbank") | contents(data))
    assert len([name for name in made[0] if name.endswith(".ark")]) == 2
    assert made[0] == made[1]
    assert "JobName=make_fbank_data" in cluster.ask("scontrol", "show", "jobs")


def test_embeddings_are_those_of_run_py(cluster, tmp_path):
    torch.manual_seed(0)
    exp, made = tmp_path / "exp", []
    exp.mkdir()
    write_settings(exp / "config.yaml", frontend={"cmn": "utterance", "vad": True})
    config.save(FEATURES, exp / "features.yaml")
    network = models.build(
        training_settings.load(exp / "config.yaml").model, FEATURES.dim
    )
    save_state(network.state_dict(), exp / "final.pt")
    data = make_dir(tmp_path / "data", ["a", "b"], 2, lengths=(20, 200))
    for cmd in ("utils/run.py", "utils/slurm.py"):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        words = ("--nj", 2, "--cmd", cmd, exp, data, tmp_path / "out")
        shell(cluster, "steps/extract_embeddings.sh", *words)
        made.append(contents(tmp_path / "out"))
    assert len(made[0]["xvector.scp"].splitlines()) == 4
    assert made[0] == made[1]
    assert "JobName=extract.JOB" in cluster.ask("scontrol", "show", "jobs")


def test_at_the_time_limit_a_job_that_saves_goes_on_and_another_fails(cluster, limited):
    process, folder = limited
    logs = [folder / f"limited.{number}.log" for number in (1, 2, 3, 4)]
    saving = logs[:1] + logs[2:]
    for log in saving:
        wait_for(lambda log=log: "# Ended (code 85)" in text_of(log), 90, "it saved")
    # Slurm holds back what is put back for two minutes, since a job cannot be
    # launched anew before the nodes have forgotten it: 15 s are enough for one node.
    last = max(log.stat().st_mtime for log in saving)
    wait_for(lambda: time.time() - last > 15, 30, "15 s later")
    for job in job_ids(cluster, "limited."):
        for number in (1, 3, 4):
            cluster.ask("scontrol", "update", f"JobId={job}_{number}", "StartTime=now")
    wait_for(lambda: process.poll() is not None, 120, "the run has ended")
    stderr = process.communicate()[1]
    assert process.returncode == 1 and "1 / 4 failed" in stderr
    assert "job 2 failed with code 143" in stderr

    value = ""
    for number in range(400):
        value = hashlib.sha256(f"{value} {number}".encode()).hexdigest()
    assert (folder / "result").read_text() == value
    first, again, second = logs[0].read_text().partition("# Run again: attempt 2\n")
    assert again and "begin at 0\n" in first and "# Ended (code 85)" in first
    assert "begin at 0\n" not in second and "# Ended (code 0)" in second
    assert not (folder / "worker").exists()
    # The warning has not ended the job that does not catch it.
    assert "DUE TO TIME LIMIT" in logs[1].read_text()

    # The trainings: saved after some step, gone on with, and no other weight.
    torch.set_num_threads(1)
    for log, exp, num_procs in ((logs[2], "exp", 1), (logs[3], "exp_srun", 2)):
        first, again, second = log.read_text().partition("# Run again: attempt 2\n")
        step = re.search(r"stopped after step (\d+): run again to go on", first)
        assert again and f"step_{step[1]}.pt" in second
        assert (
            f'"num_procs": {num_procs}' in (folder / exp / "runinfo.json").read_text()
        )
        words = ["--device", "cpu", "--num-procs", str(num_procs)]
        words += [str(folder / name) for name in ("x.yaml", "train", "dev", "quiet")]
        assert train_embedding.main(words) == 0
        final = (folder / exp / "final.pt").read_bytes()
        assert final == (folder / "quiet/final.pt").read_bytes()
        shutil.rmtree(folder / "quiet")
