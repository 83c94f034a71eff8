#!/usr/bin/env bash
# Make the trial lists of VoxCeleb1 where there is no audio: stages 0 to 2 of run.sh.
#
# Usage: local/make_lists.sh [options]
# e.g.:  ./run.sh --metadata-only true --utt2dur vox1_utt2dur.txt.gz \
#          --meta vox1_meta.csv --ages ages.csv --trials 'our-E Vox-CA10'
#
# Options (default):
#   --stage N, --stop-stage N   stages to run: 0 data/test, 1 ages (with stage 0), 2
#                               trial lists (0, 2)
#   --trials NAMES              of conf/trials/NAME.yaml (our-E)
#   --trials-seed N             seed of the trial lists (1)
#   --prepare-opts WORDS        options for local/prepare_data.sh, split at blanks ('')
# Inputs: VOX_OPTIONS (environment, set by run.sh): as local/prepare_data.sh
# Outputs: data/test, data/test/trials/NAME, .stats, .shortages
set -euo pipefail

stage=0
stop_stage=2
trials=our-E
trials_seed=1
prepare_opts=

# The help is the head of this file.
help_message=$(sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0")

. ./path.sh
. utils/parse_options.sh
. utils/split_table.sh

if [ $# -ne 0 ]; then
  echo "$help_message" >&2
  exit 2
fi
need_audio="stages 3 to 7 need recordings: ./run.sh --vox1 DIR --vox2 DIR"
if [ "$stage" -gt 2 ]; then
  echo "run.sh: $need_audio" >&2
  exit 1
fi

mkdir -p data
lock_folder data
if [ "$stage" -le 0 ]; then
  echo "run.sh: stages 0 and 1: VoxCeleb1 by its metadata"
  # shellcheck disable=SC2086  # prepare_opts is split at blanks
  local/prepare_data.sh $prepare_opts data
  utils/validate_data_dir.py --no-feats --no-text --no-wav data/test
fi
if [ "$stage" -le 2 ] && [ "$stop_stage" -ge 2 ]; then
  echo "run.sh: stage 2 trial lists"
  # shellcheck disable=SC2086  # trials are split at blanks
  steps/select_trials.sh --seed "$trials_seed" data/test $trials
  echo "run.sh: the lists are in data/test/trials; $need_audio"
fi
