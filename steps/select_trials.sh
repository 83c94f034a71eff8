#!/usr/bin/env bash
# Select trial lists by the rules of conf/trials, one after the other. A list that is
# impossible with these data stops no other; then the exit code is 1.
#
# Usage: steps/select_trials.sh [options] DATA [NAME ...]
# e.g.:  steps/select_trials.sh data/test random Vox-CA10
#
# Options:
#   --seed N                    seed of the lists (default: 1)
# Inputs: conf/trials/NAME.yaml; a list without rules was made by others, and stays
# Outputs: DATA/trials/NAME, NAME.stats, NAME.shortages
set -euo pipefail

seed=1

# The help is the head of this file.
help_message=$(sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0")

. ./path.sh
. utils/parse_options.sh

if [ $# -lt 1 ]; then
  echo "$help_message" >&2
  exit 2
fi
data=$1
shift

failed=
for name in "$@"; do
  [ -f "conf/trials/$name.yaml" ] || [ ! -f "$data/trials/$name" ] || continue
  steps/select_trials.py --rules "conf/trials/$name.yaml" --seed "$seed" \
    "$data" "$data/trials/$name" || failed+=" $name"
done
if [ -n "$failed" ]; then
  echo "select_trials.sh: $data: lists that could not be made, for the reasons" \
    "above:$failed" >&2
  exit 1
fi
