#!/usr/bin/env bash
# Compute the features of a data directory in parallel jobs: log-mel filterbank
# (fbank) or MFCC.
#
# Usage: steps/make_fbank.sh [options] DATA [LOGDIR=DATA/log [FEATDIR=DATA/data]]
#        steps/make_mfcc.sh [options] DATA [LOGDIR=DATA/log [FEATDIR=DATA/data]]
# e.g.:  steps/make_fbank.sh --nj 2 --cmd "$train_cmd" data/train exp/make_fbank fbank
#
# Both call steps/make_feats.sh --type fbank|mfcc.
#
# Options:
#   --nj N                      parallel jobs (default: 4)
#   --cmd CMD                   how to run them (default: utils/run.py)
#   --config FILE               settings (default: conf/fbank.yaml, conf/mfcc.yaml)
#   --compress true|false       8 bits a value: a quarter of the space, but chunks
#                               take 20 times longer to read (default: false)
#   --allow-pipes true|false    run the commands in wav.scp (default: false)
#   --max-fail-ratio R          share of utterances that may fail (default: 0.05)
# Inputs: DATA/wav.scp, utt2spk, spk2utt; DATA/segments if there is one
# Outputs (X is the type, NAME the last part of DATA):
#   FEATDIR/raw_X_NAME.J.{ark,scp}
#   DATA/feats.scp, utt2num_frames, utt2dur (s), frame_shift (s), conf/features.yaml
#   LOGDIR/make_X_NAME.J.log, LOGDIR/make_X_NAME.dropped: `<utt> <reason>`
# DATA/vad.scp, which belongs to earlier features, is removed.
set -euo pipefail

type=
nj=4
cmd=utils/run.py
config=
compress=false
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
featdir=${3:-$data/data}
name=$(basename "$data")
base=$logdir/make_${type}_$name

for file in "$config" "$data/wav.scp" "$data/utt2spk" "$data/spk2utt"; do
  [ -f "$file" ] || { echo "make_$type.sh: no such file: '$file'" >&2; exit 1; }
done
lock_folder "$data"
if [ -f "$data/.backup/unfinished" ]; then
  utils/fix_data_dir.py "$data" # it was killed before it was done
fi
utts=$data/wav.scp
[ -f "$data/segments" ] && utts=$data/segments
split_table "$utts" "$base/utts.JOB"
utils/validate_data_dir.py --no-feats --no-text "$data"
steps/set_up_features.py "$type" "$config" "$data"

mkdir -p "$featdir"
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
