#!/usr/bin/env python3
"""Print the table of results for a person to read.

Usage: steps/print_results.py RESULTS_DIR
  e.g.: steps/print_results.py exp/results

One block for each trial list: the networks first, the untrained reference systems
under them. EER in percent with its 95 % interval over speakers; the EER of Kaldi's
step rule; minimum detection costs at target priors 0.01, 0.05 and 0.001; Cllr at its
least, and as it is, of log-likelihood ratios. Where a back end was calibrated, its row
has the Cllr after that; that of BACKEND_llr, in results.tsv, is not printed. Where rows
of one name have different settings, the name is followed by their fingerprint.
"""

import textwrap
from itertools import groupby

from chronovox import cli
from chronovox.evaluation import results
from chronovox.evaluation.rows import (
    ambiguous_lists,
    folded,
    is_untrained,
    list_of,
    mixed_stems,
    notes_on,
    stem_of,
    warnings_of,
)

HEADER = (
    "", "backend", "seed", "EER", "[95 %]", "Kaldi", "DCF.01", ".05", ".001",
    "min", "Cllr",
)  # fmt: skip
COSTS = "mindcf_0.01", "mindcf_0.05", "mindcf_0.001", "min_cllr", "cllr"


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("results_dir")
    return parser


def cells(row: dict, mixed: set[str]) -> tuple[str, ...]:
    """A row as text: model, back end, seed, rates; a star for a marked row.

    A name in `mixed` is followed by the configuration.
    """
    eer, low, high, kaldi = (
        "-" if row[name] is None else f"{100 * row[name]:.2f}"
        for name in ("eer", "eer_lo", "eer_hi", "eer_kaldi")
    )
    costs = ("-" if row.get(n) is None else f"{row[n]:.3f}" for n in COSTS)
    name = row["model"] + (" (untrained)" if is_untrained(row) else "")
    name += f" [{row['config'][:6]}]" if stem_of(row) in mixed else ""
    name += " *" if warnings_of(row) else ""
    return (
        name, row["backend"], results.cell(row, "seed"),
        eer, f"[{low}, {high}]", kaldi, *costs,
    )  # fmt: skip


def block(rows: list[dict], mixed: set[str], ambiguous: bool) -> list[str]:
    """The lines of one trial list; its fingerprint if the name is `ambiguous`."""
    rows = sorted(rows, key=is_untrained)
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
    rows = folded(results.read(args.results_dir))
    mixed, ambiguous = mixed_stems(rows), ambiguous_lists(rows)
    for key, group in groupby(sorted(rows, key=list_of), key=list_of):
        print("\n".join(block(list(group), mixed, key[:2] in ambiguous)) + "\n")
    print(
        "EER in %, [95 % interval over speakers]; minDCF at three target priors; least "
        "Cllr, Cllr."
    )
    for note in notes_on(rows):
        print(textwrap.fill(note, 88))
    return 0


if __name__ == "__main__":
    cli.run(main)
