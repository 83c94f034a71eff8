#!/usr/bin/env bash
# Measure speed on this machine; print one table of `name value unit`.
#
# Usage: tests/bench/run.sh [SPEECH_DIR]
# e.g.:  tests/bench/run.sh ~/recordings
#
# SPEECH_DIR holds <corpus>/<speaker>/<session>/<utt>.flac; the default is the test
# data beside the project. Trial lists take the names of VoxCeleb1 from voxceleb_meta
# beside SPEECH_DIR, where it is. Ratios are of medians, taken in turns in one run.

set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. ./path.sh
speech=${1:-${CHRONOVOX_TEST_DATA:-../shared/data}/speech}
export OMP_NUM_THREADS=1

{
  python3 tests/bench/bench_features.py "$speech"
  OMP_NUM_THREADS=2 python3 tests/bench/bench_training.py
  OMP_NUM_THREADS=2 python3 tests/bench/bench_input.py "$speech"
  python3 tests/bench/bench_augment.py "$speech"
  python3 tests/bench/bench_extraction.py
  python3 tests/bench/bench_scoring.py
  python3 tests/bench/bench_ages.py
  python3 tests/bench/bench_trials.py "$speech/../voxceleb_meta"
} | column -t
