#!/usr/bin/env bash
# chronovox: speaker verification over time. This is the default recipe, and the
# table of contents of the project: every stage below reads and writes Kaldi files
# that can be looked at (steps/show_ark.py), replaced, or made again by itself. The
# corpus is swapped by standing elsewhere: `cd egs/own_corpus && ./run.sh`; a recipe's
# directory holds local/ conf/ path.sh cmd.sh and links to steps/ utils/.

set -euo pipefail

STAGES="0 corpus and data directories
1 ages of utterances from faces
2 trial lists
3 features and voice activity
4 training
5 embeddings
6 scores and metrics
7 report"

help_message="Usage: ./run.sh [options]
  e.g.: ./run.sh --prepare-opts '--size small' --seeds '1 2 3' --nj 8
        ./run.sh --model exp/xvector_aam_s1 --trials hard

Options (default):
  --stage N               first stage to run (0)
  --stop-stage N          last stage to run (7)
  --list-stages           print the stages and exit
  --nj N                  jobs of a stage (the number of processors)
  --prepare-opts WORDS    options for local/prepare_data.sh, split at blanks ('')
  --trials NAMES          trial lists, of conf/trials/NAME.yaml, or all ('random hard
                          match-CA10 only-CA10')
  --dev-trials NAME       the list of development data (the first of --trials)
  --calibration NAME      the list of development data that scores are calibrated and
                          thresholds fixed on; '' for none (calibration)
  --trials-seed N         seed of the trial lists (1)
  --face-config FILE      ages of faces (conf/dex.yaml; where a network is trained on
                          data/portraits, conf/face_age.yaml)
  --model-config FILE     what to train (conf/xvector_aam.yaml)
  --seeds NUMBERS         seeds of training: one model each ('1')
  --model DIR             take this trained model through stages 5 to 7 instead
  --backends NAMES        ways to score, of conf/backends/NAME.yaml ('cosine asnorm
                          plda')
  --train-opts WORDS      options for steps/train_embedding.py, split at blanks ('')
  --device NAME           auto, cpu or cuda, for training (auto)
  --allow-pipes BOOL      run the commands that wav.scp holds (false)
  --max-fail-ratio X      share of utterances that may be dropped (0.05)
Stages:
$STAGES"

stage=0
stop_stage=7
nj=$(env -u OMP_NUM_THREADS nproc) # which would obey it
prepare_opts=
trials="random hard match-CA10 only-CA10"
dev_trials=
calibration=calibration
trials_seed=1
face_config=
model_config=conf/xvector_aam.yaml
seeds=1
model=
backends="cosine asnorm plda"
train_opts=
device=auto
allow_pipes=false
max_fail_ratio=0.05

for word in "$@"; do
  [ "$word" != --list-stages ] || { echo "$STAGES"; exit 0; }
done
[ -f utils/parse_options.sh ] || { echo "run.sh: cd to a recipe first" >&2; exit 2; }
. utils/parse_options.sh
usage_error() { printf 'run.sh: %s\n%s\n' "$1" "$help_message" >&2; exit 2; }
[ $# -eq 0 ] || usage_error "unexpected argument: $1"
[[ $stage =~ ^[0-7]$ && $stop_stage =~ ^[0-7]$ && $stage -le $stop_stage ]] ||
  usage_error "there is no stage from --stage $stage to --stop-stage $stop_stage"
[ "$trials" != all ] || # random first, for development data
  trials="random $(printf '%s\n' conf/trials/*.yaml |
    sed 's|.*/||; s/\.yaml$//; /^random$/d; /^calibration$/d' | xargs)"
[[ $trials =~ ^[^\ ] ]] || usage_error "--trials: expected names, got '$trials'"
[ -n "$dev_trials" ] || dev_trials=${trials%% *}
if [ -n "$model" ]; then
  [ "$stop_stage" -ge 5 ] || usage_error "--model has no part in stages 0 to 4"
  [ -f "$model/final.pt" ] || { echo "run.sh: no $model/final.pt" >&2; exit 1; }
  [ "$stage" -ge 5 ] || stage=5
  models=("$model")
else
  [ "$stage" -gt 4 ] || [ "$stop_stage" -lt 4 ] || [ -f "$model_config" ] ||
    usage_error "--model-config: no such file: $model_config"
  read -ra models <<< "$seeds"
  models=("${models[@]/#/exp/$(basename "$model_config" .yaml)_s}")
fi

. ./path.sh
. ./cmd.sh

mkdir -p exp # one run at a time there; what a killed run left working is waited for
exec 9> exp/.run.lock
flock --nonblock 9 ||
  { echo "run.sh: another run works in $PWD: waiting for it to end" >&2; flock 9; }

begin() {
  [ "$stage" -le "$1" ] && [ "$1" -le "$stop_stage" ] || return 1
  echo "run.sh: stage $(echo "$STAGES" | grep "^$1 ")" || exit 1
}

select_trials() {
  case $1 in
    train) names= ;;
    dev) names="$dev_trials $calibration" ;;
    test) names=$trials ;;
  esac
  # shellcheck disable=SC2086  # names are split at blanks
  steps/select_trials.sh --seed "$trials_seed" "data/$1" $names
}

