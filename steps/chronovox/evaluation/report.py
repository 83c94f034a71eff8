"""The report: one page that needs no other file, and its pictures."""

import re
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from chronovox.evaluation import report_extras, report_sections, results
from chronovox.evaluation.drawing import markup
from chronovox.evaluation.report_inputs import Inputs
from chronovox.evaluation.report_tables import Section, Systems, origins
from chronovox.evaluation.rows import TALKERS, folded, is_mean, is_untrained
from chronovox.files import atomic_write

TITLE = "Speaker verification over time: results"


def _lead(systems: Systems) -> list[str]:
    """What the page is, in a paragraph or two."""
    rows = systems.rows
    models = {r["model"] for r in rows if not is_untrained(r) and not is_mean(r)}
    lists, data = systems.lists, sorted({row["data"] for row in rows})
    commits = sorted({row["commit"] for row in rows})
    corpora = {
        (corpus.get("name"), str(corpus.get("hash", ""))[:12])
        for corpus in (row["corpus"] or {} for row in rows)
    }
    named = [
        f"{name}, settings {sha256}" if sha256 else str(name)
        for name, sha256 in sorted(corpora, key=str) if name
    ]  # fmt: skip
    lead = [
        "How well speakers are told apart when years lie between two recordings. "
        f"{_count(len(rows), 'row')} of results: "
        f"{_count(len(models), 'trained model')} and "
        f"{_count(len(lists), 'trial list')} on "
        f"{', '.join(f'data/{name}' for name in data)}. Trials that share "
        "speakers with the training are refused, or the row is marked."
    ]
    source = f"Corpus: {'; '.join(named)}. " if named else ""
    plural = "Commit" if len(commits) == 1 else "Commits"
    lead.append(f"{source}{plural} of the code: {', '.join(commits)}.")
    return lead


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _code(text: str) -> Markup:
    """A text in which `x` is set as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _sections(systems: Systems, inputs: Inputs, results_dir) -> list[Section]:
    sections = [
        *report_sections.tables(systems),
        report_sections.det(systems, inputs),
        report_sections.score_histograms(systems, inputs),
        report_sections.age_gap(systems),
        report_sections.calibration(systems, inputs),
        report_extras.lifetime(results_dir, systems.rows),
        report_extras.conditions(results_dir, systems.rows),
        report_extras.comparisons(results_dir, systems.rows),
        report_extras.age_labels(results_dir),
        report_sections.training(systems, results_dir),
        report_sections.trial_ages(systems, inputs),
    ]
    if inputs.notes:
        section = Section("unused", "What is not shown")
        section.notes = inputs.notes
        sections.append(section)
    return sections


def write(results_dir) -> tuple[int, list[str]]:
    """Write report.html and pictures/ from what is in the folder of results.

    Older pictures of the report go. Returns how many pictures there are and the names
    of sections without inputs. Raises UserError for a damaged table or JSON file.
    """
    results_dir = Path(results_dir)
    rows = results.read(results_dir)
    systems = Systems(folded(rows))
    sections = _sections(systems, Inputs(results_dir), results_dir)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters.update(markup=markup, code=_code)
    talkers = any((r["corpus"] or {}).get("name") == "talkers" for r in systems.rows)
    page = environment.get_template("report.html.j2").render(
        title=TITLE, lead=_lead(systems), sections=sections,
        origins=origins(Systems(rows)),
        claim=TALKERS[0].upper() + TALKERS[1:] if talkers else "",
    )  # fmt: skip
    pictures = [picture for section in sections for picture in section.pictures]
    _write_pictures(results_dir / "pictures", pictures)
    with atomic_write(results_dir / "report.html") as stream:
        stream.write(page)
    return len(pictures), [section.name for section in sections if section.missing]


def _write_pictures(folder: Path, pictures: list) -> None:
    folder.mkdir(exist_ok=True)
    written = set()
    for picture in pictures:
        for suffix, mode, content in (
            (".svg", "w", picture.svg), (".png", "wb", picture.png)
        ):  # fmt: skip
            written.add(path := folder / f"{picture.name}{suffix}")
            with atomic_write(path, mode) as stream:
                stream.write(content)
    for path in [*folder.glob("*.svg"), *folder.glob("*.png")]:
        if path not in written:
            path.unlink()
