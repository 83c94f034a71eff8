#!/usr/bin/env bash
# Compute the features of a data directory in parallel jobs. This is what
# make_fbank.sh and make_mfcc.sh share; call one of those.
#
# Usage: steps/make_feats.sh --type fbank|mfcc [options] DATA [LOGDIR [FEATDIR]]
# e.g.:  steps/make_feats.sh --type fbank --nj 2 data/train exp/make_fbank fbank
#
# Options: those of make_fbank.sh, and
#   --type fbank|mfcc   must be the type that the settings say
# Inputs: DATA/wav.scp, utt2spk, spk2utt; DATA/segments if there is one
# Outputs (X is the type, NAME the last part of DATA):
#   FEATDIR/raw_X_NAME.J.{ark,scp}
#   DATA/feats.scp, utt2num_frames, utt2dur (s), frame_shift (s), conf/features.yaml
#   LOGDIR/make_X_NAME.J.log, LOGDIR/make_X_NAME.dropped: `<utt> <reason>`
set -euo pipefail

type=
nj=4
cmd=utils/run.py
config=
compress=false
allow_pipes=false
max_fail_ratio=0.05

help_message="Usage: steps/make_fbank.sh [options] DATA [LOGDIR [FEATDIR]]
e.g.:  steps/make_fbank.sh --nj 2 data/train exp/log fbank
make_mfcc.sh is called alike; options: see the head of either"

. ./path.sh
. utils/parse_options.sh

if [ $# -lt 1 ] || [ $# -gt 3 ]; then
  echo "$help_message" >&2
  exit 2
fi
data=$1
logdir=${2:-$data/log}
featdir=${3:-$data/data}
name=$(basename "$data")
base=$logdir/make_${type}_$name

for file in "$config" "$data/wav.scp" "$data/utt2spk" "$data/spk2utt"; do
  [ -f "$file" ] || { echo "make_$type.sh: no such file: '$file'" >&2; exit 1; }
done
utils/validate_data_dir.py --no-feats --no-text "$data"
steps/set_up_features.py "$type" "$config" "$data"

utts=$data/wav.scp
[ -f "$data/segments" ] && utts=$data/segments
num_utts=$(wc -l < "$utts")
nj=$((nj < num_utts ? nj : num_utts))
mkdir -p "$base" "$featdir"
# What an earlier run left must not be taken for the result of one that fails.
rm -f "$data/feats.scp"

parts=()
for job in $(seq "$nj"); do parts+=("$base/utts.$job"); done
utils/split_scp.py "$utts" "${parts[@]}"
# shellcheck disable=SC2086 # cmd holds a program and its options
$cmd JOB=1:"$nj" "$base.JOB.log" \
  steps/compute_features.py --compress "$compress" --allow-pipes "$allow_pipes" \
  "$data" "$base/utts.JOB" "$base" JOB \
  "$featdir/raw_${type}_$name.JOB.ark" "$featdir/raw_${type}_$name.JOB.scp"

steps/collect_parts.py --max-fail-ratio "$max_fail_ratio" \
  --dropped "$base/dropped.JOB=$base.dropped" "$nj" "$utts" \
  "$base/utt2num_frames.JOB=$data/utt2num_frames" \
  "$base/utt2dur.JOB=$data/utt2dur" \
  "$featdir/raw_${type}_$name.JOB.scp=$data/feats.scp"
if [ -s "$base.dropped" ]; then
  echo "make_$type.sh: utils/fix_data_dir.py $data would take the dropped out" >&2
fi
