#!/usr/bin/env python3
"""Kill the recipe with -9 at random moments; each rerun must give the same result.

Usage: tests/full/kills.py [options]
  e.g.: tests/full/kills.py --count 100 --runner both --work /tmp/kills

The talkers recipe, very small, is run undisturbed first, once from nothing and once
over the finished run of another world, and its state before every stage is kept.
Then, again and again, a stage starts from one of these states, is killed at a random
moment, and is run again to its end, at once: exit code 0, every file of data/, exp/
and fbank/ the same bytes (logs and run information exempt), nothing temporary beside
them, no process and no job left. What is killed:
  alone   run.sh itself
  group   run.sh and all that shares its process group
  child   one process that run.sh started, directly or not; if the run then ends
          with 0 all the same, its result must be right before it is run again
  job     under Slurm, one process of a job
  all     every process, as when the machine goes down
What a kill hits follows from --seed and its number. With --work, a run that was
stopped goes on after its last kill. Prints a line a kill, then the tally.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import accumulate
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from recipe_tools import copy_project, digests, environment
from slurm_cluster import Cluster

from chronovox import cli

RUNNERS = {"run": "utils/run.py", "slurm": "utils/slurm.py"}
KINDS = {
    "run": ("alone", "group", "child", "child", "all"),
    "slurm": ("alone", "group", "child", "job", "all"),
}
# Stage -> how often it is chosen: those that take more than half a minute less often
# than what they do would ask for.
WEIGHTS = {0: 20, 1: 12, 2: 8, 3: 10, 4: 24, 5: 6, 6: 15, 7: 5}
JOB_ARRAYS = {0: 2, 1: 4, 3: 6, 4: 1, 5: 6}  # Slurm takes some seconds more for each
WORDS = (
    "./run.sh", "--trials", "random near", "--nj", "2", "--device", "cpu",
    "--model-config", "conf/killed.yaml", "--face-config", "tests/face_age_tiny.yaml",
    "--backends", "cosine asnorm",
)  # fmt: skip
SIZE = (
    "  tiny: {train: 6, dev: 4, test: 6, face: 2, portraits: 20, accents: 1,\n"
    "         sessions: [2, 2], utterances: [2, 2]}\n"
)
NEAR = """positives: {session: different, per_enrolment: 2}
negatives: {same: [gender], min_group_size: 2, per_enrolment: 2}
"""
MODEL = """model: {type: xvector, width: 32, pool_dim: 32, embed_dim: 32}
frontend: {cmn: utterance, vad: true}
loss: {type: aam, margin: 0.1, scale: 16, margin_warmup_steps: 50}
schedule: {peak_lr: 0.005, final_lr: 0.0005, warmup_steps: 10}
batch_size: 16
chunk_frames: [60, 80]
num_steps: 150
evaluate_every: 50
checkpoint_every: 10
"""
STATE = ("data", "exp", "fbank")
COLUMNS = ("number", "runner", "stage", "over", "kind", "moment", "hit", "result")
HANG_S = 600.0


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--count", type=cli.positive_int, default=100, help="(100)")
    parser.add_argument("--seed", type=cli.natural, default=1, help="(1)")
    parser.add_argument(
        "--runner", choices=("run", "slurm", "both"), default="both",
        help="utils/run.py, utils/slurm.py, or every fourth under the latter (both)",
    )  # fmt: skip
    parser.add_argument("--work", type=Path, help="a folder to work in, and to keep")
    return parser


def make_project(folder: Path) -> None:
    """A copy of the project with a very small world and a very small network."""
    copy_project(folder)
    settings = folder / "conf/talkers.yaml"
    text = settings.read_text().replace("sizes:\n", f"sizes:\n{SIZE}")
    settings.write_text(text)
    (folder / "conf/trials/near.yaml").write_text(NEAR)
    (folder / "conf/killed.yaml").write_text(MODEL)


def marked(mark: str) -> list[int]:
    """The processes that have this mark in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"KILL_MARK={mark}\0".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return sorted(found)


