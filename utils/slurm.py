#!/usr/bin/env python3
"""Run a command, or many at a time, as jobs of Slurm: Kaldi's slurm.pl.

usage: utils/slurm.py [options] [JOB=1:N] LOG COMMAND [WORD ...]
e.g.:  utils/slurm.py --mem 4G --time 2:00:00 JOB=1:40 exp/log/copy.JOB.log \\
         cp in.JOB out.JOB

The same contract as utils/run.py, by one `sbatch --array`; JOB is the number of
the task in the array. --config names the file that says the options to sbatch
(default: conf/slurm.conf here, else that of chronovox); its `option` lines may
add options, such as --partition. Log, working directory and Python must be where
the nodes see them under the same names; the environment goes along.

If slurm.py is ended, its jobs are cancelled, even by kill -9. If its machine
went down, running it again with the same LOG first cancels what was left.

Before its time limit a job that catches SIGUSR1 gets it, and so do tasks of srun,
which must catch it. If it then ends with code 85 (its state is saved), it is put back
into the queue, and its next attempt writes on in the same log. After less than a
second 85 is a failure.

Exit code 1 if any job failed; what failed is named, with the end of its log.
"""

import ctypes  # noqa: F401  # loaded here, so that a new job need not
import dataclasses
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from chronovox import cli, files, jobs
from chronovox.clusterconf import ClusterConf

CANCEL_S = 300.0
# For a shared file system to show what another machine wrote.
LAG_S = 60.0
ORDINARY = {"None", "Priority", "Resources", "JobArrayTaskLimit", "BeginTime"}


def get_parser():
    parser = cli.parser(__doc__)
    jobs.add_options(parser)
    parser.add_argument("--config", metavar="FILE", help="(conf/slurm.conf)")
    parser.set_defaults(gpu=None, num_threads=None)  # conf/slurm.conf has defaults
    return parser


def say(text: str) -> None:
    print(f"slurm.py: {text}", file=sys.stderr)


def call(*words: str, **options) -> subprocess.CompletedProcess:
    """Run a program of Slurm, which ends if this process does."""
    return subprocess.run(
        words, capture_output=True, text=True, check=False,
        preexec_fn=cli.die_with_parent, **options,
    )  # fmt: skip


def cancel(name: str, patience_s: float = 10.0) -> bool:
    """Cancel the jobs of a name; whether they are surely gone.

    patience_s: how long Slurm may leave us without an answer.
    """
    empty = 0
    now = started = answered = time.monotonic()
    # Twice empty, for an sbatch that was killed may just have been heard.
    while empty < 2 and now - started < CANCEL_S and now - answered < patience_s:
        call("scancel", f"--name={name}")
        left = call("squeue", "--noheader", f"--name={name}", "--format=%i")
        empty = 0 if left.returncode or left.stdout.strip() else empty + 1
        time.sleep(0.3)
        now = time.monotonic()
        answered = answered if left.returncode else now
    if empty < 2:
        say(f"{name}: not surely gone: see squeue --name={name} {left.stderr.strip()}")
    return empty == 2


def submit(command: list[str], words: list[str], task: jobs.Task, folder: Path) -> str:
    """Submit the array; returns its job id."""
    # %a is the number of the task, %% a percent sign.
    log = task.log.replace("%", "%%")
    log = log if task.name is None else log.replace(task.name, "%a")
    output = Path(str(Path.cwd()).replace("%", "%%")) / log
    program = Path(__file__).resolve().with_name("slurm_task.py")
    task_runner = shlex.join([sys.executable, str(program), str(folder)])
    # SIGUSR1 must not end the shell that waits for the disk to start Python.
    script = f"#!/bin/sh\ntrap '' USR1\nexec {task_runner}\n"
    # This may be a job itself, that has been run again: its array has not.
    environment = {k: v for k, v in os.environ.items() if k != "SLURM_RESTART_COUNT"}
    done = call(
        *command, *words, "--parsable", "--export=ALL", "--requeue",
        f"--chdir={Path.cwd()}", f"--output={output}", "--open-mode=append",
        input=script, env=environment,
    )  # fmt: skip
    if done.returncode:
        limit = "; see MaxArraySize of `scontrol show config`"
        raise cli.UserError(
            f"{shlex.join(command)} failed: {done.stderr.strip()}"
            f"{limit if 'array' in done.stderr else ''}"
        )
    return done.stdout.strip().partition(";")[0]


def wait_for(job: str) -> None:
    """Wait till no task of the array is in the queue, seldom asking for a long one."""
    started, said = time.monotonic(), set()
    while True:
        done = call("squeue", "--noheader", f"--jobs={job}", "--format=%r")
        empty = done.returncode == 0 and not done.stdout.strip()
        if empty or "Invalid job id" in done.stderr:  # forgotten, as it ended long ago
            return
        for line in set((done.stderr + done.stdout).splitlines()) - said - ORDINARY:
            said.add(line)
            say(f"job {job} waits: {line}")
        time.sleep(min(max(0.2, (time.monotonic() - started) / 10), 5.0))


