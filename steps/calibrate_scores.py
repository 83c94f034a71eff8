#!/usr/bin/env python3
"""Calibrate or fuse score files: write one log-likelihood ratio for each trial.

Usage: steps/calibrate_scores.py [options] CALIBRATION DATA TRIALS \\
           SCORES [SCORES ...] OUT_SCORES
  e.g.: steps/calibrate_scores.py exp/xv_s1/calibrations/plda_llr data/test \\
            data/test/trials/hard exp/xv_s1/scores_test/hard.plda \\
            exp/xv_s1/scores_test/hard.plda_llr

CALIBRATION is what steps/train_calibration.py wrote, and the score files are of the
systems that it was trained on, in the same order. Where it asks for quality measures,
--quality DIR has those of DATA. A ratio depends on its own trial alone.

Trials that share speakers with the calibration's are refused, unless
--allow-speaker-overlap true, which marks the results. The very list that it was trained
on is taken, to fix thresholds on, and marked calibration-list. Marks of the score files
and of the calibration are carried on. `gap` is refused for a list whose rules mention
age, unless targets and non-targets are gap-matched.

Writes
  OUT_SCORES       <enrol> <test> <log-likelihood ratio>, natural logarithm
  OUT_SCORES.json  as of steps/score_trials.py; the back end is called as the folder
                   CALIBRATION; of a fusion, models, configurations and embeddings are
                   joined by `+`, and the seed is that of all, if it is one
"""

from pathlib import Path

from chronovox import cli, files
from chronovox.cli import UserError, log
from chronovox.scoring import (
    calibration,
    origin,
    quality,
    read_info,
    read_scores,
    write_scores,
)
from chronovox.scoring.enrolments import read_speakers
from chronovox.trials import read_trials


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--quality", help="of steps/measure_quality.py, of DATA")
    parser.add_argument(
        "--allow-speaker-overlap", type=cli.boolean, default=False, help="default false"
    )
    parser.add_argument("calibration", help="of steps/train_calibration.py")
    parser.add_argument("data")
    parser.add_argument("trials")
    parser.add_argument("scores", nargs="+")
    parser.add_argument("out_scores")
    return parser


def joined(infos: list[dict], name: str) -> str:
    """The distinct values of all systems, in order."""
    return "+".join(dict.fromkeys(info[name] for info in infos))


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    folder, data = Path(args.calibration), Path(args.data)
    trained = calibration.load(folder)
    measures = trained.config.quality
    quality_dir = Path(args.quality) if args.quality else None
    trials = read_trials(args.trials)
    speakers = trials.speakers(read_speakers(data), data / "utt2spk")
    if Path(args.out_scores).resolve() in [Path(p).resolve() for p in args.scores]:
        raise UserError(f"{args.out_scores}: is one of the score files: name another")
    infos = [read_info(path, trials) for path in args.scores]
    calibration.check_systems(trained, folder, args.scores, infos)
    marks = {mark for info in (*infos, *trained.systems) for mark in info["marks"]}
    if files.sha256(args.trials) == trained.trials_sha256:
        marks.add(origin.OWN_LIST_MARK)
    else:
        marks.update(origin.find_overlap(
            set(speakers.names), [folder / "speakers"], args.allow_speaker_overlap
        ))  # fmt: skip
    made_from = quality.read_made_from(
        quality_dir, measures, infos[0]["embeddings_sha256"]
    )
    if trained.cohort is not None and made_from.get("backend") != trained.cohort:
        raise UserError(
            f"{quality_dir}/cohort: of another back end than that of {folder}: measure "
            "again with steps/measure_quality.py --backend DIR, of the same one"
        )
    names = calibration.all_names(trained.systems, trained.config)
    columns = [read_scores(path, trials) for path in args.scores]
    columns += quality.regressors(measures, quality_dir, data, trials).values()
    llrs = trained.llrs(dict(zip(names, columns, strict=True)))
    seeds = {info["seed"] for info in infos}
    write_scores(
        args.out_scores,
        trials,
        llrs,
        {
            "model": joined(infos, "model"),
            "seed": seeds.pop() if len(seeds) == 1 else None,
            "config": joined(infos, "config"),
            "backend": folder.name,
            "marks": sorted(marks),
            "llr": True,
            "system_sha256": files.fingerprint(
                " ".join(str(info["system_sha256"]) for info in infos),
                calibration.parts(folder),
            ),
            "embeddings_sha256": joined(infos, "embeddings_sha256"),
        },
    )
    log.info("%s: %d trials in, %d ratios out", args.out_scores, len(trials), len(llrs))
    return 0


if __name__ == "__main__":
    cli.run(main)
