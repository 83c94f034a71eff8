#!/usr/bin/env bash
# Make the talkers corpus: data/train, data/dev and data/test of synthetic people
# who age. A test bed with known truth; nothing in it is real speech.
#
# Usage: local/prepare_data.sh [options] DATA
# e.g.:  local/prepare_data.sh --nj 2 --size small data
#
# Inputs:
#   conf/talkers.yaml
# Outputs:
#   DATA/{train,dev,test}   Kaldi tables, lhotse manifests, corpus.json; no ages
#   DATA/{train,dev,test}/faces   pictures of the talkers in their sessions
#   DATA/portraits          `<picture> <age>` of people who do not speak
#   DATA/audio, DATA/pictures     recordings, 16 kHz, 16 bit; faces, 64 x 64 pixels
#   EXP/truth               true ages and voices, for evaluation alone

set -euo pipefail

help_message="Usage: local/prepare_data.sh [options] DATA
  e.g.: local/prepare_data.sh --nj 2 --size small data
Options (default):
  --nj N             jobs (4)
  --cmd CMD          how jobs are run (utils/run.py)
  --settings FILE    of the world (conf/talkers.yaml)
  --size NAME        small, default or large (that of the settings)
  --seed N           of the world (that of the settings)
  --ageing D         dose of ageing, 0 is none (that of the settings)
  --world NAME       ageing or channel_dated (that of the settings)
  --exp DIR          where truth/ is made (exp)"

nj=4
cmd=utils/run.py
settings=conf/talkers.yaml
size=
seed=
ageing=
world=
exp=exp

. ./path.sh
. utils/parse_options.sh

if [ $# -ne 1 ]; then
  echo "$help_message" >&2
  exit 2
fi
data=$1
local=$data/local

options=()
if [ -n "$size" ]; then options+=(--size "$size"); fi
if [ -n "$seed" ]; then options+=(--seed "$seed"); fi
if [ -n "$ageing" ]; then options+=(--ageing "$ageing"); fi
if [ -n "$world" ]; then options+=(--world "$world"); fi
local/plan_talkers.py ${options[@]+"${options[@]}"} \
  "$settings" "$data" "$exp/truth"

jobs=$(wc -l < "$local/talkers")
if [ "$nj" -lt "$jobs" ]; then jobs=$nj; fi
mapfile -t parts < <(seq -f "$local/talkers.%.0f" "$jobs")
mapfile -t people < <(seq -f "$local/people.%.0f" "$jobs")
mapfile -t lists < <(seq -f "$local/utterances.%.0f" "$jobs")
utils/split_scp.py "$local/talkers" "${parts[@]}"
utils/split_scp.py "$local/people" "${people[@]}"
$cmd JOB=1:"$jobs" "$local/log/speak_talkers.JOB.log" \
  local/speak_talkers.py "$local/talkers.yaml" "$local/talkers.JOB" \
  "$data/audio" "$local/utterances.JOB"
$cmd JOB=1:"$jobs" "$local/log/draw_faces.JOB.log" \
  local/draw_faces.py "$local/talkers.yaml" "$local/people.JOB" "$data/pictures"

local/make_data_dirs.py "$local/talkers.yaml" "$data/audio" "$data/pictures" "$data" \
  "${lists[@]}"
