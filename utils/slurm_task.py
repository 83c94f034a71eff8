#!/usr/bin/env python3
"""Run one task of an array of Slurm, on its node: what utils/slurm.py submits.

usage: utils/slurm_task.py FOLDER
e.g.:  utils/slurm_task.py exp/log/.copy.JOB.log.slurm

FOLDER/spec.json says what to run, SLURM_ARRAY_TASK_ID which job of it. Writes the
job's log as utils/run.py does, and its exit code to FOLDER/N.status. SIGTERM and
SIGINT end the job; SIGUSR1, the warning before the time limit, is handed to it. A
job that then ends with code 85 is put back into the queue, without a status.
"""

import contextlib
import ctypes  # noqa: F401  # loaded here, so that a new job need not
import json
import os
import shlex
import signal
import subprocess
import time
from collections import defaultdict
from pathlib import Path

from chronovox import cli, files, jobs


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="see above")
    return parser


def warn(root: int, told: set[int]) -> None:
    """Send SIGUSR1 to those processes of a job that catch it, once each.

    It would end the others. What a process that catches it has started (and what
    has its handler, if that was forked) is left to that process. srun, which blocks
    it and waits for it, hands it on to its tasks: those must catch it.
    """
    children, catching = defaultdict(list), set()
    for path in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            lines = path.read_text(errors="replace").splitlines()
            known = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            children[int(known["PPid"])].append(int(path.parent.name))
            mask = "SigBlk" if known["Name"] == "srun" else "SigCgt"
            if int(known[mask], 16) >> (signal.SIGUSR1 - 1) & 1:
                catching.add(int(path.parent.name))
    pids = [root]
    while pids:
        pid = pids.pop()
        if pid not in catching:
            pids += children[pid]
        elif pid not in told:
            told.add(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)


def watch(process: subprocess.Popen, signals: set) -> tuple[int, bool]:
    """Wait for a job, handing on signals; returns its code and if it was stopped."""
    stopping = {signal.SIGTERM, signal.SIGINT}
    warned, stop_at, told = False, None, set()
    while (code := jobs.exit_code(process)) is None:
        kind = jobs.next_signal(signals, 0.2 if stop_at else 1.0)
        if kind == signal.SIGUSR1:
            warned = True
        elif kind in stopping and stop_at is None:
            stop_at = time.monotonic() + jobs.GRACE_S
            jobs.kill_group(process.pid, signal.SIGTERM)
        if warned:
            warn(process.pid, told)  # again and again: it may not be ready yet
        if stop_at is not None and time.monotonic() > stop_at:
            jobs.kill_group(process.pid, signal.SIGKILL)
    # Slurm tells all processes at once: the job may have been the first to hear.
    return code, stop_at is not None or bool(stopping & signal.sigpending())


def put_back(number: int) -> str:
    """Put this task back into the queue; returns what was wrong."""
    words = ["scontrol", "requeue", f"{os.environ['SLURM_ARRAY_JOB_ID']}_{number}"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"scontrol: {error.strerror}"
    return f"{shlex.join(words)}: {done.stderr.strip()}" if done.returncode else ""


def main(argv=None) -> int:
    folder = get_parser().parse_args(argv).folder
    signals = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)  # blocked, so nothing can happen
    spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    task, threads = jobs.Task(**spec["task"]), spec["threads"]
    number = int(os.environ["SLURM_ARRAY_TASK_ID"])
    status, log = folder / f"{number}.status", task.log_path(number)
    status.unlink(missing_ok=True)  # Slurm may run a task again by itself
    attempt = 1 + int(os.environ.get("SLURM_RESTART_COUNT", 0))
    started, stopped = time.monotonic(), False
    guard = jobs.start_guard(jobs.kill_groups)  # for a kill -9 of this process
    process = jobs.start(task, number, jobs.thread_variables(threads), mask, attempt)
    code = process
    if isinstance(process, subprocess.Popen):
        jobs.tell_guard(guard, "+", process.pid)
        code, stopped = watch(process, signals)
        # What it left behind (a part of a pipe, say) has no right to the node now.
        jobs.kill_group(process.pid, signal.SIGKILL)
        jobs.tell_guard(guard, "-", process.pid)
    seconds = time.monotonic() - started
    jobs.write_on(log, jobs.footer(code, seconds, threads))
    if jobs.runs_again(code, seconds) and not stopped:
        problem = put_back(number)
        if not problem:
            return 0
        jobs.write_on(log, f"# {problem}\n")
    files.write_lines(status, [str(code)])
    return code


if __name__ == "__main__":
    cli.run(main)
