"""The sections of the report that come from JSON files of their own."""

import math

import numpy as np

from chronovox.evaluation import plots
from chronovox.evaluation.drawing import Picture, Style, draw, style
from chronovox.evaluation.plots import Dot, Line
from chronovox.evaluation.report_inputs import (
    COMMANDS,
    Comparison,
    Condition,
    Estimate,
    Lifetime,
    age_points,
    read_document,
)
from chronovox.evaluation.report_sections import MAX_LINES, name_of
from chronovox.evaluation.report_tables import (
    Cell,
    Section,
    Table,
    estimate_cell,
    groups,
)
from chronovox.evaluation.rows import list_of

_DASH = Cell("\N{EN DASH}")
MAX_ROWS = 24  # of one picture


def _absent(section: Section, name: str) -> Section:
    section.missing = (
        f"{name} was not found beside results.json: {COMMANDS[name]} makes it."
    )
    return section


def _current(
    section: Section, results_dir, name: str, of_results: list[dict]
) -> list | None:
    """The rows of a file that are of the lists and embeddings of the table of results.

    None, and why in the section, without the file. What is marked is told there, too.
    """
    read = read_document(results_dir, name)
    if read is None:
        _absent(section, name)
        return None
    lists = set(map(list_of, of_results))
    embeddings = {sha for row in of_results for sha in _shas(row)}
    kept = [
        item
        for item in read[0]
        if list_of(item.row) in lists and _shas(item.row) <= embeddings
    ]
    left_out = len(read[0]) - len(kept)
    if left_out:
        section.notes.append(
            f"{left_out} of {len(read[0])} rows of {name} are of lists or embeddings "
            f"that the table of results has not, and are not shown: {COMMANDS[name]} "
            "measures again."
        )
    marks = sorted({mark for item in kept for mark in item.row.get("marks", [])})
    if marks:
        section.notes.append(f"* marked: {', '.join(marks)}.")
    return kept


def _shas(row: dict) -> set[str]:
    """The fingerprints of the embeddings behind a row."""
    told = row.get("embeddings_sha256") or []
    told = [told] if isinstance(told, str) else told
    return {part for text in told for part in str(text).split("+")}


def _system(row: dict) -> str:
    star = " *" if row.get("marks") else ""
    return f"{row['model']} {row['backend']}{star}"


def _of_list(item) -> tuple[str, str]:
    return item.row["data"], item.row["trials"]


def _list_name(key: tuple) -> str:
    return f"{key[1]} (data/{key[0]})"


def _percent_dot(look, estimate: Estimate) -> Dot:
    return Dot(look, *(100 * x for x in (estimate.value, estimate.low, estimate.high)))


def lifetime(results_dir, of_results: list[dict]) -> Section:
    """How long an enrolment holds: error rates over the time since."""
    section = Section("lifetime", "Lifetime of an enrolment")
    rows = _current(section, results_dir, "lifetime.json", of_results)
    if rows is None:
        return section
    rows = [row for row in rows if row.bins]
    named = sorted({str(r.row["dev_trials"]) for r in rows if r.row.get("dev_trials")})
    dev = ", ".join(named) or "development trials"
    section.text = [
        f"The threshold is set once, on {dev}, so that non-targets are accepted at "
        "the rate given; then targets are tried the longer after their enrolment. "
        "Bands: 95 % intervals over speakers. The score shift is the change of the "
        "mean target score."
    ]
    for (data, trials, unit), group in groups(
        rows, lambda item: (*_of_list(item), item.unit)
    ):
        section.pictures += _lifetime_pictures((data, trials), unit, group[:MAX_LINES])
    if rows:
        section.tables = [_doubling_table(rows), _bin_table(rows)]
    else:
        section.missing = "lifetime.json has no row with trials."
    return section


def _lifetime_pictures(key: tuple, unit: str, rows: list[Lifetime]) -> list[Picture]:
    names = sorted({name for row in rows for one in row.bins for name in one.rates})
    rejected = [(name, f"FRR, % at FAR {100 * float(name[4:]):g} %")
                for name in names if name.startswith("frr_")]  # fmt: skip
    costs = [(name, f"actDCF, P = {name[7:]}")
             for name in names if name.startswith("actdcf_")]  # fmt: skip
    others = {"shift": "score shift", "cllr_loss": "Cllr \N{MINUS SIGN} min Cllr"}
    costs += [(name, others[name]) for name in ("cllr_loss",) if name in names]
    shift = [(name, others[name]) for name in ("shift",) if name in names]
    pictures = []
    for kind, caption, panels in (
        ("rejected", "targets rejected", sorted(rejected, reverse=True)),
        ("cost", "costs at a fixed threshold", costs),
        ("shift", "target scores", shift),
    ):
        lines = [
            (label, [_lifetime_line(n, row, name) for n, row in enumerate(rows)])
            for name, label in panels
        ]
        lines = [
            (label, [line for line in kept if len(line.x)]) for label, kept in lines
        ]
        lines = [(label, kept) for label, kept in lines if kept]
        if lines:
            pictures.append(draw(
                name_of("lifetime", kind, *key, unit),
                f"{_list_name(key)}: {caption}", plots.against_time, lines,
                f"{unit} since enrolment",
            ))  # fmt: skip
    return pictures


