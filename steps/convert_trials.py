#!/usr/bin/env python3
"""Turn published lists of VoxCeleb into trials, or trials into such a list.

Usage: steps/convert_trials.py [options] DATA LIST OUT
  e.g.: steps/convert_trials.py data/test veri_test2.txt data/test/trials/O-cleaned
        steps/convert_trials.py --to voxceleb data/test data/test/trials/our-E test.txt

Reads `1 spk/video/00001.wav spk/video/00002.wav`, the label first or last, as 1, 0,
target or nontarget, utterances as paths or joined by dashes; writes `<enrol> <test>
target|nontarget`. --to voxceleb: the other way round, label first. The order stays.
Trials with an utterance that DATA lacks, or of one with itself, are left out and listed
in OUT.dropped.
"""

from pathlib import Path

import numpy as np

from chronovox import cli
from chronovox.cli import UserError, log
from chronovox.datadir import read_table
from chronovox.files import write_lines
from chronovox.trials import Trials, read_trials, write_trials
from chronovox.trials.published import read_published, write_published


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--to", choices=["kaldi", "voxceleb"], default="kaldi", help="(kaldi)"
    )
    parser.add_argument(
        "--max-fail-ratio", type=cli.fraction, default=0.05, help="to leave out (0.05)"
    )
    parser.add_argument("data", help="the data directory that the utterances are of")
    parser.add_argument("list", help="a published list, or trials")
    parser.add_argument("out")
    return parser


def known_trials(trials: Trials, utt2spk, args) -> Trials:
    """Those of two utterances of the data; lists the others. Raises UserError."""
    pairs = list(trials.blocks())
    known = np.array([a != b and a in utt2spk and b in utt2spk for a, b in pairs])
    dropped = []
    for number in np.flatnonzero(~known).tolist():
        one, other = pairs[number]
        why = f"not both in {args.data}" if one != other else "compared with itself"
        dropped.append(f"{one} {other} line {number + 1}: {why}")
    path = Path(f"{args.out}.dropped")
    write_lines(path, dropped)
    counts = len(trials), int(known.sum()), len(dropped)
    log.info("%s: %d trials in, %d out, %d dropped (%s)", args.list, *counts, path)
    if not known.any() or len(dropped) > args.max_fail_ratio * len(trials):
        raise UserError(
            f"{args.list}: {len(dropped)} of {len(trials)} trials were dropped, more "
            f"than --max-fail-ratio {args.max_fail_ratio} allows; the first: "
            f"{dropped[0]}; all are in {path}"
        )
    rows = np.flatnonzero(known)
    sides = trials.enrol_row[rows], trials.test_row[rows]
    return Trials(trials.keys, *sides, trials.is_target[rows], trials.path)


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    if Path(args.out).exists() and Path(args.out).samefile(args.list):
        raise UserError(f"{args.out}: is the list itself: write to another file")
    utt2spk = read_table(Path(args.data) / "utt2spk")
    if args.to == "kaldi":
        trials = known_trials(read_published(args.list), utt2spk, args)
        trials.speakers(utt2spk, f"{args.data}/utt2spk")  # the labels agree with it
        write_trials(args.out, trials)
        return 0
    trials = known_trials(read_trials(args.list), utt2spk, args)
    utt2session = read_table(Path(args.data) / "utt2session")
    write_published(args.out, trials, utt2spk, utt2session)
    return 0


if __name__ == "__main__":
    cli.run(main)
