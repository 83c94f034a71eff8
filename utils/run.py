#!/usr/bin/env python3
"""Run a command, or many at a time, on this machine: Kaldi's run.pl.

usage: utils/run.py [options] [JOB=1:N] LOG COMMAND [WORD ...]
e.g.:  utils/run.py JOB=1:4 exp/log/copy.JOB.log cp in.JOB out.JOB
       utils/run.py exp/log/count.log cat data/train/utt2spk '|' wc -l

JOB, which may be any name, is replaced by the number of the job in LOG and in
every word. No shell is used, unless a word is | > >> < 2>&1 && or ;. A job's
output goes to its log. If run.py is ended, its jobs are ended too, even by
kill -9. --mem and --time are for clusters, and have no effect here.

Exit code 1 if any job failed; what failed is named, with the end of its log.
"""

import contextlib
import ctypes  # noqa: F401  # loaded here, so that a new job need not
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from chronovox import cli, jobs

GRACE_S = 5.0


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


def kill_group(group: int, kind: signal.Signals) -> bool:
    """Send a signal to a process group; False if it is no more."""
    try:
        os.killpg(group, kind)
    except ProcessLookupError:
        return False
    return True


def start_guard():
    """A process that ends the jobs' process groups once this one has ended.

    It is told of each group by `+<group>` or `-<group>` lines; being told ends
    with this process, however that ends.
    """
    reading, writing = os.pipe()
    if os.fork():
        os.close(reading)
        return os.fdopen(writing, "w", buffering=1)
    try:
        os.setsid()
        os.close(writing)
        groups = set()
        for line in os.fdopen(reading):
            (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
        deadline = time.monotonic() + GRACE_S
        while groups and time.monotonic() < deadline:
            groups = {group for group in groups if kill_group(group, signal.SIGKILL)}
            time.sleep(0.01)
    finally:
        os._exit(0)


@dataclass
class Job:
    number: int
    slot: int
    process: subprocess.Popen
    started: float


class Runner:
    """Runs the jobs of a task, at most `len(slots)` at once.

    slots: what a job adds to its environment while it runs. SIGCHLD and the
    signals that stop run.py are blocked, and taken one at a time by `sigtimedwait`.
    """

    def __init__(self, task: jobs.Task, slots: list[dict[str, str]], threads: int):
        self._task, self._slots, self._threads = task, slots, threads
        self._free = list(range(len(slots)))[::-1]
        self._running: list[Job] = []
        self._failed: dict[int, int] = {}
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
        self._guard = start_guard()
        try:
            waiting = list(self._task.numbers)[::-1]
            while waiting or self._running:
                while waiting and self._free:
                    self._start(waiting.pop())
                self._wait()
        finally:
            self._guard.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        return self._failed

    def _start(self, number: int) -> None:
        log = self._task.log_path(number)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(jobs.header(self._task.command(number)))
        slot = self._free.pop()
        started = time.monotonic()
        try:
            with open(log, "ab") as stream:
                process = subprocess.Popen(
                    self._task.argv(number),
                    stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
                    env={**os.environ, **self._slots[slot]},
                    process_group=0, preexec_fn=self._before_job(),
                )  # fmt: skip
        except OSError as error:
            with open(log, "a") as stream:
                stream.write(f"{self._task.words[0]}: {error.strerror}\n")
            code = 127 if isinstance(error, FileNotFoundError) else 126
            self._end(number, slot, code, started)
            return
        self._tell_guard("+", process.pid)
        self._running.append(Job(number, slot, process, started))

    def _before_job(self):
        parent, mask = os.getpid(), self._mask

        def prepare() -> None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            cli.die_with_parent()
            if os.getppid() != parent:
                os._exit(1)

        return prepare

    def _tell_guard(self, sign: str, group: int) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._guard.write(f"{sign}{group}\n")

    def _wait(self) -> None:
        """Wait for a signal, and do what it asks."""
        caught = signal.sigtimedwait(self._signals, 1.0) if self._running else None
        if caught is not None and caught.si_signo != signal.SIGCHLD:
            self._stop(caught.si_signo)
        self._reap()

    def _reap(self) -> None:
        for job in list(self._running):
            code = job.process.poll()
            if code is not None:
                self._running.remove(job)
                self._tell_guard("-", job.process.pid)
                code = 128 - code if code < 0 else code
                self._end(job.number, job.slot, code, job.started)

    def _end(self, number: int, slot: int, code: int, started: float) -> None:
        with open(self._task.log_path(number), "a") as stream:
            seconds = time.monotonic() - started
            stream.write(jobs.footer(code, seconds, self._threads))
        self._free.append(slot)
        if code:
            self._failed[number] = code

    def _stop(self, number: int) -> None:
        """End all jobs, first gently, and exit."""
        name = signal.Signals(number).name
        print(f"run.py: {name}: ending {len(self._running)} jobs", file=sys.stderr)
        groups = [job.process.pid for job in self._running]
        for group in groups:
            kill_group(group, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        while self._running and time.monotonic() < deadline:
            signal.sigtimedwait({signal.SIGCHLD}, 0.1)
            self._reap()
        for group in groups:
            kill_group(group, signal.SIGKILL)
        while self._running:
            signal.sigtimedwait({signal.SIGCHLD}, 0.1)
            self._reap()
        raise SystemExit(128 + number)


def make_slots(args) -> list[dict[str, str]]:
    """The environment of each job that may run at once."""
    threads = {
        name: str(args.num_threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    }
    gpus = visible_gpus() if args.gpu else []
    count = max(1, len(os.sched_getaffinity(0)) // args.num_threads)
    if args.gpu:
        count = max(1, len(gpus))
    slots = [dict(threads) for _ in range(args.max_jobs_run or count)]
    for number, slot in enumerate(slots):
        if gpus:
            slot["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
    return slots


def main(argv=None) -> int:
    args, task = jobs.parse(get_parser(), argv)
    failed = Runner(task, make_slots(args), args.num_threads).run()
    if failed:
        jobs.report("run.py", task, failed)
    return 1 if failed else 0


if __name__ == "__main__":
    cli.run(main)
