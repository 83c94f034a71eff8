#!/usr/bin/env bash
# From embeddings to the tables of results: train the back ends of models, score trial
# lists, calibrate, and measure.
#
# Usage: steps/evaluate_models.sh [options] DATA RESULTS_DIR EXP_M [EXP_M ...]
# e.g.:  steps/evaluate_models.sh --train data/train --dev data/dev \
#          --backends 'cosine plda' --trials 'random hard' data/test exp/results \
#          exp/xvector_aam_s1 exp/xvector_aam_s2
#
# Options:
#   --train DATA                speakers that the back ends learn from (default: none)
#   --dev DATA                  speakers for calibration and thresholds (default: none)
#   --dev-trials NAME           their list (default: calibration)
#   --trials NAMES              lists DATA/trials/NAME (default: random)
#   --backends NAMES            settings conf/backends/NAME.yaml (default: cosine)
#   --calibration NAME          settings conf/calibration/NAME.yaml (default: linear)
#   --cmd CMD                   how to run the jobs (default: utils/run.py)
# Inputs: EXP_M/embeddings_SET/xvector.scp of each DATA, where SET is its last part
# Outputs: EXP_M/backends, EXP_M/calibrations, EXP_M/scores_SET; tables in RESULTS_DIR
set -euo pipefail

train=
dev=
dev_trials=calibration
trials=random
backends=cosine
calibration=linear
cmd=utils/run.py

# The help is the head of this file.
help_message=$(sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0")

. ./path.sh
. utils/parse_options.sh

if [ $# -lt 3 ]; then
  echo "$help_message" >&2
  exit 2
fi
data=$1
results=$2
shift 2
