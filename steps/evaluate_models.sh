#!/usr/bin/env bash
# From embeddings to the tables of results: train the back ends of models, score trial
# lists, calibrate and fuse the scores, and measure.
#
# Usage: steps/evaluate_models.sh [options] DATA RESULTS_DIR EXP_M [EXP_M ...]
# e.g.:  steps/evaluate_models.sh --train data/train --dev data/dev \
#          --backends 'cosine plda' --trials 'random hard' data/test exp/results \
#          exp/xvector_aam_s1 exp/xvector_aam_s2
#
# Options:
#   --train DATA                speakers that the back ends learn from (default: none)
#   --dev DATA                  speakers for calibration and thresholds (default: none)
#   --dev-trials NAME           their list (default: calibration)
#   --trials NAMES              lists DATA/trials/NAME (default: random)
#   --backends NAMES            settings conf/backends/NAME.yaml (default: cosine)
#   --calibration NAME          settings conf/calibration/NAME.yaml (default: linear)
#   --best-of BOOL              of each list and model, keep the best back end alone: for
#                               untrained references (default: false)
#   --cmd CMD                   how to run the jobs (default: utils/run.py)
# Inputs: EXP_M/embeddings_SET/xvector.scp of each DATA, where SET is its last part
# Outputs: EXP_M/backends, EXP_M/calibrations, EXP_M/scores_SET; tables in RESULTS_DIR.
#   A calibrated back end is called BACKEND_llr, that of all together fusion. What errors
#   depend on, and how they grow with the years, is measured on the first list.
set -euo pipefail
shopt -u patsub_replacement 2> /dev/null || true # so that & in a path stays one

train=
dev=
dev_trials=calibration
trials=random
backends=cosine
calibration=linear
best_of=false
cmd=utils/run.py

# The help is the head of this file.
help_message=$(sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0")

. ./path.sh
. utils/parse_options.sh

if [ $# -lt 3 ]; then
  echo "$help_message" >&2
  exit 2
fi
data=$1
results=$2
shift 2
usage_error() {
  printf 'evaluate_models.sh: %s\n%s\n' "$1" "$help_message" >&2
  exit 2
}
for word in "$@"; do
  [[ $word != --* ]] || usage_error "$word: options come first"
done
models=("$@")
set=$(basename "$data")
read -ra names <<< "${trials//$'\n'/ }"
read -ra systems <<< "${backends//$'\n'/ }"
[ ${#names[@]} -gt 0 ] || usage_error "--trials: expected names, got '$trials'"
[ ${#systems[@]} -gt 0 ] || usage_error "--backends: expected names, got '$backends'"
[ -n "$train" ] || [ "${systems[*]}" = cosine ] ||
  usage_error "--backends: without --train there is cosine alone"
calibrated=()

# MODEL OUT BACKEND ...: calibrate or fuse the scores of all lists, and of the list that
# it was trained on, for thresholds.
calibrate() {
  local model=$1 out=$2 name
  shift 2
  local own
  own=$model/scores_$(basename "$dev")/$dev_trials
  local quality=()
  [ "$calibration" = linear ] || quality=(--quality "$model/quality_$(basename "$dev")")
  $cmd "$model/calibrations/log/$out.log" steps/train_calibration.py \
    ${quality[@]+"${quality[@]}"} \
    "conf/calibration/$calibration.yaml" "$dev" "$dev/trials/$dev_trials" \
    "${@/#/$own.}" "$model/calibrations/$out"
  for name in "$own" "${names[@]/#/$model/scores_$set/}"; do
    local from=$data
    [ "$name" != "$own" ] || from=$dev
    [ "$calibration" = linear ] ||
      quality=(--quality "$model/quality_$(basename "$from")")
    $cmd "$(dirname "$name")/log/$(basename "$name").$out.log" \
      steps/calibrate_scores.py ${quality[@]+"${quality[@]}"} \
      "$model/calibrations/$out" "$from" \
      "$from/trials/$(basename "$name")" "${@/#/$name.}" "$name.$out"
  done
}

say() { echo "evaluate_models.sh: $*"; }

# MODEL: for calibrations that take quality; the cohort is that of the first back end
# that has one.
measure_quality() {
  local backend cohort=() folder
  for backend in "${systems[@]}"; do
    [ -f "$1/backends/$backend/cohort.ark" ] || continue
    cohort=(--backend "$1/backends/$backend")
    break
  done
  for folder in "$dev" "$data"; do
    $cmd "$1/quality_$(basename "$folder")/log/quality.log" steps/measure_quality.py \
      ${cohort[@]+"${cohort[@]}"} "$folder" "$1/embeddings_$(basename "$folder")" \
      "$1/quality_$(basename "$folder")"
  done
}

for model in "${models[@]}"; do
  say "$model: back ends: $backends; lists of $data: $trials"
  steps/train_backend.sh --cmd "$cmd" --backends "$backends" "$train" "$model"
  steps/score_trials.sh --cmd "$cmd" --backends "$backends" --trials "$trials" \
    "$data" "$model"
done
if [ -n "$dev" ]; then
  calibrated=("${systems[@]/%/_llr}")
  [ ${#systems[@]} -lt 2 ] || calibrated+=(fusion)
  for model in "${models[@]}"; do
    say "$model: calibration by $dev/trials/$dev_trials: ${calibrated[*]}"
    steps/score_trials.sh --cmd "$cmd" --backends "$backends" --trials "$dev_trials" \
      "$dev" "$model"
    [ "$calibration" = linear ] || measure_quality "$model"
    for backend in "${systems[@]}"; do
      calibrate "$model" "${backend}_llr" "$backend"
    done
    [ ${#systems[@]} -lt 2 ] || calibrate "$model" fusion "${systems[@]}"
  done
fi

# LIST BACKEND ...: the score files of all models, in `files`
find_scores() {
  local name=$1 model
  shift
  files=()
  for model in "${models[@]}"; do files+=("${@/#/$model/scores_$set/$name.}"); done
}

say "error rates and costs: $results/results.tsv; logs in $results/log"
for name in "${names[@]}"; do
  find_scores "$name" "${systems[@]}" ${calibrated[@]+"${calibrated[@]}"}
  $cmd "$results/log/$name.metrics.log" steps/compute_metrics.py --best-of "$best_of" \
    "$data" "$data/trials/$name" "${files[@]}" "$results"
done
! $best_of || exit 0

for name in "${names[@]}"; do
  [ ${#systems[@]} -gt 1 ] || break
  find_scores "$name" "${systems[@]}" ${calibrated[@]+fusion}
  $cmd "$results/log/$name.compare.log" \
    steps/compare_systems.py "$data" "$data/trials/$name" "${files[@]}" "$results"
done
if [ -z "$dev" ]; then calibrated=("${systems[@]}"); fi
name=${names[0]}
list=$data/trials/$name
say "comparisons of back ends; conditions and lifetimes on $name: logs in $results/log"
find_scores "$name" "${calibrated[@]}"
$cmd "$results/log/$name.conditions.log" \
  steps/measure_conditions.py "$data" "$list" "${files[@]}" "$results"
if [ -n "$dev" ] && { [ -f "$data/session2date" ] || [ -f "$data/utt2age" ]; }; then
  for model in "${models[@]}"; do
    for backend in "${calibrated[@]}"; do
      $cmd "$results/log/$name.$backend.lifetime.log" steps/measure_lifetime.py \
        "$dev" "$dev/trials/$dev_trials" \
        "$model/scores_$(basename "$dev")/$dev_trials.$backend" \
        "$data" "$list" "$model/scores_$set/$name.$backend" "$results"
    done
  done
fi