def name_of(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return "?"
    words = [word for word in words if not word.startswith("-")]
    script = next((word for word in words if word.endswith((".py", ".sh"))), words[0])
    return Path(script).name or "?"


def descendants(pid: int) -> list[int]:
    """All processes below a process."""
    found, waiting = [], [pid]
    while waiting:
        path = Path(f"/proc/{waiting[0]}/task/{waiting.pop(0)}/children")
        with contextlib.suppress(OSError):
            below = list(map(int, path.read_text().split()))
            found += below
            waiting += below
    return found


class Recipe:
    """The project, its kept states, and how stages of it are run."""

    def __init__(self, work: Path, cluster: Cluster | None):
        self.folder, self.states = work / "project", work / "states"
        self._environment = environment() | (cluster.environment if cluster else {})

    def start(self, stage: int, runner: str, mark: str, world: int = 11):
        """Start one stage, in a session of its own."""
        program = RUNNERS[runner]
        (self.folder / "cmd.sh").write_text(
            f'export train_cmd={program} cuda_cmd="{program} --num-threads 2"\n'
        )
        words = ["--stage", str(stage), "--stop-stage", str(stage)]
        words += ["--prepare-opts", f"--size tiny --seed {world}"]
        with open(self.folder / "screen.log", "w") as screen:
            return subprocess.Popen(
                [*WORDS, *words], cwd=self.folder, start_new_session=True,
                env={**self._environment, "KILL_MARK": mark},
                stdin=subprocess.DEVNULL, stdout=screen, stderr=screen,
            )  # fmt: skip

    def finish(self, process) -> str:
        """Wait for the end; what was wrong, or nothing."""
        try:
            code = process.wait(HANG_S)
        except subprocess.TimeoutExpired:
            return f"hangs for {HANG_S:g} s"
        screen = (self.folder / "screen.log").read_text().splitlines()
        return f"exit code {code}: {' / '.join(screen[-3:])}" if code else ""

    def keep(self, name: str) -> None:
        for part in STATE:
            if (self.folder / part).exists():
                target = self.states / name / part
                shutil.copytree(self.folder / part, target, symlinks=True)

    def restore(self, name: str) -> None:
        for part in STATE:
            shutil.rmtree(self.folder / part, ignore_errors=True)
            if (self.states / name / part).exists():
                kept = self.states / name / part
                shutil.copytree(kept, self.folder / part, symlinks=True)

    def differences(self, name: str) -> list[str]:
        """The files that are not as they are kept, or should not be there."""
        found, kept = (
            {
                f"{part}/{file}": digest
                for part in STATE
                for file, digest in digests(folder / part).items()
            }
            for folder in (self.folder, self.states / name)
        )
        names = {file for file in found | kept if found.get(file) != kept.get(file)}
        for part in STATE:
            for path in (self.folder / part).rglob(".*"):
                if path.suffix in (".tmp", ".slurm"):
                    names.add(str(path.relative_to(self.folder)))
        return sorted(names)

    def make_states(self) -> dict[str, float]:
        """Run all undisturbed; returns the seconds of each stage, by name of state."""
        path = self.states / "seconds.json"
        if path.exists():
            return json.loads(path.read_text())
        shutil.rmtree(self.states, ignore_errors=True)
        seconds = {}
        for origin in ("fresh", "over"):
            self.restore("nothing")
            if origin == "over":
                for stage in WEIGHTS:
                    self._undisturbed(stage, 12)
            for stage in WEIGHTS:
                self.keep(f"{origin}{stage}")
                seconds[f"{origin}{stage}"] = self._undisturbed(stage)
            self.keep(f"{origin}{len(WEIGHTS)}")
        different = self.differences(f"fresh{len(WEIGHTS)}")
        if different:
            raise cli.UserError(f"over another world it is different: {different}")
        path.write_text(json.dumps(seconds))
        return seconds

    def _undisturbed(self, stage: int, world: int = 11) -> float:
        begin = time.monotonic()
        problem = self.finish(self.start(stage, "run", "none", world))
        if problem:
            raise cli.UserError(f"stage {stage}, undisturbed: {problem}")
        return time.monotonic() - begin


def kill(process, kind: str, mark: str, rng: random.Random) -> str:
    """Kill; the name of what was hit, or nothing if there was nothing to hit."""
    if process.poll() is not None:
        return ""
    if kind == "alone":
        process.kill()
        return "run.sh"
    if kind == "group":
        os.killpg(process.pid, signal.SIGKILL)
        return "group"
    if kind == "all":
        while pids := marked(mark):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return "all"
    below = descendants(process.pid)
    if kind == "job":
        below = sorted(set(marked(mark)) - {*below, process.pid})
    if not below:
        return ""
    victim = rng.choice(below)
    name = name_of(victim)
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:
        return ""
    return name


def strike(recipe, runner, stage, origin, kind, seconds, rng):
    """Start the stage and kill it; returns moment, what was hit, process and mark."""
    for _ in range(50):
        recipe.restore(f"{origin}{stage}")
        mark = f"{os.getpid()}.{rng.getrandbits(32):x}"
        process = recipe.start(stage, runner, mark)
        moment = rng.uniform(0, seconds)
        time.sleep(moment)
        while process.poll() is None:
            if hit := kill(process, kind, mark, rng):
                return moment, hit, process, mark
            time.sleep(0.05)  # there is no such process yet
    raise cli.UserError(f"stage {stage}: never hit: {kind}")


def stage_of(number: int) -> int:
    """A stage, each as often as its weight says in any stretch of numbers."""
    golden_ratio = 0.6180339887498949
    place = number * golden_ratio % 1 * sum(WEIGHTS.values())
    ends = dict(zip(WEIGHTS, accumulate(WEIGHTS.values()), strict=True))
    return next(stage for stage, end in ends.items() if place < end)


def one_kill(number, runner, seed, recipe, seconds, cluster) -> dict:
    """One kill and its rerun: a row of the table."""
    rng = random.Random(f"{seed} {number}")
    stage = stage_of(number // 4 if runner == "slurm" else number)
    origin = rng.choice(("fresh", "over"))
    kinds = KINDS[runner]
    if stage not in JOB_ARRAYS:
        kinds = tuple(kind for kind in kinds if kind != "job")
    kind = rng.choice(kinds)
    usual = seconds[f"{origin}{stage}"]
    if runner == "slurm":
        usual += 3.0 * JOB_ARRAYS.get(stage, 0)
    after, problems = f"{origin}{stage + 1}", []
    moment, hit, process, mark = strike(recipe, runner, stage, origin, kind, usual, rng)
    if kind in ("child", "job"):
        problem = recipe.finish(process)
        if problem.startswith("hangs"):
            problems.append(f"after the kill it {problem}")
        elif not problem and recipe.differences(after):
            problems.append(f"passed quietly: {recipe.differences(after)[:3]}")
    problem = recipe.finish(recipe.start(stage, runner, mark))
    if problem:
        problems.append(f"the rerun: {problem}")
    process.wait(HANG_S)
    deadline = time.monotonic() + 30
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    if left:
        problems.append(f"still running: {[name_of(pid) for pid in left]}")
    if cluster is not None and (queue := cluster.ask("squeue", "-h")):
        problems.append(f"still in the queue: {queue}")
    if different := recipe.differences(after):
        problems.append(f"{len(different)} files differ: {different[:5]}")
    values = (number, runner, stage, origin, kind, f"{moment:.2f}/{usual:.2f}", hit)
    return dict(zip(COLUMNS, (*values, "; ".join(problems) or "same"), strict=True))


def print_tally(rows: list[dict]) -> None:
    print("\nrunner  stage  kills  same   kinds, and what was hit")
    keys = sorted({(row["runner"], int(row["stage"])) for row in rows})
    for runner, stage in keys:
        group = [r for r in rows if (r["runner"], int(r["stage"])) == (runner, stage)]
        same = sum(row["result"] == "same" for row in group)
        kinds = Counter(f"{row['kind']} from {row['over']}" for row in group)
        text = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        print(f"{runner:6} {stage:6} {len(group):6} {same:5}   {text}")
    same = sum(row["result"] == "same" for row in rows)
    print(f"{len(rows)} kills, {same} times the undisturbed result")


def run(args, work: Path) -> int:
    table = work / "kills.tsv"
    rows = []
    if table.exists():
        lines = table.read_text().splitlines()
        rows = [dict(zip(COLUMNS, line.split("\t"), strict=True)) for line in lines]
    cluster = None if args.runner == "run" else Cluster()
    try:
        if cluster:
            cluster.start()
        if not (work / "project").exists():
            make_project(work / "project")
        recipe = Recipe(work, cluster)
        seconds = recipe.make_states()
        print("undisturbed, seconds of stages:", seconds, flush=True)
        for number in range(len(rows) + 1, args.count + 1):
            both = "slurm" if number % 4 == 0 else "run"
            runner = both if args.runner == "both" else args.runner
            row = one_kill(number, runner, args.seed, recipe, seconds, cluster)
            rows.append(row)
            line = "\t".join(map(str, row.values()))
            print(line, flush=True)
            with open(table, "a") as stream:
                stream.write(f"{line}\n")
            if row["result"] != "same":
                failed = work / f"failed_{number}"
                shutil.copytree(recipe.folder, failed, symlinks=True)
    finally:
        if cluster:
            cluster.stop()
    print_tally(rows)
    return int(any(row["result"] != "same" for row in rows))


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    if args.work:
        args.work.mkdir(parents=True, exist_ok=True)
        return run(args, args.work.resolve())
    work = Path(tempfile.mkdtemp(prefix="kills."))
    code = run(args, work)
    if code == 0:
        shutil.rmtree(work)
    else:
        print(f"what differs is kept in {work}", file=sys.stderr)
    return code


if __name__ == "__main__":
    cli.run(main)
