#!/usr/bin/env python3
"""Are calibrated scores log-likelihood ratios?

Usage: tests/full/calibration.py [--work DIR]
  e.g.: tests/full/calibration.py --work exp/full/calibration

The talkers recipe with three seeds of training; each back end is calibrated on the
development speakers, and measured on all pairs of two sessions that the test speakers
allow. Works in DIR (exp/full/COMMIT/calibration), and goes on where it was stopped.

Prints Cllr and its least, and the actual and the minimum cost at target priors 0.5 and
0.05. Fails if an actual cost is neither within 5 % of the minimum nor has it inside its
95 % interval over speakers, or if Cllr is 10 % above its least.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from chronovox import cli
from chronovox.evaluation import results

ROOT = Path(__file__).resolve().parents[2]
SEEDS, BACKENDS, PRIORS = (1, 2, 3), ("cosine", "plda"), ("0.5", "0.05")
RULES = """positives: {session: different, per_enrolment: 100}
negatives: {per_enrolment: 400000}
"""  # of each utterance all; non-targets are as many times its targets, if there are


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--work", metavar="DIR", help="(exp/full/COMMIT/calibration)")
    return parser


def make_folder(work: Path) -> None:
    """A recipe of its own, with the rules of all pairs."""
    work.mkdir(parents=True, exist_ok=True)
    for name in ("steps", "utils", "local", "cmd.sh"):
        if not (work / name).exists():
            (work / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "conf", work / "conf", dirs_exist_ok=True)
    (work / "conf/trials/all-pairs.yaml").write_text(RULES)
    (work / "path.sh").write_text(f". {ROOT}/path.sh\n")


def measure(work: Path) -> None:
    """Train, score, calibrate and measure, as a user does."""

    def run(*words) -> None:
        with open(work / "log", "a") as log:
            done = subprocess.run(words, cwd=work, stdout=log, stderr=log, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, words))} failed: {work}/log")

    data, listed = "data/test", "data/test/trials/all-pairs"
    run(ROOT / "run.sh", "--seeds", " ".join(map(str, SEEDS)), "--trials", "random",
        "--backends", " ".join(BACKENDS))  # fmt: skip
    rules = "conf/trials/all-pairs.yaml"
    run("steps/select_trials.py", "--rules", rules, data, listed)
    calibrated = []
    for seed in SEEDS:
        model = f"exp/xvector_aam_s{seed}"
        run("steps/score_trials.sh", "--backends", " ".join(BACKENDS), "--trials",
            "all-pairs", data, model)  # fmt: skip
        for backend in BACKENDS:
            scores = f"{model}/scores_test/all-pairs.{backend}"
            run("steps/calibrate_scores.py", f"{model}/calibrations/{backend}_llr",
                data, listed, scores, f"{scores}_llr")  # fmt: skip
            calibrated.append(f"{scores}_llr")
    run("steps/compute_metrics.py", "--p-targets", " ".join(PRIORS), data, listed,
        *calibrated, "exp/all_pairs")  # fmt: skip


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    command = ["git", "-C", ROOT, "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    work = Path(args.work or ROOT / "exp/full" / commit.strip() / "calibration")
    if not (work / "exp/all_pairs/results.json").exists():
        make_folder(work.resolve())
        measure(work.resolve())
    failed = False
    rows = results.read(work / "exp/all_pairs")
    print(f"{rows[0]['n_target']} targets, {rows[0]['n_nontarget']} non-targets")
    for row in rows:
        cells = [
            f"{row['model']:<16} {row['backend']:<12} EER {100 * row['eer']:5.2f} %"
        ]
        cells.append(f"Cllr {row['cllr']:.3f}, least {row['min_cllr']:.3f}")
        failed |= row["cllr"] > 1.1 * row["min_cllr"]
        for prior in PRIORS:
            least, actual = row[f"mindcf_{prior}"], row[f"actdcf_{prior}"]
            low, high = row["intervals"][f"actdcf_{prior}"]
            excess = actual / least - 1
            failed |= excess > 0.05 and not low <= least <= high
            cells.append(
                f"P {prior}: {actual:.4f} [{low:.4f}, {high:.4f}], least {least:.4f} "
                f"({100 * excess:+.1f} %)"
            )
        print("; ".join(cells))
    return int(failed)


if __name__ == "__main__":
    cli.run(main)
