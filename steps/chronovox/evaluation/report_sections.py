"""The sections of the report that come from the table of results and its scores."""

import re
from pathlib import Path

import numpy as np

from chronovox.evaluation import curves, plots
from chronovox.evaluation.drawing import draw, style
from chronovox.evaluation.plots import Dot, Histogram, Line
from chronovox.evaluation.report_inputs import CURVES, Inputs, read_curves
from chronovox.evaluation.report_tables import (
    BEST,
    FEW,
    Section,
    Systems,
    cost_table,
    counts_of,
    error_tables,
    groups,
)
from chronovox.evaluation.rows import TALKERS, is_mean, is_untrained, notes_on

MAX_LINES = 8  # in one picture
MAX_PANELS = 4
NO_SCORES = (
    "No score files were found that fit the table of results: run "
    "steps/compute_metrics.py again where they are."
)


def name_of(*words) -> str:
    """The name of a picture's file."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", "_".join(map(str, words)))


def list_slug(systems: Systems, key: tuple) -> str:
    """A list in the name of a file: with its data where there are several."""
    several = len({other[0] for other in systems.lists}) > 1
    words = [key[0]] if several else []
    if systems.list_name(key) != key[1]:
        words.append(key[2][:6])
    return name_of(*words, key[1])


def title_of(systems: Systems, key: tuple) -> str:
    """A list in a caption."""
    several = len({other[0] for other in systems.lists}) > 1
    name = systems.list_name(key)
    return f"{name} (data/{key[0]})" if several else name


def singles(systems: Systems, key: tuple) -> list[dict]:
    """The rows of a list that are of one model each."""
    return [row for row in systems.of_list(key) if not is_mean(row)]


def tables(systems: Systems) -> list[Section]:
    """Error rates and costs."""
    errors = Section("errors", "Error rates", tables=error_tables(systems))
    errors.notes = [
        f"{BEST} and bold: the lowest EER of a list. Trained models of one seed "
        "count; untrained references, rows with a mark, and means over seeds do not. "
        "Whether two systems differ is for a comparison on the same trials to tell, "
        "not for intervals that overlap or do not.",
        "Below the name of a list: its target and its non-target trials.",
        *(note for note in notes_on(systems.rows) if note != TALKERS),
    ]
    costs, any_few = cost_table(systems)
    section = Section("costs", "Detection costs and calibration", tables=[costs])
    section.notes.append(
        "minDCF: the cost at the best threshold of the list itself; actDCF: at the "
        "threshold that the prior P of a target demands of log-likelihood ratios. "
        "Cllr: what the scores cost over all priors; min Cllr: after the best "
        "monotonic calibration. A dash: not computed."
    )
    if any_few:
        section.notes.append(f"{FEW} rests on fewer than 30 misses or false alarms.")
    return [errors, section]


def few_lines(systems: Systems, rows: list[dict]) -> tuple[list[dict], int]:
    """The rows of at most MAX_LINES systems, and how many systems are left out.

    References stay; of the others those of the lowest EER.
    """
    best: dict[tuple, float] = {}
    for row in rows:
        key = systems.key(row)
        rank = -1.0 if is_untrained(row) else row["eer"]
        best[key] = min(best.get(key, rank), rank)
    kept = sorted(best, key=best.get)[:MAX_LINES]
    return [row for row in rows if systems.key(row) in kept], len(best) - len(kept)


def det(systems: Systems, inputs: Inputs) -> Section:
    """Detection error trade-off, a picture for each list."""
    section = Section("det", "Detection error trade-off")
    left_out = 0
    for key in systems.lists:
        rows, more = few_lines(systems, singles(systems, key))
        found = [(row, inputs.scores(row)) for row in rows]
        found = [(row, scored) for row, scored in found if scored is not None]
        if not found:
            continue
        left_out = max(left_out, more)
        size = max(rows[0]["n_target"], rows[0]["n_nontarget"])
        low = float(np.clip(1.0 / size, 0.0005, 0.05))
        lines = [
            Line(
                systems.label(row), systems.style(row),
                *curves.det_points(scored, low),
            )
            for row, scored in found
        ]  # fmt: skip
        eers = [row["eer"] for row, _ in found]
        section.pictures.append(draw(
            f"det_{list_slug(systems, key)}", title_of(systems, key), plots.det, lines,
            eers, low,
        ))  # fmt: skip
    if not section.pictures:
        section.missing = NO_SCORES
        return section
    section.text = [
        "Misses against false alarms as the threshold moves, on probit axes: the lower "
        "left is better. The marker is the equal error rate, where a curve meets the "
        "diagonal. Seeds of one system share a line style."
    ]
    if left_out:
        section.notes = [
            f"At most {MAX_LINES} systems a picture, those of the lowest EER; up to "
            f"{left_out} are left out."
        ]
    return section


def score_histograms(systems: Systems, inputs: Inputs) -> Section:
    """Scores of targets and non-targets: the first model, each list."""
    section = Section("scores", "Scores")
    model = next((r["model"] for r in systems.rows if not is_mean(r)), None)
    for key in systems.lists:
        panels = []
        for row in singles(systems, key):
            scored = inputs.scores(row) if row["model"] == model else None
            if scored is not None and len(panels) < MAX_PANELS:
                kinds = (
                    scored.scores[scored.is_target],
                    scored.scores[~scored.is_target],
                )
                # Where both errors are alike: as many targets below as others above.
                mark = float(np.quantile(kinds[0], row["eer"]))
                panels.append(Histogram(row["backend"], *kinds, mark))
        if panels:
            section.pictures.append(draw(
                f"scores_{list_slug(systems, key)}", title_of(systems, key),
                plots.histograms, panels, "score",
            ))  # fmt: skip
    if not section.pictures:
        section.missing = NO_SCORES
        return section
    section.text = [
        f"What {model} says of targets and non-targets, by back end; each has area 1. "
        "The upright line is the threshold of the equal error rate."
    ]
    return section


def gap_of(row: dict) -> tuple[str, int] | None:
    """Family and years of a list called like only-CA10; None for another list."""
    found = re.fullmatch(r"(.*)CA(\d{1,3})(.*)", row["trials"])
    if not found:
        return None
    return (found[1].rstrip("-_") + found[3]) or "CA", int(found[2])


def age_gap(systems: Systems) -> Section:
    """EER over the years between the two sides."""
    section = Section("gap", "Error rate over the years between")
    rows = [row for row in systems.rows if gap_of(row)]
    means = {systems.key(row) for row in rows if is_mean(row)}
    rows = [r for r in rows if is_mean(r) or systems.key(r) not in means]
    rows, left_out = few_lines(systems, rows)
    if left_out:
        section.notes = [
            f"Of {MAX_LINES} systems, those of the lowest EER; {left_out} are left out."
        ]
    if not rows:
        section.missing = (
            "There is no row of a list by age, such as only-CA10: ./run.sh --stage 2 "
            "--trials all makes and scores them all."
        )
        return section
    section.text = [
        "Targets of only-CAg and Vox-CAg lie g years apart or more; those of match-CAg "
        "at most 2, with the same enrolments and non-targets as only-CAg. The bars are "
        "95 % intervals over speakers."
    ]
    years = sorted({gap_of(row)[1] for row in rows})
    plot = _gap_dots if len(years) == 1 else _gap_lines
    datasets = sorted({row["data"] for row in rows})
    for data in datasets:
        some = [row for row in rows if row["data"] == data]
        section.pictures += plot(systems, some, data if len(datasets) > 1 else "")
    return section


def dot_of(row: dict, look) -> Dot:
    """The EER of a row in percent."""
    low, high = row["eer_lo"], row["eer_hi"]
    if low is None or high is None:
        low = high = np.nan
    return Dot(look, 100 * row["eer"], 100 * low, 100 * high)


def _gap_dots(systems: Systems, rows: list[dict], data: str) -> list:
    """Where there is only one number of years; references apart from the others."""
    pictures = []
    for kind, untrained in (("", False), ("references", True)):
        panels = [
            (
                systems.label(group[0]),
                [
                    (gap_of(row)[0], [dot_of(row, systems.style(row))])
                    for row in sorted(group, key=gap_of)
                ],
            )
            for _, group in groups(rows, systems.key)
            if is_untrained(group[0]) == untrained
        ]
        words = [f"{gap_of(rows[0])[1]} years", kind, data and f"data/{data}"]
        if panels:
            pictures.append(draw(
                name_of("gap", *filter(None, (data, kind))),
                ", ".join(filter(None, words)), plots.dots, panels, "EER, %",
            ))  # fmt: skip
    return pictures


def _gap_lines(systems: Systems, rows: list[dict], data: str) -> list:
    """A picture a system, with a line a family."""
    pictures = []
    families = sorted({gap_of(row)[0] for row in rows})
    years = sorted({gap_of(row)[1] for row in rows})
    top = {}  # the same for all trained systems
    for row in rows:
        high = 104 * max(row["eer"], row["eer_hi"] or 0.0)
        top[is_untrained(row)] = max(high, top.get(is_untrained(row), 0.0))
    for number, (_, group) in enumerate(groups(rows, systems.key)):
        lines = []
        for family in families:
            points = sorted(
                (gap_of(row)[1], dot_of(row, None))
                for row in group if gap_of(row)[0] == family
            )  # fmt: skip
            if points:
                x, kept = zip(*points, strict=True)
                lines.append(Line(
                    family, style(families.index(family)), np.array(x, float),
                    *(np.array([getattr(dot, name) for dot in kept])
                      for name in ("value", "low", "high")),
                ))  # fmt: skip
        caption = systems.label(group[0]) + (f", data/{data}" if data else "")
        pictures.append(draw(
            name_of("gap", *filter(None, [data]), number + 1), caption,
            plots.against_time, [("EER, %", lines)], "years between enrolment and test",
            ticks=(years, [str(year) for year in years]), bars=True,
            top=top[is_untrained(group[0])],
        ))  # fmt: skip
    return pictures


def calibration(systems: Systems, inputs: Inputs) -> Section:
    """Normalised Bayes error rates of scores that are log-likelihood ratios."""
    section = Section("calibration", "Calibration")
    log_odds = np.linspace(-8.0, 4.0, 145)
    priors = (0.001, 0.01, 0.05)
    for key in systems.lists:
        rows = [
            {**row, "scores": row.get("calibrated") or row.get("scores")}
            for row in singles(systems, key)
            if row.get("llr") is True or row.get("calibrated")
        ]
        pairs = []
        for row in few_lines(systems, rows)[0]:
            scored = inputs.scores(row)
            if scored is not None:
                actual, least, few = curves.bayes_errors(scored, log_odds)
                look = systems.label(row), systems.style(row)
                pairs.append((Line(*look, log_odds, actual, thin=few),
                              Line(*look, log_odds, least)))  # fmt: skip
        if pairs:
            section.pictures.append(draw(
                f"calibration_{list_slug(systems, key)}", title_of(systems, key),
                plots.bayes_error, pairs, priors,
            ))  # fmt: skip
    if not section.pictures:
        section.missing = (
            "No row of the table holds log-likelihood ratios with their score files "
            "(`llr` in results.json): steps/compute_metrics.py on the scores of a "
            "calibrated back end gives one."
        )
        return section
    section.text = [
        "Normalised Bayes error rate (Brümmer): the cost of deciding by the scores as "
        "the log-likelihood ratios that they claim to be, over the prior log-odds of a "
        "target, divided by the cost of deciding without them; below it, dashed, the "
        "cost at the best threshold. The space between the two is what calibration "
        "loses; above 1 the scores do harm. Thin: fewer than 30 misses or false alarms."
    ]
    return section


def training(systems: Systems, results_dir) -> Section:
    """Curves of the trainings of all models of the table."""
    section = Section("training", "Training")
    home = Path(results_dir).resolve().parent
    trained = [r for r in systems.rows if not is_untrained(r) and not is_mean(r)]
    found = {}
    for model in dict.fromkeys(row["model"] for row in trained):
        measured = read_curves(home / model / "log" / "tensorboard")
        if measured:
            found[model] = measured
        else:
            section.notes.append(
                f"{model}: no curves in {home.name}/{model}/log/tensorboard: "
                "steps/train_embedding.py writes them."
            )
    labels = dict(
        zip(CURVES, ("loss", "accuracy on training data", "development EER, %"),
            strict=True)
    )  # fmt: skip
    for name in CURVES:
        lines = [
            Line(model, style(number), *measured[name])
            for number, (model, measured) in enumerate(found.items())
            if name in measured
        ]
        if lines:
            section.pictures.append(draw(
                f"training_{name}", labels[name][0].upper() + labels[name][1:],
                plots.progress, lines[:MAX_LINES], labels[name],
            ))  # fmt: skip
    if len(found) > MAX_LINES:
        section.notes.append(f"The first {MAX_LINES} of {len(found)} models.")
    if not section.pictures:
        section.missing = "No training of a model of the table has left curves."
    return section


def trial_ages(systems: Systems, inputs: Inputs) -> Section:
    """Ages, and years between the sides, of every list."""
    section = Section("ages", "Ages in the trial lists")
    for key in systems.lists:
        rows = systems.of_list(key)
        found = next(filter(None, map(inputs.ages, rows)), None)
        if found is None or not len(found[0]):
            continue
        enrol, test, is_target = found
        gaps = np.abs(enrol - test)
        both = np.concatenate
        panels = [
            Histogram("ages of both sides, years",
                      both([enrol[is_target], test[is_target]]),
                      both([enrol[~is_target], test[~is_target]])),
            Histogram("years between the sides", gaps[is_target], gaps[~is_target]),
        ]  # fmt: skip
        section.pictures.append(draw(
            f"ages_{list_slug(systems, key)}", title_of(systems, key),
            plots.histograms, panels, "years", bins=40,
        ))  # fmt: skip
        if len(enrol) < rows[0]["n_target"] + rows[0]["n_nontarget"]:
            section.notes.append(
                f"{title_of(systems, key)}: both ages are known of {len(enrol)} trials "
                f"alone; the list has {counts_of(rows[0])}."
            )
    if not section.pictures:
        section.missing = (
            "No ages of the trials were found (utt2age in the data directory): "
            "steps/label_ages.py or steps/import_ages.py writes them."
        )
        return section
    section.text = [
        "Of all trials of a list, as utt2age has the ages. What sets the two kinds "
        "apart here, a system may tell them apart by."
    ]
    return section
