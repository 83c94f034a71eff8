#!/usr/bin/env python3
"""Make the report of an experiment: one page of tables and pictures.

Usage: steps/make_report.py RESULTS_DIR
  e.g.: steps/make_report.py exp/results

Writes RESULTS_DIR/report.html, which opens without a network and needs no other file,
and its pictures as RESULTS_DIR/pictures/NAME.{png,svg}; pictures of an older report go.
The same inputs give the same bytes. Reads, in RESULTS_DIR,

  results.json      the table of results (steps/compute_metrics.py); must be there
  lifetime.json     error rates over the time since the enrolment
  conditions.json   error rates of parts of a list
  comparisons.json  paired differences between systems
  ages.json         how good the ages are that faces give

and the score files, trial lists and ages that the table names, relative to
RESULTS_DIR/../.., and the curves of RESULTS_DIR/../MODEL/log/tensorboard. What is not
there is left out, and the page says which command makes it; scores that are not those
of the table are left out with a warning. A damaged JSON file is an error.
"""

from chronovox import cli
from chronovox.cli import log
from chronovox.evaluation import report


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("results_dir")
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    num_pictures, missing = report.write(args.results_dir)
    log.info("wrote %s/report.html, %d pictures", args.results_dir, num_pictures)
    if missing:
        log.info("without inputs: %s", ", ".join(missing))
    return 0


if __name__ == "__main__":
    cli.run(main)
