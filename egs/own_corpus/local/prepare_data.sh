#!/usr/bin/env bash
# Make data/train, data/dev and data/test from trees of recordings.
#
# Usage: local/prepare_data.sh [options] DATA
# e.g.:  local/prepare_data.sh --nj 4 --cmd utils/run.py data
#
# Inputs (environment, set by run.sh from its options):
#   OWN_CORPORA   one directory a line
#   OWN_OPTIONS   options of local/make_data_dirs.py, one word a line
#     (both are stored in DATA/local, and taken from there if they are not set)
#   OWN_NOISES, OWN_RESPONSES   folders of noises and of impulse responses, or none
# Outputs:
#   DATA/{train,dev,test}   Kaldi tables and lhotse manifests
#   DATA/{noises,responses} data directories of what was given
#   DATA/audio              recordings that had to be converted to 16 kHz mono
#   DATA/local/dropped      recordings that cannot be used, and why
#   DATA/local/ignored      files that are no recordings, and why

set -euo pipefail

help_message="Usage: local/prepare_data.sh [options] DATA
  e.g.: local/prepare_data.sh --nj 4 --cmd utils/run.py data
Options (default):
  --nj N               jobs (4)
  --cmd CMD            how jobs are run (utils/run.py)
  --max-fail-ratio X   share of recordings that may be dropped (0.05)"

nj=4
cmd=utils/run.py
max_fail_ratio=0.05

. ./path.sh
. utils/parse_options.sh

if [ $# -ne 1 ]; then
  echo "$help_message" >&2
  exit 2
fi
data=$1
local=$data/local

if [ -z "${OWN_CORPORA:-}" ] && [ ! -f "$local/corpora" ]; then
  echo "prepare_data.sh: no corpus: give ./run.sh --corpus DIR" >&2
  exit 1
fi
mkdir -p "$local"
for name in noises responses; do
  variable=OWN_${name^^}
  if [ -n "${!variable:-}" ]; then
    local/prepare_noises.py --nj "$nj" --max-fail-ratio "$max_fail_ratio" \
      "${!variable}" "$data/$name"
  fi
done
# What is given is remembered at the end, once it is known to do.
for name in corpora options; do
  if [ -f "$local/$name" ]; then cp "$local/$name" "$local/$name.tried"; fi
done
if [ -n "${OWN_CORPORA:-}" ]; then echo "$OWN_CORPORA" > "$local/corpora.tried"; fi
if [ -n "${OWN_OPTIONS+set}" ] || [ ! -f "$local/options" ]; then
  echo "${OWN_OPTIONS:-}" > "$local/options.tried"
fi

local/list_recordings.py "$local/corpora.tried" "$local/recordings"

jobs=$(wc -l < "$local/recordings")
if [ "$nj" -lt "$jobs" ]; then jobs=$nj; fi
mapfile -t parts < <(seq -f "$local/recordings.%.0f" "$jobs")
utils/split_scp.py "$local/recordings" "${parts[@]}"
# shellcheck disable=SC2086  # cmd holds a program and its options
$cmd JOB=1:"$jobs" "$local/log/convert_audio.JOB.log" \
  local/convert_audio.py "$local/recordings.JOB" "$data/audio" "$local/audio.JOB"

# What the list of recordings had to leave out counts as one more part.
last=$((jobs + 1))
: > "$local/audio.$last"
cp "$local/recordings.dropped" "$local/audio.$last.dropped"
cat "$local/recordings" "$local/recordings.dropped" > "$local/expected"
steps/collect_parts.py --max-fail-ratio "$max_fail_ratio" \
  --dropped "$local/audio.JOB.dropped=$local/dropped" "$last" "$local/expected" \
  "$local/audio.JOB=$local/audio" || {
  echo "prepare_data.sh: to do without them, add --prepare-opts" \
    "'--max-fail-ratio 0.2' to ./run.sh" >&2
  exit 1
}

mapfile -t options < <(sed '/^$/d' "$local/options.tried")
local/make_data_dirs.py ${options[@]+"${options[@]}"} \
  "$local/recordings" "$local/audio" "$data"
for name in corpora options; do mv "$local/$name.tried" "$local/$name"; done
echo "prepare_data.sh: $(wc -l < "$local/audio") recordings used," \
  "$(wc -l < "$local/dropped") dropped (see $local/dropped)," \
  "$(wc -l < "$local/ignored") other files ignored (see $local/ignored)"