def end_of(task: jobs.Task, number: int, folder: Path, job: str, threads: int) -> int:
    """The code of a task that is no more in the queue.

    What left no status (its node failed, say) gets the end of its log here.
    """
    status = folder / f"{number}.status"
    known = {}
    if not status.exists():
        text = call("scontrol", "--oneliner", "show", "job", f"{job}_{number}").stdout
        known = dict(re.findall(r"(JobState|ExitCode)=(\S+)", text))
    code, _, kind = known.get("ExitCode", "0:0").partition(":")
    by_itself = (
        known.get("JobState", "FAILED") in ("COMPLETED", "FAILED") and kind == "0"
    )
    deadline = time.monotonic() + (LAG_S if by_itself else 2.0)
    while not status.exists() and time.monotonic() < deadline:
        os.listdir(folder)  # makes NFS look again
        time.sleep(0.2)
    if status.exists():
        return int(status.read_text())
    ended = 128 + int(kind) if kind != "0" else int(code) or 1
    state = known.get("JobState", "forgotten by Slurm")
    text = f"# Slurm: task {job}_{number} ended without a status: {state}\n"
    jobs.write_on(task.log_path(number), text + jobs.footer(ended, 0.0, threads))
    return ended


def state_folder(task: jobs.Task) -> Path:
    """Where submitter and tasks meet: beside the logs, the same in every run."""
    log = Path(task.log)
    parent = log.parent
    while task.name is not None and task.name in str(parent):
        parent = parent.parent
    name = str(log.relative_to(parent)).replace("/", "_")
    return Path.cwd() / parent / f".{name}.slurm"


def run_array(command: list[str], array: str, task: jobs.Task, threads: int) -> dict:
    """Run all tasks; returns those that failed, and their codes."""
    folder = state_folder(task)
    if (folder / "name").exists():
        name = (folder / "name").read_text().strip()
        say(f"cancelling what an earlier run left: {name}")
        if not cancel(name):
            raise cli.UserError(f"{folder}: jobs of an earlier run may still be there")
    shutil.rmtree(folder, ignore_errors=True)
    for number in task.numbers:
        task.log_path(number).parent.mkdir(parents=True, exist_ok=True)
    plain = {**dataclasses.asdict(task), "numbers": list(task.numbers)}
    spec = {"task": plain, "threads": threads}
    files.write_lines(folder / "spec.json", [json.dumps(spec)])
    # The name alone finds the jobs, and is written before there are any.
    name = re.sub(r"[^\w.-]", "_", f"{Path(task.log).stem}.{secrets.token_hex(4)}")
    files.write_lines(folder / "name", [name])
    guard = jobs.start_guard(lambda names: cancel(*names, patience_s=CANCEL_S))
    jobs.tell_guard(guard, "+", name)
    gone = False
    try:
        job = submit(command, [f"--array={array}", f"--job-name={name}"], task, folder)
        wait_for(job)
        gone = True
        codes = {n: end_of(task, n, folder, job, threads) for n in task.numbers}
    finally:
        if gone or cancel(name):
            shutil.rmtree(folder, ignore_errors=True)
        jobs.tell_guard(guard, "-", name)
        guard.close()
    return {number: code for number, code in codes.items() if code}


def stop_on_signals() -> None:
    """Let SIGINT, SIGTERM and SIGHUP raise SystemExit with 128 + signal, once."""
    # What the caller ignores (nohup, a background job) stays ignored.
    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    wanted = [kind for kind in wanted if signal.getsignal(kind) != signal.SIG_IGN]

    def stop(number, _frame):
        for kind in wanted:
            signal.signal(kind, signal.SIG_IGN)
        say(f"{signal.Signals(number).name}: cancelling the jobs")
        raise SystemExit(128 + number)

    for kind in wanted:
        signal.signal(kind, stop)


def read_config(argv: list[str]) -> ClusterConf:
    options = jobs.split_words(argv)[0]
    if "--config" in options[:-1]:
        return ClusterConf(options[options.index("--config") + 1])
    path = Path("conf/slurm.conf")
    shipped = Path(__file__).resolve().parents[1] / path
    return ClusterConf(path if path.exists() else shipped)


def main(argv=None) -> int:
    argv = list(sys.argv[1:] if argv is None else argv)
    conf, parser = read_config(argv), get_parser()
    args, task = jobs.parse(parser, argv, conf)
    values = conf.values(args)
    command = conf.words(parser, values)
    threads = parser.parse_args(["--num-threads", values.get("num_threads", "1")])
    programs = (command[0], "squeue", "scancel", "scontrol")
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise cli.UserError(
            f"no such program: {', '.join(missing)}: load Slurm, or use utils/run.py"
        )
    task = jobs.pick("slurm.py", task, args.pick)
    if not task.numbers:
        return 0
    array = ",".join(map(str, task.numbers))
    if "max_jobs_run" in values:
        array += f"%{values['max_jobs_run']}"
    stop_on_signals()
    failed = run_array(command, array, task, threads.num_threads)
    if failed:
        jobs.report("slurm.py", task, failed)
    return 1 if failed else 0


if __name__ == "__main__":
    cli.run(main)
