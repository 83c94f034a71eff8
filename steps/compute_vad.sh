#!/usr/bin/env bash
# Mark the voiced frames of a data directory by energy, in parallel jobs.
#
# Usage: steps/compute_vad.sh [options] DATA [LOGDIR=DATA/log [VADDIR=DATA/data]]
# e.g.:  steps/compute_vad.sh --nj 2 --source wav data/train exp/make_vad fbank
#
# Options:
#   --nj N                      parallel jobs (default: 4)
#   --cmd CMD                   how to run them (default: utils/run.py)
#   --config FILE               settings (default: conf/vad.yaml)
#   --source feats|wav          where the log-energy comes from; plain fbank has
#                               none, so it needs wav (default: feats)
#   --allow-pipes true|false    run the commands in wav.scp (default: false)
#   --max-fail-ratio R          share of utterances that may fail (default: 0.05)
# Inputs: DATA/feats.scp, conf/features.yaml; DATA/wav.scp, segments for wav
# Outputs (NAME is the last part of DATA):
#   VADDIR/vad_NAME.J.{ark,scp}, DATA/vad.scp: a 0/1 vector, one value a frame
#   LOGDIR/compute_vad_NAME.J.log, compute_vad_NAME.dropped: `<utt> <reason>`
set -euo pipefail

nj=4
cmd=utils/run.py
config=conf/vad.yaml
source=feats
allow_pipes=false
max_fail_ratio=0.05

# The help is the head of this file.
help_message=$(sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0")

. ./path.sh
. utils/parse_options.sh
. utils/split_table.sh

if [ $# -lt 1 ] || [ $# -gt 3 ]; then
  echo "$help_message" >&2
  exit 2
fi
data=$1
logdir=${2:-$data/log}
vaddir=${3:-$data/data}
name=$(basename "$data")
base=$logdir/compute_vad_$name

for file in "$config" "$data/feats.scp" "$data/conf/features.yaml"; do
  [ -f "$file" ] || { echo "compute_vad.sh: no such file: '$file'" >&2; exit 1; }
done

lock_folder "$data"
split_table "$data/feats.scp" "$base/feats.JOB.scp"
mkdir -p "$vaddir"
# What an earlier run left must not be taken for the result of one that fails.
rm -f "$data/vad.scp"

# shellcheck disable=SC2086 # cmd holds a program and its options
$cmd JOB=1:"$nj" "$base.JOB.log" \
  steps/compute_vad.py --source "$source" --allow-pipes "$allow_pipes" \
  "$config" "$data" "$base/feats.JOB.scp" "$base" JOB \
  "$vaddir/vad_$name.JOB.ark" "$vaddir/vad_$name.JOB.scp"

steps/collect_parts.py --max-fail-ratio "$max_fail_ratio" \
  --dropped "$base/dropped.JOB=$base.dropped" "$nj" "$data/feats.scp" \
  "$vaddir/vad_$name.JOB.scp=$data/vad.scp"
if [ -s "$base.dropped" ]; then
  echo "compute_vad.sh: utils/fix_data_dir.py $data would take the dropped out" >&2
fi
