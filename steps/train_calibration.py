#!/usr/bin/env python3
"""Train a calibration or a fusion: scores to one log-likelihood ratio.

Usage: steps/train_calibration.py [--quality DIR] CONFIG DATA TRIALS \\
           SCORES [SCORES ...] OUT_DIR
  e.g.: steps/train_calibration.py conf/calibration/linear.yaml data/dev \\
            data/dev/trials/calibration exp/xv_s1/scores_dev/calibration.plda \\
            exp/xv_s1/calibrations/plda_llr

One score file is calibrated, several are fused, by logistic regression at the prior
that CONFIG names. TRIALS are of speakers that were neither in training nor will be in a
test: such as conf/trials/calibration.yaml makes of development data. Where CONFIG asks
for quality measures, DIR has them (steps/measure_quality.py), of the embeddings of the
first score file; `gap` is of DATA/utt2age, and refused for a list whose rules mention
age, unless targets and non-targets are gap-matched.

Writes
  OUT_DIR/weights       <name> <number>: offset, MODEL/BACKEND of each score file, each
                        measure (of duration the logarithm, of faces that of 1 + number)
  OUT_DIR/systems.json  what the scores are of, in order, and the list they were of
  OUT_DIR/speakers      <spk> <number of trials>: steps/calibrate_scores.py refuses them
  OUT_DIR/config.yaml   the settings
The name of OUT_DIR is the back end of the scores that it makes.
"""

from pathlib import Path

import numpy as np

from chronovox import cli, config, files
from chronovox.cli import UserError, log
from chronovox.evaluation import metrics
from chronovox.scoring import calibration, quality, read_info, read_scores
from chronovox.scoring.calibration import Calibration, CalibrationConfig
from chronovox.scoring.enrolments import read_speakers
from chronovox.scoring.files import SYSTEM
from chronovox.trials import read_trials

MIN_SPEAKERS = 30


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--quality", help="of steps/measure_quality.py")
    parser.add_argument("config", help="such as conf/calibration/linear.yaml")
    parser.add_argument("data")
    parser.add_argument("trials")
    parser.add_argument("scores", nargs="+")
    parser.add_argument("out_dir")
    return parser


def warn(trained: Calibration, regressors, path: str) -> None:
    """Say what nobody would expect of the weights."""
    for name, values in regressors.items():
        if values.min() == values.max():
            log.warning("%s: %s never varies: its weight is 0", path, name)
    (name, *others) = map(calibration.name_of, trained.systems)
    if not others and trained.weights[name] < 0:
        log.warning(
            "%s: the weight of %s is %.3g: higher scores speak for different speakers. "
            "Are they distances, or no better than chance?",
            path, name, trained.weights[name],
        )  # fmt: skip


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    settings = config.load(args.config, CalibrationConfig)
    data, out = Path(args.data), Path(args.out_dir)
    calibration.clear(out)
    folder = Path(args.quality) if args.quality else None
    trials = read_trials(args.trials)
    speakers = trials.speakers(read_speakers(data), data / "utt2spk")
    infos = [read_info(path, trials) for path in args.scores]
    systems = [{name: info[name] for name in SYSTEM} for info in infos]
    names = calibration.all_names(systems, settings)
    again = [name for name in names if names.count(name) > 1]
    if again:
        raise UserError(
            f"{args.trials}: two of the score files are of {again[0]}: give each once"
        )
    if out.name in [info["backend"] for info in infos]:
        raise UserError(
            f"{out}: is called as the back end of a score file: results could not be "
            "told apart: name it otherwise"
        )
    made_from = quality.read_made_from(
        folder, settings.quality, infos[0]["embeddings_sha256"]
    )
    columns = [read_scores(path, trials) for path in args.scores]
    measures = quality.regressors(settings.quality, folder, data, trials)
    regressors = dict(zip(names, [*columns, *measures.values()], strict=True))
    try:
        weights = calibration.train(regressors, trials.is_target, settings.p_target)
    except UserError as error:
        raise UserError(f"{args.trials}: {error}") from None
    cohort = made_from.get("backend") if "cohort" in settings.quality else None
    sha256 = files.sha256(args.trials)
    trained = Calibration(settings, systems, cohort, weights, sha256)
    warn(trained, regressors, args.trials)
    if len(speakers.names) < MIN_SPEAKERS:
        log.warning(
            "%s: %d speakers: too few for a calibration that holds for others",
            args.trials, len(speakers.names),
        )  # fmt: skip
    both = np.concatenate([speakers.enrol, speakers.test])
    counts = np.bincount(both, minlength=len(speakers.names)).tolist()
    calibration.save(
        trained, out, dict(zip(speakers.names, counts, strict=True))
    )  # fmt: skip
    llrs, is_target = trained.llrs(regressors), trials.is_target
    log.info(
        "%s: %d trials of %d speakers in; Cllr %.4f; %s", out, len(trials),
        len(speakers.names), metrics.cllr(llrs[is_target], llrs[~is_target]),
        ", ".join(f"{name} {weight:.4g}" for name, weight in weights.items()),
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    cli.run(main)