def _lifetime_line(number: int, row: Lifetime, name: str) -> Line:
    """One rate over the middles of the bins that have it."""
    scale = 100.0 if name.startswith("frr_") else 1.0
    found = [(b, b.rates[name]) for b in row.bins
             if name in b.rates and math.isfinite(b.rates[name].value)]  # fmt: skip
    middles = np.array([one.middle for one, _ in found], float)
    values = [
        scale * np.array([getattr(rate, field) for _, rate in found], float)
        for field in ("value", "low", "high")
    ]
    return Line(_system(row.row), style(number), middles, *values)


def _doubling_table(rows: list[Lifetime]) -> Table:
    rates = sorted({far for row in rows for far in row.doubling}, key=_as_number)
    head = [Cell("system"), Cell("list"), Cell("unit")]
    head += [Cell("FRR doubles after", f"FAR {100 * float(far):g} %") for far in rates]
    body = []
    for row in rows:
        cells = [
            Cell(row.row["model"], _seeded(row.row)), Cell(row.row["trials"]),
            Cell(row.unit),
        ]  # fmt: skip
        for far in rates:
            estimate = row.doubling.get(far, Estimate())
            bounds = estimate.value, estimate.low, estimate.high
            known = any(map(math.isfinite, bounds))  # later than a bound, perhaps
            cells.append(estimate_cell(estimate, digits=1) if known else _DASH)
        body.append(cells)
    caption = "Time after which twice as many targets are rejected as in the first bin."
    return Table(caption, head, [("", body)], words=frozenset({0, 1, 2}))


def _as_number(text: str) -> float:
    return -float(text)


def _seeded(row: dict) -> str:
    seed = row.get("seed")
    return row["backend"] if seed is None else f"{row['backend']}, seed {seed}"


def _bin_table(rows: list[Lifetime]) -> Table:
    names = sorted({name for row in rows for one in row.bins for name in one.rates})
    head = [Cell("bin"), Cell("targets"), Cell("speakers"), *map(Cell, names)]
    bodies = []
    for row in rows:
        body = []
        for one in row.bins:
            cells = [
                Cell(f"{one.name} {row.unit}"),
                Cell(str(one.n_target)), Cell(str(one.n_spk)),
            ]  # fmt: skip
            for name in names:
                estimate = one.rates.get(name, Estimate())
                scale = 100.0 if name.startswith("frr_") else 1.0
                known = math.isfinite(estimate.value)
                cells.append(
                    estimate_cell(estimate, scale, 2 if scale > 1 else 3)
                    if known else _DASH
                )  # fmt: skip
            body.append(cells)
        bodies.append((f"{_system(row.row)}: {_list_name(_of_list(row))}", body))
    return Table("All bins, FRR in %", head, bodies, folded=True)


def conditions(results_dir, of_results: list[dict]) -> Section:
    """EER of parts of a list."""
    section = Section("conditions", "Conditions")
    rows = _current(section, results_dir, "conditions.json", of_results)
    if rows is None:
        return section
    if not rows:
        section.missing = "conditions.json has no row."
        return section
    section.text = [
        "EER of those trials of a list alone that are of one condition. The bars are "
        "95 % intervals over speakers."
    ]
    systems = {name: style(n) for n, (name, _) in
               enumerate(groups(rows, lambda r: _system(r.row)))}  # fmt: skip
    shown = dict(list(systems.items())[:MAX_LINES])
    for key, group in groups(rows, _of_list):
        rated = [
            row
            for row in group
            if row.counts[0] is not None and not math.isnan(row.eer.value)
        ]
        for condition, some in groups(rated, lambda row: row.condition):
            section.pictures.append(
                _condition_picture(_list_name(key), condition, some, shown)
            )
    if len(systems) > MAX_LINES:
        section.notes.append(
            f"The pictures show {MAX_LINES} of {len(systems)} systems."
        )
    section.tables = [_condition_table(rows)]
    return section


def _condition_picture(
    where: str, condition: str, rows: list[Condition], shown: dict[str, Style]
) -> Picture:
    """One condition of one list: a row of dots a value, a dot a system.

    rows: those that have a rate, and are no difference of two.
    """
    lines = []
    for value, some in groups(rows, lambda row: row.value)[:MAX_ROWS]:
        kept = [row for row in some if _system(row.row) in shown]
        lines.append(
            (value, [_percent_dot(shown[_system(r.row)], r.eer) for r in kept])
        )
    return draw(
        name_of("conditions", where, condition), f"{condition}: {where}", plots.dots,
        [("", lines)], "EER, %", legend=list(shown.items()),
    )  # fmt: skip


