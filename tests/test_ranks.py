"""Training in several processes, which torchrun starts for real (gloo, no GPU)."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_data import make_dir, write_settings

import train_embedding
from chronovox.cli import UserError
from chronovox.jobs import REQUEUE_CODE
from chronovox.training import folder, ranks
from chronovox.training.checkpoint import load_state
from chronovox.training.ranks import Ranks

SCRIPT = Path(train_embedding.__file__)
WORKER = Path(__file__).with_name("rank_worker.py")


@pytest.fixture
def world(tmp_path):
    """Config, training and development directory, and where the model goes."""
    make_dir(tmp_path / "train", [f"t{n}" for n in range(8)])
    make_dir(tmp_path / "dev", [f"d{n}" for n in range(5)], seed=1)
    write_settings(tmp_path / "x.yaml", batch_size=9)
    (tmp_path / "exp").mkdir()
    return tmp_path


def torchrun(folder, num_procs: int, *arguments, nodes: int = 1) -> list[dict]:
    """Run rank_worker.py on `nodes` that share this machine; what each rank left."""
    options = ["--nproc_per_node", str(num_procs)]
    if nodes == 1:
        options = ["--standalone", *options]
    else:
        endpoint = f"localhost:{29600 + os.getpid() % 1000}"
        options += ["--nnodes", str(nodes), "--rdzv_backend", "c10d"]
        options += ["--rdzv_endpoint", endpoint, "--rdzv_id", folder.name]
    words = [sys.executable, "-m", "torch.distributed.run", *options, str(WORKER)]
    words += map(str, arguments)
    started = [subprocess.Popen(words) for _ in range(nodes)]
    assert [process.wait(timeout=120) for process in started] == [0] * nodes
    return [
        torch.load(folder / f"{arguments[0]}.{rank}.pt")
        for rank in range(num_procs * nodes)
    ]


@given(size=st.integers(1, 200), count=st.integers(1, 16), offset=st.integers(0, 10**9))
def test_shares_are_disjoint_and_make_the_batch(size, count, offset):
    batch = list(range(offset, offset + size))
    shares = [Ranks(rank, count).share(batch) for rank in range(count)]
    assert sorted(item for share in shares for item in share) == batch
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_gradients_are_those_of_one_process(world):
    arguments = ["gradient", world / "x.yaml", world / "train", world / "exp"]
    subprocess.run([sys.executable, WORKER, *arguments], check=True, timeout=60)
    alone = torch.load(world / "exp/gradient.0.pt")
    both = torchrun(world / "exp", 2, *arguments)
    assert [len(rank["taken"]) for rank in both] == [5, 4]
    assert sorted(s for rank in both for s in rank["taken"]) == sorted(alone["taken"])
    for rank in both:
        assert rank["tensors"].keys() == alone["tensors"].keys()
        for name, gradient in alone["tensors"].items():
            assert gradient.norm() > 0, name
            difference = rank["tensors"][name] - gradient
            assert difference.norm() <= 1e-5 * gradient.norm(), name


@pytest.mark.parametrize("nodes", [1, 2])
def test_weights_are_the_same_in_all_processes(world, nodes):
    arguments = ["train", world / "x.yaml", world / "train", world / "exp"]
    first, second = torchrun(world / "exp", 2 // nodes, *arguments, nodes=nodes)
    for name, value in first["tensors"].items():
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(value, second["tensors"][name]), name
    assert not set(first["taken"]) & set(second["taken"])
    assert len(first["taken"]) == 5 * 60 and len(second["taken"]) == 4 * 60


def test_a_training_goes_on_with_another_number_of_processes(world):
    arguments = ["train", world / "x.yaml", world / "train", world / "exp"]

    def samples(num_procs: int) -> list[tuple]:
        left = torchrun(world / "exp", num_procs, *arguments)
        return [sample for rank in left for sample in rank["taken"]]

    whole = samples(1)
    for path in (world / "exp/checkpoints").iterdir():
        path.unlink()
    write_settings(world / "x.yaml", batch_size=9, num_steps=30)
    taken = samples(2)
    write_settings(world / "x.yaml", batch_size=9)
    taken += samples(1)
    assert sorted(taken) == sorted(whole)


def start(world, *options, exp="exp") -> subprocess.Popen:
    """train_embedding.py in two processes, whose standard error can be read."""
    return subprocess.Popen(
        [
            sys.executable, SCRIPT, "--num-procs", "2", *options,
            world / "x.yaml", world / "train", world / "dev", world / exp,
        ],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def processes_with(word: str) -> list[int]:
    """Processes, but for this one, with `word` in their command."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode()
        except OSError:
            continue  # it ended just now
        if word in command and int(process.name) != os.getpid():
            found.append(int(process.name))
    return sorted(found)


