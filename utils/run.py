#!/usr/bin/env python3
"""Run a command, or many at a time, on this machine: Kaldi's run.pl.

usage: utils/run.py [options] [JOB=1:N] LOG COMMAND [WORD ...]
e.g.:  utils/run.py JOB=1:4 exp/log/copy.JOB.log cp in.JOB out.JOB
       utils/run.py exp/log/count.log cat data/train/utt2spk '|' wc -l

JOB, which may be any name, is replaced by the number of the job in LOG and in
every word. No shell is used, unless a word is | > >> < 2>&1 && or ;. A job's
output goes to its log. If run.py is ended, its jobs are ended too, even by
kill -9. --mem and --time are for clusters, and have no effect here.

A job that ends with code 85 (stopped on request, its state is saved) is run again
at once, writing on in the same log. After less than a second 85 is a failure.

Exit code 1 if any job failed; what failed is named, with the end of its log.
"""

import ctypes  # noqa: F401  # loaded here, so that a new job need not
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from chronovox import cli, jobs


def get_parser():
    parser = cli.parser(__doc__)
    jobs.add_options(parser)
    return parser


def visible_gpus() -> list[str]:
    """The GPUs that jobs may use, as CUDA_VISIBLE_DEVICES names them."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    except OSError:
        return []
    lines = [line for line in done.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(lines))]


@dataclass
class Job:
    number: int
    slot: int
    started: float
    process: subprocess.Popen


class Runner:
    """Runs the jobs of a task, at most `len(slots)` at once.

    slots: what a job adds to its environment while it runs. SIGCHLD and the
    signals that stop run.py are blocked, and taken one at a time by `next_signal`.
    """

    def __init__(self, task: jobs.Task, slots: list[dict[str, str]], threads: int):
        self._task, self._slots, self._threads = task, slots, threads
        self._free = list(range(len(slots)))[::-1]
        self._running: list[Job] = []
        self._failed: dict[int, int] = {}
        self._waiting = list(task.numbers)[::-1]
        self._attempts = dict.fromkeys(task.numbers, 0)
        self._stopping = False
        # What the caller ignores (nohup, a background job) stays ignored.
        stopping = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        self._signals = {signal.SIGCHLD} | {
            s for s in stopping if signal.getsignal(s) != signal.SIG_IGN
        }

    def run(self) -> dict[int, int]:
        """Run all jobs; returns the codes of those that failed.

        A signal stops the jobs that run, and raises SystemExit with 128 + signal.
        """
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
        self._guard = jobs.start_guard(jobs.kill_groups)
        try:
            while self._waiting or self._running:
                while self._waiting and self._free:
                    self._start(self._waiting.pop())
                self._wait()
        finally:
            self._guard.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        return self._failed

    def _start(self, number: int) -> None:
        slot = self._free.pop()
        self._attempts[number] += 1
        started = time.monotonic()
        process = jobs.start(
            self._task, number, self._slots[slot], self._mask, self._attempts[number]
        )
        if isinstance(process, int):
            self._end(number, slot, started, process)
        else:
            jobs.tell_guard(self._guard, "+", process.pid)
            self._running.append(Job(number, slot, started, process))

    def _wait(self) -> None:
        """Wait for a signal, and do what it asks."""
        caught = jobs.next_signal(self._signals, 1.0) if self._running else None
        if caught is not None and caught != signal.SIGCHLD:
            self._stop(caught)
        self._reap()

    def _reap(self) -> None:
        for job in list(self._running):
            code = jobs.exit_code(job.process)
            if code is not None:
                self._running.remove(job)
                jobs.tell_guard(self._guard, "-", job.process.pid)
                self._end(job.number, job.slot, job.started, code)

    def _end(self, number: int, slot: int, started: float, code: int) -> None:
        seconds = time.monotonic() - started
        footer = jobs.footer(code, seconds, self._threads)
        jobs.write_on(self._task.log_path(number), footer)
        self._free.append(slot)
        if jobs.runs_again(code, seconds) and not self._stopping:
            self._waiting.append(number)
        elif code:
            self._failed[number] = code

    def _stop(self, number: int) -> None:
        """End all jobs, first gently, and exit."""
        self._stopping = True
        name = signal.Signals(number).name
        print(f"run.py: {name}: ending {len(self._running)} jobs", file=sys.stderr)
        groups = [job.process.pid for job in self._running]
        for group in groups:
            jobs.kill_group(group, signal.SIGTERM)
        deadline = time.monotonic() + jobs.GRACE_S
        while self._running and time.monotonic() < deadline:
            jobs.next_signal({signal.SIGCHLD}, 0.1)
            self._reap()
        for group in groups:
            jobs.kill_group(group, signal.SIGKILL)
        while self._running:
            jobs.next_signal({signal.SIGCHLD}, 0.1)
            self._reap()
        raise SystemExit(128 + number)


def make_slots(args) -> list[dict[str, str]]:
    """The environment of each job that may run at once."""
    threads = jobs.thread_variables(args.num_threads)
    gpus = visible_gpus() if args.gpu else []
    count = max(1, len(os.sched_getaffinity(0)) // args.num_threads)
    groups = [
        ",".join(gpus[n : n + args.gpu]) for n in range(0, len(gpus), args.gpu or 1)
    ]
    if gpus and len(gpus) < args.gpu:
        raise cli.UserError(f"--gpu {args.gpu}: this machine has {len(gpus)}")
    if gpus:  # what is left over of them is not enough for a job
        groups = groups[: len(gpus) // args.gpu]
    if args.gpu:
        count = max(1, len(groups))
    slots = [dict(threads) for _ in range(args.max_jobs_run or count)]
    for number, slot in enumerate(slots):
        if groups:
            slot["CUDA_VISIBLE_DEVICES"] = groups[number % len(groups)]
    return slots


def main(argv=None) -> int:
    args, task = jobs.parse(get_parser(), argv)
    task = jobs.pick("run.py", task, args.pick)
    failed = Runner(task, make_slots(args), args.num_threads).run()
    if failed:
        jobs.report("run.py", task, failed)
    return 1 if failed else 0


if __name__ == "__main__":
    cli.run(main)
