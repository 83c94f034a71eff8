#!/usr/bin/env python3
"""Prove a trial list against its rules, and tell what metadata alone give away.

Usage: steps/check_trials.py --rules conf/trials/NAME.yaml DATA TRIALS
  e.g.: steps/check_trials.py --rules conf/trials/Vox-CA10.yaml data/test \\
            data/test/trials/Vox-CA10

Prints every violation with its line: labels against utt2spk, pairs that the rules do
not allow, enrolments that may not be, repeated pairs, more or fewer trials than asked
for, unless TRIALS.shortages says so. Where there is that file, as of our own lists,
utterances that are in neither, and shortages that are none, are violations, too; and
where the rules say `like: NAME`, enrolments and non-targets that the list NAME beside
TRIALS has not. Then the numbers of the list, and an audit: the area under the ROC curve
of a classifier that sees, of both sides of a trial, one attribute and whether or how
far they differ; 0.5 is chance, nan a list too small to tell. What a rule constrains
differently for targets and non-targets stands out there, by design or not. Exit code 1
if there are violations.
"""

from pathlib import Path

import numpy as np

from chronovox import cli
from chronovox.cli import UserError, log
from chronovox.datadir import read_floats, read_lines
from chronovox.trials import Trials, read_trials
from chronovox.trials.allowance import Allowance
from chronovox.trials.audit import auc
from chronovox.trials.checking import Check
from chronovox.trials.lists import LABELS
from chronovox.trials.pool import Pool, read_pool
from chronovox.trials.rules import read_rules
from chronovox.trials.statistics import describe


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--rules", required=True, help="conf/trials/NAME.yaml")
    parser.add_argument("data")
    parser.add_argument("trials")
    return parser


def read_shortages(path: Path) -> dict[tuple[str, str], int] | None:
    """(utterance, label) -> how many trials it has, of a TRIALS.shortages if any."""
    if not path.exists():
        return None
    shortages = {}
    lines = read_lines(path) if path.stat().st_size else []
    for number, line in enumerate(lines, 1):
        fields = line.split(maxsplit=3)
        if len(fields) < 4 or fields[1] not in LABELS or not fields[2].isdecimal():
            raise UserError(
                f"{path}:{number}: expected '<utt> <label> <found> of <asked>: "
                f"<reason>': '{line}'"
            )
        shortages[fields[0], fields[1]] = int(fields[2])
    return shortages


def read_other(path: Path, like: str | None) -> Trials | None:
    """The list `like` beside `path`, if its rules name one and it is there."""
    other = like and path.with_name(like)
    if other and not other.exists():
        log.warning("%s: no such list: its non-targets are not compared", other)
        return None
    return read_trials(other, check=False) if other else None


def attributes(pool: Pool, enrol, test, gap, durations) -> dict[str, np.ndarray]:
    """What is known of both sides of the trials, by name, each `(N, D)`."""
    found = {}
    for name, values in (*pool.traits.items(), ("session", pool.session)):
        sides = values[enrol], values[test]
        # Who is meant by a session is known by the speaker, which is the task itself.
        own = sides if name != "session" else ()
        found[name] = np.stack([*own, sides[0] == sides[1]], axis=1)
    sides = pool.age[enrol], pool.age[test]
    found["age of enrolment"], found["age of test"] = (side[:, None] for side in sides)
    found["both ages"] = np.stack(sides, axis=1)
    found["gap"] = gap[:, None]
    if durations is not None:
        sides = durations[enrol], durations[test]
        found["duration"] = np.stack([*sides, np.abs(sides[0] - sides[1])], axis=1)
    known = {name: v for name, v in found.items() if not np.isnan(v).all()}
    return known | {"all of these": np.concatenate(list(known.values()), axis=1)}


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    path = Path(args.trials)
    rules, base = read_rules(args.rules)
    pool = read_pool(args.data, [rules, base] if base else [rules], args.rules, True)
    trials = read_trials(path, check=False)
    check = Check(trials, Allowance(pool, rules), base and Allowance(pool, base))
    shortages = read_shortages(path.with_name(f"{path.name}.shortages"))
    violations = list(check.violations(shortages, read_other(path, rules.like)))
    last = len(trials)
    for line, message in sorted(
        violations, key=lambda v: last if v[0] is None else v[0]
    ):
        print(f"{path}: {message}" if line is None else f"{path}:{line + 1}: {message}")

    gap = check.gap()
    speakers = pool.speaker[check.enrol], pool.speaker[check.test]
    for name, number in describe(trials.is_target, speakers[0], gap).items():
        print(name, number)
    durations = None
    if (Path(args.data) / "utt2dur").exists():
        table = read_floats(Path(args.data) / "utt2dur")
        durations = np.array([table.get(utt, np.nan) for utt in pool.utts])
    for name, values in attributes(
        pool, check.enrol, check.test, gap, durations
    ).items():
        print(f"AUC {name} {auc(values, trials.is_target, speakers):.3f}")
    log.info("%s: %d trials, %d violations", path, len(trials), len(violations))
    return 1 if violations else 0


if __name__ == "__main__":
    cli.run(main)
