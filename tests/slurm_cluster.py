"""A Slurm cluster of one node on loopback, for tests; it ends with the test."""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from chronovox.cli import die_with_parent

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
CPUS = 6  # more than there may be, so that six tasks always run at once

CONF = """
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0
SlurmdParameters=config_overrides
ReturnToService=2
OverTimeLimit=0
KillWait=10
MaxArraySize=101
NodeName=localhost NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=8000 State=UNKNOWN
PartitionName=all Nodes=localhost Default=YES MaxTime=UNLIMITED DefaultTime=10 State=UP
"""


def find_program(name: str) -> str | None:
    """Daemons are in /usr/sbin, which is not in everyone's PATH."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if find_program(name) is None]


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for(condition, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:g} s still not: {what}")
        time.sleep(0.05)


class Cluster:
    """munged, slurmctld and slurmd in a temporary folder.

    environment: what a program needs to speak with it.
    """

    def __init__(self):
        # Not pytest's folder: the name of a socket must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm."))
        self.environment = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}
        self._daemons: list[subprocess.Popen] = []

    def start(self) -> None:
        self.folder.chmod(0o755)
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(128))
        conf = CONF.format(
            user=getpass.getuser(), ports=free_ports(2), folder=self.folder, cpus=CPUS
        )
        (self.folder / "slurm.conf").write_text(conf)
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        at = f"{self.folder}/munge"
        self._daemon(
            "munged", "--foreground", "--force", f"--socket={at}.socket",
            f"--key-file={key}", f"--pid-file={at}.pid", f"--seed-file={at}.seed",
            f"--log-file={at}.log",
        )  # fmt: skip
        wait_for(Path(f"{at}.socket").exists, 20, "munged listens")
        self._daemon("slurmctld", "-D")
        self._daemon("slurmd", "-D", "-N", "localhost")
        wait_for(lambda: self.ask("sinfo", "-h", "-o", "%T") == "idle", 60, "idle")

    def _daemon(self, name: str, *words: str) -> None:
        with open(self.folder / f"{name}.out", "w") as stream:
            self._daemons.append(
                subprocess.Popen(
                    [find_program(name), *words],
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )  # fmt: skip
            )

    def ask(self, *words: str) -> str:
        """What a client program such as squeue prints."""
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    def stop(self) -> None:
        """End all jobs, then the daemons, newest first."""
        if len(self._daemons) == 3:
            self.ask("scancel", "--user", getpass.getuser())
            with contextlib.suppress(TimeoutError):
                wait_for(lambda: not self.ask("squeue", "-h"), 20, "no job left")
        for daemon in reversed(self._daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(self.folder)

    def processes(self) -> list[str]:
        """What runs for this cluster: daemons, and the jobs and what they left."""
        mark = f"SLURM_CONF={self.folder}/".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (path / "environ").read_bytes():
                    found.append((path / "cmdline").read_bytes().decode())
        return found
