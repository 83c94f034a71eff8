"""The tables of the report, and what its sections are made of."""

import math
import re
from dataclasses import dataclass, field

from chronovox.evaluation.drawing import Picture, Style, reference_style, style
from chronovox.evaluation.report_inputs import Estimate, optional
from chronovox.evaluation.rows import (
    ambiguous_lists,
    is_mean,
    is_untrained,
    list_of,
    may_be_best,
    mixed_stems,
    stem_of,
    warnings_of,
)

LISTS_A_TABLE = 8  # more would not fit a page
BEST, FEW = "\N{BLACK STAR}", "\N{DAGGER}"


@dataclass(frozen=True)
class Cell:
    """A text, a smaller one below it, and whether it is set apart."""

    text: str
    small: str = ""
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells under a head, in groups with a title; the first cell names a row.

    words: columns of words instead of numbers; folded: shown on demand.
    """

    caption: str
    head: list[Cell]
    groups: list[tuple[str, list[list[Cell]]]]
    words: frozenset[int] = frozenset({0})
    folded: bool = False


@dataclass
class Section:
    """A section of the page; `missing` says why it is empty."""

    name: str
    title: str
    text: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing: str = ""


class Systems:
    """The systems of a table of results, in its order, references last.

    A system is a configuration with a back end; its models of several seeds share a
    line style.
    """

    def __init__(self, rows: list[dict]):
        self.rows = sorted(rows, key=is_untrained)
        self.lists = sorted(set(map(list_of, rows)), key=_natural)
        self.mixed = mixed_stems(rows)
        self._ambiguous = ambiguous_lists(rows)
        self._styles: dict[tuple, Style] = {}
        self.labels: dict[tuple, str] = {}
        trained = references = 0
        for row in self.rows:
            key = self.key(row)
            if key in self._styles:
                continue
            if is_untrained(row):
                self._styles[key] = reference_style(references)
                references += 1
            else:
                self._styles[key] = style(trained)
                trained += 1
            models = {r["model"] for r in rows if self.key(r) == key and not is_mean(r)}
            name = models.pop() if len(models) == 1 else stem_of(row)
            label = f"{self._name(name, row)} {key[2] or '(reference)'}"
            self.labels[key] = label + (" *" if warnings_of(row) else "")

    def key(self, row: dict) -> tuple[str, str, str]:
        """What tells systems apart; a reference counts once, by its best back end."""
        backend = "" if "best-of" in row["marks"] else row["backend"]
        return stem_of(row), row["config"], backend

    def style(self, row: dict) -> Style:
        """The line style of the system of a row."""
        return self._styles[self.key(row)]

    def label(self, row: dict) -> str:
        """The name of the system of a row, in legends."""
        return self.labels[self.key(row)]

    def _name(self, name: str, row: dict) -> str:
        mixed = stem_of(row) in self.mixed
        return f"{name} [{row['config'][:6]}]" if mixed else name

    def cell(self, row: dict, lists: bool = False) -> Cell:
        """The first cell of a row: model, and below it back end and seed.

        lists: the row is one of several of its system, each of another list.
        """
        best = lists and "best-of" in row["marks"]
        words = ["best back end" if best else row["backend"]]
        if is_untrained(row):
            words.append("untrained")
        elif row["seed"] is not None:
            words.append(f"seed {row['seed']}" if not is_mean(row) else row["seed"])
        star = " *" if warnings_of(row) and not lists else ""
        return Cell(self._name(row["model"], row) + star, ", ".join(words))

    def list_name(self, key: tuple[str, str, str]) -> str:
        """The name of a list, with its fingerprint where names are not enough."""
        data, name, sha256 = key
        return f"{name} [{sha256[:6]}]" if (data, name) in self._ambiguous else name

    def of_list(self, key: tuple[str, str, str]) -> list[dict]:
        """The rows of one list."""
        return [row for row in self.rows if list_of(row) == key]


def _natural(key: tuple[str, str, str]) -> list:
    """Data, name and fingerprint of a list, to be sorted with CA5 before CA10."""
    parts = re.split(r"([0-9]+)", key[1].casefold())
    numbers = [(int(part), "") if part.isdecimal() else (0, part) for part in parts]
    return [key[0], numbers, key[1:]]


def groups(items: list, key) -> list[tuple]:
    """Items of one key together, keys in the order of their first item."""
    found: dict = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return list(found.items())


def percent(value: float | None, digits: int = 2) -> str:
    """A rate in percent, or a dash."""
    unknown = value is None or math.isnan(value)
    return "\N{EN DASH}" if unknown else f"{100 * value:.{digits}f}"


def between(low: float | None, high: float | None, digits: int = 2) -> str:
    """An interval of rates in percent, perhaps with one end; nothing without any."""
    if all(end is None or math.isnan(end) for end in (low, high)):
        return ""
    return f"[{percent(low, digits)}, {percent(high, digits)}]"


def estimate_cell(estimate: Estimate, scale: float = 1.0, digits: int = 2) -> Cell:
    """A value over its interval."""
    return Cell(
        percent(estimate.value * scale / 100, digits),
        between(estimate.low * scale / 100, estimate.high * scale / 100, digits),
    )


def counts_of(row: dict) -> str:
    """The trials of a list in words."""
    return (
        f"{row['n_target']:,} targets, {row['n_nontarget']:,} non-targets, "
        f"{row['n_spk']:,} speakers"
    )


def error_tables(systems: Systems) -> list[Table]:
    """EER of all systems on all lists, the best of each marked."""
    tables = []
    for data in sorted({key[0] for key in systems.lists}):
        lists = [key for key in systems.lists if key[0] == data]
        for first in range(0, len(lists), LISTS_A_TABLE):
            tables.append(_error_table(systems, lists[first : first + LISTS_A_TABLE]))
    return tables


def _error_table(systems: Systems, lists: list[tuple]) -> Table:
    columns, order = [], {}
    head = [Cell("system")]
    for key in lists:
        rows = {_row_key(systems, row): row for row in systems.of_list(key)}
        order.update((name, row) for name, row in rows.items() if name not in order)
        rates = [row["eer"] for row in rows.values() if may_be_best(row)]
        columns.append((rows, min(rates, default=None)))
        row = next(iter(rows.values()))
        head.append(Cell(
            systems.list_name(key), f"{row['n_target']} + {row['n_nontarget']}"
        ))  # fmt: skip
    body = []
    for name in sorted(order, key=lambda name: systems.rows.index(order[name])):
        cells = [systems.cell(order[name], lists=True)]
        for rows, least in columns:
            row = rows.get(name)
            if row is None:
                cells.append(Cell("\N{EN DASH}"))
                continue
            best = may_be_best(row) and row["eer"] == least
            star = " *" if warnings_of(row) else ""
            cells.append(Cell(
                f"{BEST if best else ''} {percent(row['eer'])}{star}".strip(),
                between(row["eer_lo"], row["eer_hi"]), best,
            ))  # fmt: skip
        body.append(cells)
    caption = f"EER in %, data/{lists[0][0]}; below it the 95 % interval over speakers."
    return Table(caption, head, [("", body)])


def _row_key(systems: Systems, row: dict) -> tuple:
    return *systems.key(row), row["model"], str(row["seed"])


def _priors(rows: list[dict], prefix: str) -> list[str]:
    """The names of the columns of one cost, by falling prior."""
    names = sorted({name for row in rows for name in row if name.startswith(prefix)})
    return sorted(
        (name for name in names if _prior(name) is not None), key=_prior, reverse=True
    )


def _prior(name: str) -> float | None:
    try:
        return float(name.rpartition("_")[2])
    except ValueError:
        return None


def rests_on_few(row: dict, name: str) -> bool:
    """Whether a cost of a row is of few misses or false alarms."""
    few = row.get("few_errors")
    few = few if isinstance(few, list) else []
    return name in few or _prior(name) in {
        _prior(str(prior)) for prior in few if _prior(str(prior)) is not None
    }


def cost_table(systems: Systems) -> tuple[Table, bool]:
    """Costs of all rows, list by list, and whether any rests on few errors."""
    rows = systems.rows
    columns = [*_priors(rows, "mindcf_"), *_priors(rows, "actdcf_")]
    names = {"mindcf": "minDCF", "actdcf": "actDCF"}
    head = [Cell("system")]
    head += [Cell(names[c.partition("_")[0]], f"P = {_prior(c):g}") for c in columns]
    for name, shown in (("cllr", "Cllr"), ("min_cllr", "min Cllr")):
        if any(optional(row, name) is not None for row in rows):
            columns.append(name)
            head.append(Cell(shown, "bit"))
    bodies, any_few = [], False
    for key in systems.lists:
        body = []
        for row in systems.of_list(key):
            cells = [systems.cell(row)]
            for name in columns:
                few = "dcf_" in name and rests_on_few(row, name)
                any_few |= few
                cells.append(_cost(row, name, few))
            body.append(cells)
        title = f"{systems.list_name(key)} (data/{key[0]}): {counts_of(row)}"
        bodies.append((title, body))
    caption = (
        "Detection costs, both errors at cost 1, divided by the cost of a decision"
    )
    caption += " without scores."
    return Table(caption, head, bodies), any_few


def _cost(row: dict, name: str, few: bool) -> Cell:
    value = optional(row, name)
    if value is None:
        return Cell("\N{EN DASH}")
    intervals = row.get("intervals")
    bounds = intervals.get(name) if isinstance(intervals, dict) else None
    small = ""
    if isinstance(bounds, list) and len(bounds) == 2:
        low, high = (optional({"bound": bound}, "bound") for bound in bounds)
        if low is not None and high is not None:
            small = f"[{low:.3f}, {high:.3f}]"
    return Cell(f"{value:.3f}" + (f" {FEW}" if few else ""), small)


def origins(systems: Systems) -> list[tuple[str, list[tuple[str, str]]]]:
    """Where each row comes from: a title, and names with their values."""
    found = []
    for row in systems.rows:
        cell = systems.cell(row)
        title = f"{cell.text}, {cell.small}: {systems.list_name(list_of(row))}"
        corpus = row["corpus"] or {}
        settings = ", ".join(
            f"{name} {value}" for name, value in corpus.items() if name != "hash"
        )
        values = [
            ("command", row["command"]),
            ("commit of the code", row["commit"]),
            ("config", row["config"]),
            ("trials, SHA-256", row["trials_sha256"]),
            ("embeddings, SHA-256", _lines(row.get("embeddings_sha256"))),
            ("score files", _lines(row.get("scores"))),
            ("corpus", settings),
            ("settings of the corpus, SHA-256", str(corpus.get("hash", ""))),
            ("marks", ", ".join(row["marks"])),
        ]
        found.append((title, [(name, value) for name, value in values if value]))
    return found


def _lines(value) -> str:
    values = value if isinstance(value, list) else [value]
    return ", ".join(str(value) for value in values if value is not None)
