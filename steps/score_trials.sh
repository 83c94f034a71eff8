#!/usr/bin/env bash
# Train the back ends of a model, and score trial lists by each.
#
# Usage: steps/score_trials.sh [options] DATA_TRAIN DATA EXP_M
# e.g.:  steps/score_trials.sh --backends 'cosine plda' --trials 'random hard' \
#          data/train data/test exp/xvector_aam_s1
#
# Options:
#   --backends NAMES            settings conf/backends/NAME.yaml (default: cosine)
#   --trials NAMES              lists DATA/trials/NAME (default: random)
# Inputs: the embeddings of both sets, EXP_M/embeddings_SET/xvector.scp, where SET is the
#   last part of DATA; DATA_TRAIN/utt2spk, DATA/utt2spk
# Outputs: EXP_M/backends/BACKEND/, EXP_M/scores_SET/NAME.BACKEND and NAME.BACKEND.json
set -euo pipefail

backends=cosine
trials=random

# The help is the head of this file.
help_message=$(sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0")

. ./path.sh
. utils/parse_options.sh

if [ $# -ne 3 ]; then
  echo "$help_message" >&2
  exit 2
fi
train=$1
data=$2
exp=$3
set=$(basename "$data")

for backend in $backends; do
  steps/train_backend.py "conf/backends/$backend.yaml" "$train" \
    "$exp/embeddings_$(basename "$train")" "$exp/backends/$backend"
  for name in $trials; do
    steps/score_trials.py --model "$exp" --backend "$exp/backends/$backend" "$data" \
      "$data/trials/$name" "$exp/embeddings_$set" "$exp/scores_$set/$name.$backend"
  done
done
