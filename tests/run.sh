#!/usr/bin/env bash
# Run the tests. Sets up the environment first if it is missing.
#
# Usage: tests/run.sh [--full] [pytest options]
# e.g.:  tests/run.sh -k trials
#
# --full adds the longer proofs (a million hostile inputs; VGG-16 in its full size; what
# intervals hold and calibrations give; default corpus size, many seeds; a hundred
# kills) and prints the tables that RESULTS keeps. With CHRONOVOX_REQUIRE_ALL=1 a test
# that lacks something from outside fails
# instead of skipping.

set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
. ./path.sh
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}

full=false
if [ "${1:-}" = --full ]; then
  full=true
  shift
fi

python3 -m pytest "$@"
if $full; then
  tests/full/fuzz.py
  tests/full/vgg16.py
  tests/full/coverage.py
  tests/full/calibration.py
  tests/full/run.sh
  tests/full/kills.py
fi