def wait_for(path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_a_checkpoint(world, number):
    write_settings(world / "x.yaml", num_steps=3000, checkpoint_every=20)
    process = start(world, "--num-workers", "1")
    wait_for(world / "exp/checkpoints/step_20.pt")
    process.send_signal(number)
    assert process.wait(timeout=60) == REQUEUE_CODE, process.stderr.read()
    assert "stopped after step" in (log := process.stderr.read())
    assert "Traceback" not in log
    steps = int(log.split("stopped after step ")[1].split(":")[0])
    state = load_state(world / f"exp/checkpoints/step_{steps}.pt")
    assert state["step"] == steps


def test_no_process_outlives_a_killed_training(world):
    write_settings(world / "x.yaml", num_steps=100000)
    process = start(world)
    wait_for(world / "exp/checkpoints/step_10.pt")
    assert len(processes_with(str(world / "exp"))) == 3
    process.kill()
    end = time.monotonic() + 10
    while processes_with(str(world / "exp")):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_killed_process_ends_the_training_and_is_named(world):
    write_settings(world / "x.yaml", num_steps=100000)
    process = start(world)
    wait_for(world / "exp/checkpoints/step_10.pt")
    workers = [p for p in processes_with(str(world / "exp")) if p != process.pid]
    os.kill(workers[-1], signal.SIGKILL)
    assert process.wait(timeout=90) == 1
    log = process.stderr.read()
    assert "was ended by SIGKILL" in log and "run again to go on" in log
    assert not processes_with(str(world / "exp"))


def test_bad_input_is_said_without_a_traceback(world):
    write_settings(world / "x.yaml", batch_size=3)
    process = start(world)
    assert process.wait(timeout=60) == 1
    log = process.stderr.read()
    assert "batch_size 3 gives 2 processes fewer than 2 samples" in log
    assert "Traceback" not in log


def test_several_nodes_need_srun(world, monkeypatch):
    words = [str(world / name) for name in ("x.yaml", "train", "dev", "exp")]
    for tasks in (None, "3"):
        if tasks:
            monkeypatch.setenv("SLURM_STEP_NUM_TASKS", tasks)
        with pytest.raises(UserError, match="start this by `srun --ntasks 2"):
            train_embedding.main(["--num-nodes", "2", *words])


def test_processes_of_other_settings_are_refused(world, monkeypatch):
    monkeypatch.setattr(ranks.Ranks, "from_first", lambda *_: "of another seed")
    words = [str(world / name) for name in ("x.yaml", "train", "dev", "exp")]
    with pytest.raises(UserError, match="process 0 has other settings or data"):
        train_embedding.main(words)


def test_one_model_is_trained_by_one_run_at_a_time(world):
    with folder.locked(world / "exp"):
        process = start(world)
        assert process.wait(timeout=60) == 1
    log = process.stderr.read()
    assert "another process is training this model" in log
    assert "Traceback" not in log


def test_a_gpu_is_needed_for_each_process(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(ranks.log, "setLevel", lambda level: None)
    with (
        pytest.raises(UserError, match="1 GPUs for 2 processes"),
        ranks.joined(torch.device("cuda")),
    ):
        pass
