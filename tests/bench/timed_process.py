"""What a process takes: seconds of one core, and the most memory."""

import multiprocessing
import os
import subprocess
import sys


def measure(command: list, log) -> tuple[float, float]:
    """Run a command: its user and system time in s, its most memory in MB.

    Exits with the end of its output, which goes to `log`, if it fails.
    """
    with open(log, "w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        words = " ".join(map(str, command))
        with open(log) as stream:
            sys.exit(f"{words}:\n{stream.read()[-2000:]}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1000


def run_apart(function, *args) -> None:
    """Call a function in a process of its own.

    What this one holds is counted to all that it starts.
    """
    process = multiprocessing.get_context("spawn").Process(target=function, args=args)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(process.exitcode)
