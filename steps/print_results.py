#!/usr/bin/env python3
"""Print the table of results for a person to read.

Usage: steps/print_results.py RESULTS_DIR
  e.g.: steps/print_results.py exp/results

One block for each trial list: the networks first, the untrained reference systems
under them. EER in percent with its 95 % interval over speakers; the EER of Kaldi's
step rule; minimum detection costs at target priors 0.01, 0.05 and 0.001; Cllr at its
least, and, of log-likelihood ratios, as it is. Where rows of one name have different
settings, the name is followed by their fingerprint.
"""

from collections import Counter
from itertools import groupby

from chronovox import cli
from chronovox.evaluation import results

HEADER = (
    "", "backend", "seed", "EER", "[95 %]", "Kaldi", "DCF.01", ".05", ".001",
    "min", "Cllr",
)  # fmt: skip
COSTS = "mindcf_0.01", "mindcf_0.05", "mindcf_0.001", "min_cllr", "cllr"


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("results_dir")
    return parser


def stem_of(row: dict) -> str:
    """The name of the model without the seed."""
    return row["model"].removesuffix(f"_s{row['seed']}")


def mixed_stems(rows: list[dict]) -> set[str]:
    """The names under which stand rows of more than one configuration."""
    configs: dict[str, set] = {}
    for row in rows:
        configs.setdefault(stem_of(row), set()).add(row["config"])
    return {stem for stem, found in configs.items() if len(found) > 1}


def cells(row: dict, mixed: set[str]) -> tuple[str, ...]:
    """A row as text: model, back end, seed, rates; a star for a marked row.

    A name in `mixed` is followed by the configuration.
    """
    eer, low, high, kaldi = (
        "-" if row[name] is None else f"{100 * row[name]:.2f}"
        for name in ("eer", "eer_lo", "eer_hi", "eer_kaldi")
    )
    costs = ("-" if row.get(n) is None else f"{row[n]:.3f}" for n in COSTS)
    name = row["model"] + (" (untrained)" if row["config"] == "-" else "")
    name += f" [{row['config'][:6]}]" if stem_of(row) in mixed else ""
    name += " *" if warnings_of(row) else ""
    return (
        name, row["backend"], results.cell(row, "seed"),
        eer, f"[{low}, {high}]", kaldi, *costs,
    )  # fmt: skip


def warnings_of(row: dict) -> set[str]:
    """The marks that a reader must know of; best-of only strengthens a reference."""
    return set(row["marks"]) - {"best-of"}


def block(rows: list[dict], mixed: set[str], ambiguous: bool) -> list[str]:
    """The lines of one trial list; its fingerprint if the name is `ambiguous`."""
    rows = sorted(rows, key=lambda row: row["config"] == "-")
    first = rows[0]
    table = [HEADER, *(cells(row, mixed) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    name = first["trials"]
    if ambiguous:
        name += f" [{first['trials_sha256'][:6]}]"
    lines = [
        f"{first['data']}, trials {name}: {first['n_target']} targets, "
        f"{first['n_nontarget']} non-targets, {first['n_spk']} enrolment speakers"
    ]
    for row in table:
        words = [
            word.ljust(width) if column < 3 else word.rjust(width)
            for column, (word, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(("  " + " ".join(words)).rstrip())
    return lines


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    rows = results.read(args.results_dir)

    def of_list(row):
        return row["data"], row["trials"], row["trials_sha256"]

    mixed = mixed_stems(rows)
    names = Counter(key[:2] for key in set(map(of_list, rows)))
    for key, group in groupby(sorted(rows, key=of_list), key=of_list):
        print("\n".join(block(list(group), mixed, names[key[:2]] > 1)) + "\n")
    print(
        "EER in %, [95 % interval over speakers]; minDCF at three target priors; the "
        "least Cllr, and Cllr."
    )
    warnings = sorted(set().union(*map(warnings_of, rows)))
    if warnings:
        print(f"* marked: {', '.join(warnings)} (`marks` in results.tsv)")
    if max(names.values(), default=0) > 1:
        print(
            "One name stands for several lists, by [`trials_sha256` in results.tsv]: "
            "score all\nmodels again, or remove the table."
        )
    if mixed:
        print(
            f"{', '.join(sorted(mixed))}: rows of different settings, by [`config` in "
            "results.tsv]:\ncompare none across them."
        )
    if any((row["corpus"] or {}).get("name") == "talkers" for row in rows):
        print(
            "talkers is synthetic speech made to test methods: no number from it is a "
            "claim\nabout real voices."
        )
    return 0


if __name__ == "__main__":
    cli.run(main)
