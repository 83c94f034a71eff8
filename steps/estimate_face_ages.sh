#!/usr/bin/env bash
# Estimate the ages of the faces of a data directory, in parallel jobs.
#
# Usage: steps/estimate_face_ages.sh [options] DATA EXP
# e.g.:  steps/estimate_face_ages.sh --nj 8 --config conf/dex.yaml data/vox2_dev exp/dex
#
# Options:
#   --nj N                      parallel jobs (default: 4)
#   --cmd CMD                   how to run them (default: utils/run.py)
#   --config FILE               network, weights and crop (default: conf/dex.yaml)
#   --device auto|cpu|cuda      where the network runs (default: cpu)
#   --max-fail-ratio R          share of pictures that may be unreadable or without
#                               a face (default: 0.05)
# Inputs: DATA/faces/face.scp: `<face> <picture>`; the files that FILE names
# Outputs: EXP/face2age: `<face> <years>`; EXP/face_age.{ark,scp}: the posterior of
#   the ages 0 to 100 of each face, unless the network has none, as SSR-Net;
#   EXP/config.yaml, dropped: `<face> <reason>`, log/. A run that was killed, or that
#   dropped too many, is taken up again where it was, with the same --nj.
set -euo pipefail

nj=4
cmd=utils/run.py
config=conf/dex.yaml
device=cpu
max_fail_ratio=0.05

# The help is the head of this file.
help_message=$(sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0")

. ./path.sh
. utils/parse_options.sh
. utils/split_table.sh

if [ $# -ne 2 ]; then
  echo "$help_message" >&2
  exit 2
fi
faces=$1/faces/face.scp
exp=$2
parts=$exp/parts

for file in "$config" "$faces"; do
  [ -f "$file" ] && continue
  echo "estimate_face_ages.sh: no such file: '$file'" >&2
  exit 1
done

mkdir -p "$exp/log"
lock_folder "$exp"
# What an earlier run left must not be taken for the result of one that fails; but a
# job looks itself at the faces that it had done.
rm -f "$exp/face2age" "$exp/face_age.scp" "$exp/face_age.ark" \
  "$parts"/face2age* "$parts"/dropped.* "$parts"/face_age*
split_table "$faces" "$parts/face.JOB.scp"

gpu=()
if [ "$device" = cuda ]; then gpu=(--gpu 1); fi
# shellcheck disable=SC2086 # cmd holds a program and its options
$cmd ${gpu[@]+"${gpu[@]}"} JOB=1:"$nj" "$exp/log/estimate.JOB.log" \
  steps/estimate_face_ages.py --device "$device" \
  "$config" "$parts/face.JOB.scp" "$parts" JOB

tables=("$parts/face2age.JOB=$parts/face2age")
if [ -f "$parts/face_age.1.scp" ]; then
  tables+=("$parts/face_age.JOB.scp=$parts/face_age.scp")
fi
steps/collect_parts.py --max-fail-ratio "$max_fail_ratio" \
  --dropped "$parts/dropped.JOB=$exp/dropped" "$nj" "$faces" "${tables[@]}"
if [ -f "$parts/face_age.scp" ]; then
  steps/copy_vectors.py "$parts/face_age.scp" "$exp/face_age.ark" "$exp/face_age.scp"
fi
cp "$config" "$exp/.config.yaml.tmp"
mv "$exp/.config.yaml.tmp" "$exp/config.yaml"
mv "$parts/face2age" "$exp/face2age" # the last: who finds it finds the rest
rm -r "$parts"