if begin 0; then
  # shellcheck disable=SC2086  # prepare_opts is split at blanks
  local/prepare_data.sh --nj "$nj" --cmd "$train_cmd" $prepare_opts data
  for set in train dev test; do
    utils/validate_data_dir.py --no-feats --no-text data/$set
  done
  utils/check_speakers.py data/train data/dev data/test
fi

if begin 1; then
  if [ -f data/portraits ]; then # of people whose ages are known
    $train_cmd exp/face_age/log/train.log steps/train_face_age.py --device cpu \
      "${face_config:-conf/face_age.yaml}" data/portraits exp/face_age
    face_config=exp/face_age/config.yaml
  fi
  for set in train dev test; do
    steps/make_ages.sh --nj "$nj" --cmd "$train_cmd" --max-fail-ratio "$max_fail_ratio" \
      ${face_config:+--config "$face_config"} data/$set exp/dex/$set
  done
fi

if begin 2; then
  for set in test dev; do select_trials $set; done
fi

if begin 3; then
  for set in train dev test; do
    steps/make_fbank.sh --nj "$nj" --cmd "$train_cmd" --compress false \
      --allow-pipes "$allow_pipes" --max-fail-ratio "$max_fail_ratio" \
      data/$set exp/make_fbank fbank
    steps/compute_vad.sh --nj "$nj" --cmd "$train_cmd" --source wav \
      --allow-pipes "$allow_pipes" --max-fail-ratio "$max_fail_ratio" \
      data/$set exp/make_vad fbank
    utils/fix_data_dir.py data/$set # takes out what was dropped, if anything was
    select_trials $set # from what is left
  done
fi

if begin 4; then
  if [ "$device" = auto ] && nvidia-smi -L &> /dev/null; then device=cuda; fi
  [[ "--num-procs 1 $train_opts " =~ .*--num-procs[\ =]+([0-9]+)\  ]] # the last one
  if [ "$device" = cuda ]; then gpu=${BASH_REMATCH[1]}; else gpu=0; fi
  for seed in $seeds; do
    m=exp/$(basename "$model_config" .yaml)_s$seed
    echo "run.sh: training $m: $m/log/train.log"
    # shellcheck disable=SC2086  # train_opts is split at blanks
    $cuda_cmd --gpu "$gpu" "$m/log/train.log" steps/train_embedding.py $train_opts \
      --device "$device" --seed "$seed" --dev-trials "data/dev/trials/$dev_trials" \
      "$model_config" data/train data/dev "$m"
  done
fi

if begin 5; then
  for set in train dev test; do
    for m in "${models[@]}"; do
      steps/extract_embeddings.sh --nj "$nj" --cmd "$train_cmd" \
        --max-fail-ratio "$max_fail_ratio" "$m" data/$set "$m/embeddings_$set"
    done
    [ $set != dev ] || continue
    # Untrained references: what do plain statistics and the channel alone give?
    for kind in floor channel; do
      steps/extract_statistics.sh --nj "$nj" --cmd "$train_cmd" --kind $kind \
        --allow-pipes "$allow_pipes" --max-fail-ratio "$max_fail_ratio" \
        data/$set exp/$kind/embeddings_$set
    done
  done
fi

if begin 6; then
  steps/evaluate_models.sh --cmd "$train_cmd" --train data/train \
    ${calibration:+--dev data/dev --dev-trials "$calibration"} --trials "$trials" \
    --backends "$backends" data/test exp/results "${models[@]}"
  for m in exp/floor exp/channel; do
    steps/evaluate_models.sh --cmd "$train_cmd" --train data/train --best-of true \
      --trials "$trials" --backends "cosine cosine_mean" data/test exp/results $m
  done
fi

if begin 7; then
  steps/print_results.py exp/results
  steps/measure_age_effect.py data/test "${models[@]/%//scores_test}"
  [ ! -d exp/truth ] || # of a corpus that was made up
    local/report_ages.py --results exp/results data/test exp/dex/test/face2age exp/truth
  steps/make_report.py exp/results
fi
