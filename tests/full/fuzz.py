#!/usr/bin/env python3
"""Fuzz every parser with a million inputs: no traceback, no hang, no code run.

usage: tests/full/fuzz.py [--inputs N] [--seed N] [--only NAME] [OUT]
e.g.:  tests/full/fuzz.py exp/full/fuzz
       tests/full/fuzz.py --only segments --first 4711 --inputs 1

Random bytes, words of each grammar, and valid files mutated; the last 300 of each
parser are drawn by hypothesis. An input must be accepted, and then is checked, or
refused by one line that names the file. Parsers run one after another, each in
processes of its own with a limit to their memory. OUT (exp/full/fuzz) keeps what is
done, so that a run that was stopped goes on; another state of the code starts anew.
Prints a table, and fails if anything failed. --first begins at an input's number.
"""

import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import fuzzing  # noqa: E402
from fuzz_parsers import PARSERS  # noqa: E402

from chronovox import cli  # noqa: E402

BLOCK = 40000  # inputs of one process
DRAWN = 300
MEMORY_GB = 3  # of address space, beyond what there is at the start
BLOCK_S = 900


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--inputs", type=cli.positive_int, default=10**6)
    parser.add_argument("--first", type=cli.natural, default=0)
    parser.add_argument("--seed", type=cli.natural, default=1)
    parser.add_argument("--only", choices=[each.name for each in PARSERS])
    parser.add_argument("--block", help="for its own processes: the file to write")
    parser.add_argument("out", nargs="?", default="exp/full/fuzz", type=Path)
    return parser


def state_of_code() -> str:
    """A hash of the code, and of the files that the fuzz begins with."""
    digest = hashlib.sha256()
    patterns = ("steps/**/*.py", "utils/*.py", "conf/**/*", "tests/fuzz*.py")
    for path in sorted(p for pattern in patterns for p in ROOT.glob(pattern)):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def run_block(args) -> None:
    """Run one block in this process and write its outcome."""
    chosen = next(each for each in PARSERS if each.name == args.only)
    for content in chosen.seeds:  # loads all that is needed, before the limit
        with fuzzing.guarded() as folder:
            fuzzing.one(chosen, content, folder, fuzzing.Outcome())
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY_GB * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    before, begin = fuzzing.peak_mb(), time.monotonic()
    outcome = fuzzing.run(chosen, args.first, args.inputs, args.seed)
    if args.first == 0 and args.inputs > DRAWN:
        outcome.add(fuzzing.run_drawn(chosen, DRAWN))
    growth = fuzzing.peak_mb() - before
    if growth > fuzzing.MAX_GROWTH_MB:
        outcome.fail("memory", f"{growth:.0f} MB", None, b"")
    seconds = time.monotonic() - begin
    result = {**asdict(outcome), "seconds": seconds, "growth_mb": growth}
    temporary = Path(f"{args.block}.tmp")
    temporary.write_text(json.dumps(result))
    temporary.rename(args.block)


def block_result(args, name: str, first: int, count: int, folder: Path) -> dict:
    """The outcome of a block, from an earlier run or from a process of its own."""
    path = folder / f"{name.replace(' ', '_').replace('.', '_')}_{first}_{count}.json"
    if not path.exists():
        words = [
            "--only", name, "--first", first, "--inputs", count, "--seed", args.seed,
            "--block", path.resolve(),
        ]  # fmt: skip
        error = path.with_suffix(".err")
        with open(error, "w") as stream:
            try:
                code = subprocess.run(
                    [sys.executable, __file__, *map(str, words)],
                    stderr=stream, stdout=stream, timeout=BLOCK_S, check=False,
                ).returncode  # fmt: skip
            except subprocess.TimeoutExpired:
                code = f"none within {BLOCK_S} s"
        text = error.read_text(errors="replace")
        if code or "Traceback" in text:
            raise cli.UserError(
                f"{name}, inputs from {first}: code {code}: see {error}"
            )
    return json.loads(path.read_text())


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    if args.block:
        run_block(args)
        return 0
    folder = args.out / f"{state_of_code()}_{args.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [each for each in PARSERS if args.only in (None, each.name)]
    shares = sum(each.share for each in chosen)
    form = "{:24} {:>8} {:>9} {:>8} {:>11} {:>8} {:>6}"
    print(form.format("parser", "inputs", "accepted", "refused", "tracebacks",
                      "seconds", "MB"))  # fmt: skip
    total = {"inputs": 0, "accepted": 0, "refused": 0, "bad": 0, "seconds": 0.0}
    failures = []
    for each in chosen:
        wanted = -(-args.inputs * each.share // shares)
        row, growth = dict.fromkeys(total, 0), 0.0
        for first in range(args.first, args.first + int(wanted), BLOCK):
            count = min(BLOCK, args.first + int(wanted) - first)
            result = block_result(args, each.name, first, count, folder)
            result["bad"] = sum(found[3] for found in result["failures"].values())
            row = {name: row[name] + result[name] for name in row}
            growth = max(growth, result["growth_mb"])
            failures += fuzzing.describe(fuzzing.Outcome(failures=result["failures"]))
        total = {name: total[name] + row[name] for name in total}
        counts = [row[name] for name in ("inputs", "accepted", "refused", "bad")]
        print(form.format(each.name, *counts, f"{row['seconds']:.0f}", f"{growth:.0f}"),
              flush=True)  # fmt: skip
    counts = [total[name] for name in ("inputs", "accepted", "refused", "bad")]
    print(form.format("all", *counts, f"{total['seconds']:.0f}", ""))
    print("\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    cli.run(main)
