#!/usr/bin/env bash
# Score trial lists by the trained back ends of a model.
#
# Usage: steps/score_trials.sh [options] DATA EXP_M
# e.g.:  steps/score_trials.sh --backends 'cosine plda' --trials 'random hard' \
#          data/test exp/xvector_aam_s1
#
# Options:
#   --backends NAMES            of EXP_M/backends (default: cosine)
#   --trials NAMES              lists DATA/trials/NAME (default: random)
#   --cmd CMD                   how to run the jobs (default: utils/run.py)
# Inputs: EXP_M/embeddings_SET/xvector.scp, where SET is the last part of DATA;
#   EXP_M/backends/BACKEND (steps/train_backend.sh); DATA/utt2spk
# Outputs: EXP_M/scores_SET/NAME.BACKEND, NAME.BACKEND.json, and log/
set -euo pipefail

backends=cosine
trials=random
cmd=utils/run.py

# The help is the head of this file.
help_message=$(sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0")

. ./path.sh
. utils/parse_options.sh

if [ $# -ne 2 ]; then
  echo "$help_message" >&2
  exit 2
fi
data=$1
exp=$2
set=$(basename "$data")

for file in "$data/utt2spk" "$exp/embeddings_$set/xvector.scp"; do
  [ -e "$file" ] || {
    echo "score_trials.sh: no such file: $file: DATA is a data directory, and EXP_M has" \
      "its embeddings (./run.sh --stage 5)" >&2
    exit 1
  }
done
for backend in $backends; do
  for name in $trials; do
    $cmd "$exp/scores_$set/log/$name.$backend.log" \
      steps/score_trials.py --model "$exp" --backend "$exp/backends/$backend" "$data" \
      "$data/trials/$name" "$exp/embeddings_$set" "$exp/scores_$set/$name.$backend"
  done
done
