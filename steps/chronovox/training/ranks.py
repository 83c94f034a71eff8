"""The processes that train one model together; torchrun starts and joins them.

Each takes its share of every batch, and the mean of their gradients is that of
the whole batch. The first process alone writes files and the log.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn

from chronovox.cli import UserError, die_with_parent, log
from chronovox.jobs import REQUEUE_CODE

# As long as the first may copy, evaluate or write; torchrun sees to dead processes.
WAIT = timedelta(days=1)
MEET_S = 600  # for the first node to answer the others
SAVE_S = 60  # to save a checkpoint after a signal
FIRST_PORT, NUM_PORTS = 20000, 10000  # below those that systems give away


@dataclass(frozen=True)
class Ranks:
    """Which of `count` processes this one is: `rank` is from 0 on, `here` likewise
    among those of this machine.
    """

    rank: int = 0
    count: int = 1
    here: int = 0

    @property
    def first(self) -> bool:
        return self.rank == 0

    @property
    def first_here(self) -> bool:
        return self.here == 0

    def check_batch_size(self, batch_size: int) -> None:
        """Raise UserError if a process would get fewer than BatchNorm needs."""
        if batch_size < 2 * self.count:
            raise UserError(
                f"batch_size {batch_size} gives {self.count} processes fewer than 2 "
                "samples each: start fewer processes"
            )

    def share(self, batch: list) -> list:
        """This process's part of a batch: every `count`-th item."""
        return batch[self.rank :: self.count]

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, whose gradients become the mean over all processes."""
        if self.count == 1:
            return module
        return nn.parallel.DistributedDataParallel(module)

    def total(self, *values: float) -> list[float]:
        """The sum of each value over all processes."""
        if self.count == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(sums)
        return sums.tolist()

    def from_first(self, make: Callable):
        """What `make()` returns in the first process, where alone it is called."""
        if self.count == 1:
            return make()
        values = [make() if self.first else None]
        distributed.broadcast_object_list(values)
        return values[0]

    def wait(self) -> None:
        """Return when all processes have come here."""
        self.total(0.0)


ALONE = Ranks()


@contextlib.contextmanager
def joined(device: torch.device):
    """Find the other processes, if torchrun started this one: (Ranks, its device).

    Raises UserError where a machine has fewer GPUs than processes.
    """
    if not started_by_torchrun():
        yield ALONE, device
        return
    die_with_parent()
    rank, count, local_rank = (
        int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    )
    if rank > 0:
        log.setLevel(logging.WARNING)
    backend = "gloo"
    if device.type == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise UserError(
                f"{torch.cuda.device_count()} GPUs for {local_rank + 1} processes or "
                "more: start one process a GPU"
            )
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    distributed.init_process_group(backend, timeout=WAIT)
    try:
        yield Ranks(rank, count, local_rank), device
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and "gloo" not in str(error):
            raise
        raise UserError(
            f"process {rank} of {count} lost the others: their messages say why"
        ) from None
    finally:
        distributed.destroy_process_group()


def started_by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def meeting(num_nodes: int) -> dict:
    """Where the processes of all nodes find each other, in torchrun's words.

    Raises UserError where srun has not started this program on so many nodes.
    """
    if num_nodes == 1:
        return {"run_id": str(os.getpid()), "rdzv_endpoint": "localhost:0"}
    if os.environ.get("SLURM_STEP_NUM_TASKS") != str(num_nodes):
        raise UserError(
            f"--num-nodes {num_nodes}: start this by `srun --ntasks {num_nodes} "
            "--ntasks-per-node 1`, in a job of that many nodes"
        )
    words = ["scontrol", "show", "hostnames", os.environ["SLURM_STEP_NODELIST"]]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{' '.join(words)}: {done.stderr.strip()}")
    job, step = int(os.environ["SLURM_JOB_ID"]), int(os.environ["SLURM_STEP_ID"])
    port = FIRST_PORT + (10 * job + step) % NUM_PORTS
    return {
        "run_id": f"{job}.{step}",
        "rdzv_endpoint": f"{done.stdout.split()[0]}:{port}",
        "rdzv_configs": {
            "is_host": os.environ["SLURM_PROCID"] == "0", "read_timeout": MEET_S,
        },
    }  # fmt: skip


def ask_to_be_run_again(*_) -> None:
    raise SystemExit(REQUEUE_CODE)


def launch(num_nodes: int, num_procs: int, script: str, arguments: list[str]) -> int:
    """Run a script in `num_procs` processes, as torchrun does, on each node.

    They share the threads that OMP_NUM_THREADS gives. Returns the exit code. SIGTERM
    and SIGUSR1 go to the processes as well, which have a minute to save their state;
    the code then is REQUEUE_CODE. Raises UserError where the nodes do not meet.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    where = meeting(num_nodes)
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    threads = int(os.environ.get("OMP_NUM_THREADS", 1))
    os.environ["OMP_NUM_THREADS"] = str(max(1, threads // num_procs))
    for kind in (signal.SIGTERM, signal.SIGUSR1):  # until the processes run
        signal.signal(kind, ask_to_be_run_again)
    config = LaunchConfig(
        min_nodes=num_nodes, max_nodes=num_nodes, nproc_per_node=num_procs,
        rdzv_backend="c10d", **where, max_restarts=0,
        signals_to_handle="SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1",
        shutdown_timeout=SAVE_S,
    )  # fmt: skip
    if num_nodes > 1:
        log.info("waiting for %d nodes at %s", num_nodes, config.rdzv_endpoint)
    try:
        elastic_launch(config, sys.executable)("-u", script, *arguments)
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        if REQUEUE_CODE in codes.values():
            return REQUEUE_CODE
        for rank, code in codes.items():
            if code < 0 and code != -signal.SIGTERM:  # so torchrun ends the others
                raise UserError(killed(rank, -code)) from None
        return max(1, *codes.values())
    except RendezvousError as error:
        raise UserError(
            f"{config.rdzv_endpoint}: the {num_nodes} nodes did not meet: {error}: see "
            "whether all of them started, and reach that port"
        ) from None
    except SignalException as stopped:
        if stopped.sigval in (signal.SIGTERM, signal.SIGUSR1):
            return REQUEUE_CODE
        return 128 + stopped.sigval
    return 0


def killed(rank: int, number: int) -> str:
    return (
        f"process {rank} of the training was ended by {signal.Signals(number).name}, "
        "perhaps for want of memory: run again to go on from the last checkpoint"
    )
