#!/usr/bin/env bash
# Train back ends of a model: what becomes of its embeddings, and how two are compared.
#
# Usage: steps/train_backend.sh [options] DATA_TRAIN EXP_M
# e.g.:  steps/train_backend.sh --backends 'asnorm plda' data/train exp/xvector_aam_s1
#
# Options:
#   --backends NAMES            settings conf/backends/NAME.yaml (default: cosine)
#   --cmd CMD                   how to run the jobs (default: utils/run.py)
# Inputs: EXP_M/embeddings_SET/xvector.scp, where SET is the last part of DATA_TRAIN;
#   DATA_TRAIN/utt2spk
# Outputs: EXP_M/backends/NAME/, as steps/train_backend.py writes it, and log/
set -euo pipefail

backends=cosine
cmd=utils/run.py

# The help is the head of this file.
help_message=$(sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0")

. ./path.sh
. utils/parse_options.sh

if [ $# -ne 2 ]; then
  echo "$help_message" >&2
  exit 2
fi
train=$1
exp=$2

for file in "$exp" "${train:+$train/utt2spk}"; do
  [ -z "$file" ] || [ -e "$file" ] || {
    echo "train_backend.sh: no such file: $file" >&2
    exit 1
  }
done
for backend in $backends; do
  $cmd "$exp/backends/log/$backend.log" \
    steps/train_backend.py "conf/backends/$backend.yaml" "$train" \
    "$exp/embeddings_$(basename "$train")" "$exp/backends/$backend"
done
