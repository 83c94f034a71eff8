#!/usr/bin/env bash
# Make data/train, data/dev and data/test from trees of recordings.
#
# Usage: local/prepare_data.sh [--nj N] [--cmd CMD] DATA
# e.g.:  local/prepare_data.sh --nj 4 --cmd utils/run.py data
#
# Inputs (written by run.sh from its options):
#   DATA/local/corpora   one directory a line
#   DATA/local/options   options of local/make_data_dirs.py, one word a line
# Outputs:
#   DATA/{train,dev,test}   Kaldi tables and lhotse manifests
#   DATA/audio              recordings that had to be converted to 16 kHz mono
#   DATA/local/dropped      what cannot be used, and why

set -euo pipefail

help_message="Usage: local/prepare_data.sh [--nj N] [--cmd CMD] DATA
  e.g.: local/prepare_data.sh --nj 4 --cmd utils/run.py data"

nj=4
cmd=utils/run.py

. ./path.sh
. utils/parse_options.sh

if [ $# -ne 1 ]; then
  echo "$help_message" >&2
  exit 2
fi
data=$1
local=$data/local

if [ ! -f "$local/corpora" ]; then
  echo "prepare_data.sh: no corpus: give ./run.sh --corpus DIR" >&2
  exit 1
fi

local/list_recordings.py "$local/corpora" "$local/recordings"

jobs=$(wc -l < "$local/recordings")
if [ "$nj" -lt "$jobs" ]; then jobs=$nj; fi
parts=$(seq -f "$local/recordings.%.0f" "$jobs")
# shellcheck disable=SC2086  # one word a part
utils/split_scp.py "$local/recordings" $parts
$cmd JOB=1:"$jobs" "$local/log/convert_audio.JOB.log" \
  local/convert_audio.py "$local/recordings.JOB" "$data/audio" "$local/audio.JOB"

for n in $(seq "$jobs"); do cat "$local/audio.$n"; done > "$local/audio"
for n in $(seq "$jobs"); do cat "$local/audio.$n.dropped"; done |
  cat "$local/recordings.dropped" - > "$local/dropped"

mapfile -t options < <(sed '/^$/d' "$local/options")
local/make_data_dirs.py ${options[@]+"${options[@]}"} \
  "$local/recordings" "$local/audio" "$data"
echo "prepare_data.sh: $(wc -l < "$local/audio") recordings used," \
  "$(wc -l < "$local/dropped") files dropped (see $local/dropped)"