def _condition_table(rows: list[Condition]) -> Table:
    head = [Cell("condition"), Cell("system"), Cell("targets"), Cell("non-targets"),
            Cell("speakers"), Cell("EER, %", "95 %")]  # fmt: skip
    bodies = []
    for key, group in groups(rows, _of_list):
        body = [
            [
                Cell(f"{row.condition}: {row.value}"),
                Cell(row.row["model"], _seeded(row.row)),
                *(Cell("\N{EN DASH}" if n is None else str(n)) for n in row.counts),
                estimate_cell(row.eer, 100.0),
            ]
            for row in group
        ]
        bodies.append((_list_name(key), body))
    return Table("All conditions", head, bodies, frozenset({0, 1}), folded=True)


def comparisons(results_dir, of_results: list[dict]) -> Section:
    """Paired differences between systems."""
    section = Section("comparisons", "Comparisons")
    rows = _current(section, results_dir, "comparisons.json", of_results)
    if rows is None:
        return section
    if not rows:
        section.missing = "comparisons.json has no row."
        return section
    section.text = [
        "The second system minus the first, on the same trials and the same draws of "
        "speakers: below 0 the second is better. An empty mark: the 95 % interval "
        "holds 0."
    ]
    by_metric = [row for _, some in groups(rows, lambda r: r.metric) for row in some]
    for (metric, *key), group in groups(by_metric, lambda r: (r.metric, *_of_list(r))):
        section.pictures.append(_comparison_picture(metric, key, group[:MAX_ROWS]))
        if len(group) > MAX_ROWS:
            section.notes.append(
                f"{metric}, {_list_name(key)}: the picture shows the first {MAX_ROWS} "
                f"of {len(group)} comparisons."
            )
    section.tables = [_comparison_table(rows)]
    return section


def _comparison_picture(metric: str, key, rows: list[Comparison]) -> Picture:
    scale = 100.0 if metric.startswith("eer") else 1.0
    dots = []
    for row in rows:
        value = row.difference
        bounds = (scale * x for x in (value.value, value.low, value.high))
        label = f"{row.b}\n\N{MINUS SIGN} {row.a}"
        dots.append((label, [Dot(style(0), *bounds)]))
    unit = "difference of EER, percentage points" if scale > 1 else "difference"
    return draw(
        name_of("comparisons", metric, *key), f"{metric}: {_list_name(key)}",
        plots.dots, [("", dots)], unit, zero=True, spread=2.0,
    )  # fmt: skip


def _comparison_table(rows: list[Comparison]) -> Table:
    head = [Cell("first"), Cell("second"), Cell("metric"), Cell("first"),
            Cell("second"), Cell("difference", "95 %")]  # fmt: skip
    bodies = []
    for key, group in groups(rows, _of_list):
        body = []
        for row in group:
            rate = row.metric.startswith("eer")
            scale, digits = (100.0, 2) if rate else (1.0, 3)
            values = map(Estimate, row.values)
            body.append([
                Cell(row.a), Cell(row.b + (" *" if row.row.get("marks") else "")),
                Cell(row.metric, "%" if rate else ""),
                *(estimate_cell(value, scale, digits) for value in values),
                estimate_cell(row.difference, scale, digits),
            ])  # fmt: skip
        bodies.append((_list_name(key), body))
    return Table("All comparisons", head, bodies, frozenset({0, 1, 2}), folded=True)


def age_labels(results_dir) -> Section:
    """How good the ages are that faces give."""
    section = Section("labels", "Age labels")
    read = read_document(results_dir, "ages.json")
    if read is None:
        return _absent(section, "ages.json")
    rows, document = read
    section.text = ["Ages estimated from faces against true ones, in years."]
    points = age_points(results_dir, document)
    if points is not None:
        section.pictures = [draw(
            "age_labels", "Estimated against true age", plots.density, *points,
            "true age", "estimated age",
        )]  # fmt: skip
    head = [Cell("data"), Cell("faces"), Cell("statistic"), Cell("MAE"), Cell("bias"),
            Cell("n")]  # fmt: skip
    body = [
        [
            Cell(row["data"]), Cell(str(row["num_faces"])), Cell(row["statistic"]),
            estimate_cell(Estimate(row["mae"])), estimate_cell(Estimate(row["bias"])),
            Cell(str(row["n"])),
        ]
        for row in rows
    ]  # fmt: skip
    if rows:
        caption = "Mean absolute error and bias, in years."
        section.tables = [Table(caption, head, [("", body)], frozenset({0, 2}))]
    return section
