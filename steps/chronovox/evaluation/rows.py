"""What a reader must know of the rows of the table of results.

A row is a dictionary of `results.read`: what it says of itself is told apart here, for
the screen and for the report.
"""

TALKERS = (
    "talkers is synthetic speech made to test methods: no number from it is a claim "
    "about real voices."
)


def list_of(row: dict) -> tuple[str, str, str]:
    """The trial list of a row: data, name, fingerprint."""
    return row["data"], row["trials"], row["trials_sha256"]


def stem_of(row: dict) -> str:
    """The name of the model without the seed."""
    return row["model"].removesuffix(f"_s{row['seed']}")


def mixed_stems(rows: list[dict]) -> set[str]:
    """The names under which stand rows of more than one configuration."""
    configs: dict[str, set] = {}
    for row in rows:
        configs.setdefault(stem_of(row), set()).add(row["config"])
    return {stem for stem, found in configs.items() if len(found) > 1}


def ambiguous_lists(rows: list[dict]) -> set[tuple[str, str]]:
    """Data and name of lists under whose name stand several lists."""
    found: dict[tuple[str, str], set] = {}
    for data, name, sha256 in map(list_of, rows):
        found.setdefault((data, name), set()).add(sha256)
    return {key for key, lists in found.items() if len(lists) > 1}


def warnings_of(row: dict) -> set[str]:
    """The marks that a reader must know of; best-of only strengthens a reference."""
    return set(row["marks"]) - {"best-of"}


def is_untrained(row: dict) -> bool:
    """Whether a row is of a reference without any training."""
    return row["config"] == "-"


def is_mean(row: dict) -> bool:
    """Whether a row is a mean over the seeds of a configuration."""
    return str(row["seed"]).startswith("mean(")


def may_be_best(row: dict) -> bool:
    """Whether a row counts when the best system of a list is looked for."""
    return not (is_untrained(row) or is_mean(row) or row["marks"])


def folded(rows: list[dict]) -> list[dict]:
    """Rows without those of BACKEND_llr whose scores only rise with those of BACKEND.

    The row of the latter gets what calibration changed: costs of its scores as
    log-likelihood ratios, their intervals, and `calibrated`, the files of the ratios.
    """
    found = {_system_on_list(row): row for row in rows}
    kept = []
    for row in rows:
        backend = str(row["backend"])
        plain = found.get(_system_on_list(row, backend.removesuffix("_llr")))
        if plain is not row and plain is not None and _alike(plain, row):
            continue
        ratios = found.get(_system_on_list(row, f"{backend}_llr"))
        if ratios is not None and _alike(ratios, row):
            row = _with_ratios(row, ratios)
        kept.append(row)
    return kept


def _alike(one: dict, other: dict) -> bool:
    """Whether two rows are of one order of the same scores, but for rounding."""
    same = all(
        one.get(name) == other.get(name) for name in ("marks", "embeddings_sha256")
    )
    return same and abs(one["eer"] - other["eer"]) < 1e-6


def _system_on_list(row: dict, backend: str | None = None) -> tuple:
    return (row["model"], row["seed"], *list_of(row), backend or row["backend"])


def _with_ratios(row: dict, ratios: dict) -> dict:
    """A row with the costs of its calibrated scores."""
    names = [n for n in ratios if n == "cllr" or n.startswith("actdcf_")]
    told = [name for name in row.get("few_errors", []) if name not in names]
    told += [name for name in ratios.get("few_errors", []) if name in names]
    both = row.get("intervals") or {}, ratios.get("intervals") or {}
    intervals = {**both[0], **{n: both[1][n] for n in names if n in both[1]}}
    return {
        **row, **{name: ratios[name] for name in names}, "few_errors": told,
        "intervals": intervals, "calibrated": ratios.get("scores"),
    }  # fmt: skip


def notes_on(rows: list[dict]) -> list[str]:
    """What must be said under a table of these rows, one sentence or two each."""
    notes = []
    warnings = sorted(set().union(*map(warnings_of, rows)))
    if warnings:
        notes.append(f"* marked: {', '.join(warnings)} (`marks` in results.tsv)")
    if ambiguous_lists(rows):
        notes.append(
            "One name stands for several lists, by [`trials_sha256` in results.tsv]: "
            "score all models again, or remove the table."
        )
    if any(row.get("calibrated") for row in rows):
        notes.append(
            "Cllr and actDCF of a back end are those of its scores as calibrated on "
            "other speakers (BACKEND_llr in results.tsv)."
        )
    mixed = mixed_stems(rows)
    if mixed:
        notes.append(
            f"{', '.join(sorted(mixed))}: rows of different settings, by [`config` in "
            "results.tsv]: compare none across them."
        )
    if any((row["corpus"] or {}).get("name") == "talkers" for row in rows):
        notes.append(TALKERS)
    return notes
