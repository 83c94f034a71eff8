#!/usr/bin/env python3
"""Select the trials of a list by the rules of a YAML file.

Usage: steps/select_trials.py --rules conf/trials/NAME.yaml [--seed N] DATA TRIALS
  e.g.: steps/select_trials.py --rules conf/trials/hard.yaml data/test \\
            data/test/trials/hard

Reads utt2spk and, where the rules need them, utt2session, spk2gender, spk2nationality,
utt2age and utt2age_std. Every utterance is an enrolment once. Its partners are drawn
uniformly from those that the rules allow; the draw depends on the seed and on which
utterances there are. No utterance is compared with itself, and no pair occurs twice, in
either order. Non-targets match the targets found in number. Where partners are few, no
pair that could be added is left out, but more might be found in another order.

Writes
  TRIALS            <enrol> <test> target|nontarget
  TRIALS.stats      numbers of enrolment speakers, trials, targets, non-targets, and
                    the years between their sides where ages are known; age-rule: none
                    if no rule mentions age; matched if targets and non-targets are as
                    many years apart, within a year; else unmatched
  TRIALS.shortages  enrolments that got fewer trials than the rules ask for, why
"""

from collections import Counter
from pathlib import Path

import numpy as np

from chronovox import cli
from chronovox.cli import UserError, log
from chronovox.files import write_lines
from chronovox.trials import check_name, write_trials
from chronovox.trials.allowance import Allowance
from chronovox.trials.pool import read_pool
from chronovox.trials.rules import age_rule, read_rules
from chronovox.trials.selection import select
from chronovox.trials.statistics import describe, stats_path

MIN_SPEAKERS = 30
MIN_TARGETS = 500


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--rules", required=True, help="conf/trials/NAME.yaml")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    parser.add_argument("data")
    parser.add_argument("trials")
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    path = Path(args.trials)
    check_name(path.name)
    rules, base = read_rules(args.rules)
    for suffix in ("", ".stats", ".shortages"):  # what is there is of other data
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    pool = read_pool(args.data, [rules, base] if base else [rules], args.rules)
    allowance = Allowance(pool, rules)
    trials, shortages = select(allowance, args.seed, base and Allowance(pool, base))
    num_targets = int(trials.is_target.sum())
    if num_targets == 0:
        reasons = Counter(shortage.reason for shortage in shortages)
        (reason, number), *_ = reasons.most_common(1)
        raise UserError(
            f"{args.data}: no target trial obeys {args.rules}: for {number} of "
            f"{len(pool)} utterances, {reason}: use other rules, or add recordings"
        )
    if num_targets == len(trials):
        raise UserError(
            f"{args.data}: no non-target trial obeys {args.rules}: add speakers"
        )

    index = {utt: row for row, utt in enumerate(pool.utts)}
    enrol, test = trials.rows(index, args.data)
    gap = np.abs(pool.age[enrol] - pool.age[test])
    numbers = describe(trials.is_target, pool.speaker[enrol], gap)
    num_spk = numbers["spk"]
    write_lines(path.with_name(f"{path.name}.shortages"), map(str, shortages))
    numbers["age-rule"] = age_rule(rules, base)
    write_lines(
        stats_path(path), [f"{name} {value}" for name, value in numbers.items()]
    )
    write_trials(path, trials)
    log.info(
        "%s: %d utterances in; %d target and %d non-target trials of %d enrolment "
        "speakers out; %d shortages (%s.shortages)",
        path, len(pool), num_targets, len(trials) - num_targets, num_spk,
        len(shortages), path,
    )  # fmt: skip
    if num_spk < MIN_SPEAKERS or num_targets < MIN_TARGETS:
        log.warning(
            "%s: too few: %d speakers and %d targets (%d and %d make a list that "
            "conclusions can rest on)",
            path, num_spk, num_targets, MIN_SPEAKERS, MIN_TARGETS,
        )  # fmt: skip
    return 0


if __name__ == "__main__":
    cli.run(main)
