#!/usr/bin/env bash
# Write utt2dur of a data directory from the headers of its recordings, in parallel
# jobs: nothing is decoded, so a million small files are a matter of minutes.
#
# Usage: steps/get_utt2dur.sh [options] DATA [LOGDIR=DATA/log]
# e.g.:  steps/get_utt2dur.sh --nj 8 --cmd "$train_cmd" data/train
#
# Options:
#   --nj N                      parallel jobs (default: 4)
#   --cmd CMD                   how to run them (default: utils/run.py)
#   --allow-pipes true|false    run the commands in wav.scp, whole (default: false)
#   --max-fail-ratio R          share of utterances that may fail (default: 0.05)
# Inputs: DATA/wav.scp; DATA/segments if there is one
# Outputs: DATA/utt2dur (s); LOGDIR/get_utt2dur.J.log,
#   LOGDIR/get_utt2dur.dropped: `<utt> <reason>`
set -euo pipefail

nj=4
cmd=utils/run.py
allow_pipes=false
max_fail_ratio=0.05

# The help is the head of this file.
help_message=$(sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0")

. ./path.sh
. utils/parse_options.sh
. utils/split_table.sh

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  echo "$help_message" >&2
  exit 2
fi
data=$1
base=${2:-$data/log}/get_utt2dur

if [ ! -f "$data/wav.scp" ]; then
  echo "get_utt2dur.sh: no such file: '$data/wav.scp'" >&2
  exit 1
fi
utts=$data/wav.scp
[ -f "$data/segments" ] && utts=$data/segments
lock_folder "$data"
split_table "$utts" "$base/utts.JOB"

# shellcheck disable=SC2086 # cmd holds a program and its options
$cmd JOB=1:"$nj" "$base.JOB.log" \
  steps/get_utt2dur.py --allow-pipes "$allow_pipes" \
  "$data" "$base/utts.JOB" "$base" JOB

steps/collect_parts.py --max-fail-ratio "$max_fail_ratio" \
  --dropped "$base/dropped.JOB=$base.dropped" "$nj" "$utts" \
  "$base/utt2dur.JOB=$data/utt2dur"
rm -r "$base"
if [ -s "$base.dropped" ]; then
  echo "get_utt2dur.sh: utils/fix_data_dir.py $data takes the dropped out" >&2
fi
