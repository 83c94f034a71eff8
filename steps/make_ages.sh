#!/usr/bin/env bash
# Make the ages of a data directory from its faces, if it has some: estimate each face,
# then label the utterances. Ages that were imported stay.
#
# Usage: steps/make_ages.sh [options] DATA EXP
# e.g.:  steps/make_ages.sh --nj 8 --config conf/dex.yaml data/test exp/dex/test
#
# Options:
#   --nj N                      parallel jobs (default: 4)
#   --cmd CMD                   how to run them (default: utils/run.py)
#   --config FILE               network, weights and crop (default: conf/dex.yaml, where
#                               there is one)
#   --max-fail-ratio R          share of faces, and of utterances, that may have no age
#                               (default: 0.05)
# Inputs: DATA/faces/face.scp, face2utt
# Outputs: those of steps/estimate_face_ages.sh in EXP, of steps/label_ages.py in DATA
set -euo pipefail

nj=4
cmd=utils/run.py
config=
max_fail_ratio=0.05

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

skip() {
  echo "make_ages.sh: $data: $*"
  exit 0
}
if grep -qs '^import_ages ' "$data/utt2age.source"; then skip "has imported ages"; fi
[ -f "$data/faces/face.scp" ] || skip "no faces, so no ages"
[ -n "$config" ] || [ -f conf/dex.yaml ] ||
  skip "has faces, but there is no conf/dex.yaml that names a network: no ages"

# Nobody must take ages of an earlier run for those of one that fails.
if grep -qs '^label_ages ' "$data/utt2age.source"; then
  rm -f "$data"/utt2age "$data"/utt2age.* "$data"/utt2age_std "$data"/utt2num_faces
fi
steps/estimate_face_ages.sh --nj "$nj" --cmd "$cmd" --config "${config:-conf/dex.yaml}" \
  --max-fail-ratio "$max_fail_ratio" "$data" "$exp"
steps/label_ages.py --max-fail-ratio "$max_fail_ratio" "$data" "$exp/face2age"
