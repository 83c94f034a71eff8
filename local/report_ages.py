#!/usr/bin/env python3
"""Print what ages from faces, and the lists that rest on them, are worth.

usage: local/report_ages.py [options] DATA FACE2AGE TRUTH
e.g.:  local/report_ages.py data/test exp/dex/test/face2age exp/truth

For the mean and the median of 1, 3 and 5 faces of a session: mean absolute and mean
error of the sessions' ages; and, of the targets of each list only-CAg that these ages
give, the share that is truly less than g years apart, and by how many years on average
the estimated gap is above the true one. TRUTH is for evaluation alone. With --results,
DIR/ages.json has the errors, and the ages of all sessions, for steps/make_report.py.
"""

import dataclasses
import json
import statistics
from pathlib import Path

import numpy as np

from chronovox import cli
from chronovox.ages import read_sessions
from chronovox.datadir import read_floats, read_table
from chronovox.files import atomic_write
from chronovox.scoring import name_below
from chronovox.trials.allowance import Allowance
from chronovox.trials.pool import read_pool
from chronovox.trials.rules import read_rules
from chronovox.trials.selection import select

STATISTICS = {"mean": statistics.fmean, "median": statistics.median}
COUNTS = (1, 3, 5)  # faces of a session
GAPS = (5, 10, 15, 20)  # years


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the lists (default: 1)")
    parser.add_argument("--results", metavar="DIR", help="write ages.json there")
    parser.add_argument("data", help="data directory with faces")
    parser.add_argument("face2age", help="ages of its faces")
    parser.add_argument("truth", help="folder of the truth")
    return parser


def faces_of_sessions(data: Path, face2age_path, session_of: dict) -> dict:
    """(speaker, session) -> years of its faces."""
    face2age = read_floats(face2age_path)
    ages: dict = {}
    for face, utt in read_table(data / "faces" / "face2utt").items():
        if face in face2age:
            ages.setdefault(session_of[utt], []).append(face2age[face])
    return ages


def write_results(folder, data: Path, rows: list[dict], ages, true) -> None:
    """Write ages.json: errors, and the ages by the mean of all faces of a session."""
    sessions = sorted(ages)
    points = {
        "true": [true[session] for session in sessions],
        "estimated": [ages[session] for session in sessions],
    }
    named = [{"data": name_below("data", data), **row} for row in rows]
    with atomic_write(Path(folder) / "ages.json") as stream:
        json.dump({"rows": named, "points": points}, stream)
        stream.write("\n")


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    data, truth = Path(args.data), read_floats(Path(args.truth) / "utt2age")
    session_of = read_sessions(data)
    true_of_session = {session_of[utt]: truth[utt] for utt in session_of}
    faces = faces_of_sessions(data, args.face2age, session_of)
    paths = {gap: f"conf/trials/only-CA{gap}.yaml" for gap in GAPS}
    rules = {gap: read_rules(path)[0] for gap, path in paths.items()}
    unaged = read_pool(data, [*rules.values()], paths[GAPS[0]])
    columns = [f"{name} CA{gap}" for gap in GAPS for name in ("below", "over")]
    print(
        "\nages of sessions from faces: errors in years; of targets of only-CAg, those"
        "\ntruly less than g years apart (below), and by how many years gaps are over"
    )
    print("faces          MAE   error", *(f"{name:>10}" for name in columns))
    found: list[dict] = []
    for name, statistic in STATISTICS.items():
        for count in COUNTS:
            ages = {s: statistic(years[:count]) for s, years in faces.items()}
            years = np.array([ages.get(session_of[u], np.nan) for u in unaged.utts])
            pool = dataclasses.replace(unaged, age=years)
            errors = np.array([ages[s] - true_of_session[s] for s in ages])
            mae, bias = float(np.abs(errors).mean()), float(errors.mean())
            found.append({
                "num_faces": count, "statistic": name, "mae": mae, "bias": bias,
                "n": len(errors),
            })  # fmt: skip
            cells = [f"{mae:6.2f}", f"{bias:7.2f}"]
            for gap in GAPS:
                trials, _ = select(Allowance(pool, rules[gap]), args.seed)
                rows = trials.rows({utt: n for n, utt in enumerate(pool.utts)}, data)
                estimated, true = (
                    np.abs(values[rows[0]] - values[rows[1]])[trials.is_target]
                    for values in (years, np.array([truth[utt] for utt in pool.utts]))
                )
                below, over = "-", "-"
                if len(true):
                    below = f"{100 * np.mean(true < gap):.1f} %"
                    over = f"{np.mean(estimated - true):.2f}"
                cells += [f"{below:>10}", f"{over:>10}"]
            print(f"{name:6} of {count}", *cells)
    if args.results:
        of_mean = {s: statistics.fmean(years) for s, years in faces.items()}
        write_results(args.results, data, found, of_mean, true_of_session)
    return 0


if __name__ == "__main__":
    cli.run(main)
