#!/usr/bin/env bash
# Evaluate embeddings of any toolkit: all trial lists, back ends, tables and the report.
#
# Usage: steps/evaluate_embeddings.sh --embeddings SCP --data DATA [options]
# e.g.:  steps/evaluate_embeddings.sh --embeddings theirs/test.scp --data data/test \
#          --train-embeddings theirs/train.scp --train data/train \
#          --dev-embeddings theirs/dev.scp --dev data/dev \
#          --train-speakers data/train/spk2utt --name theirs
#
# Options:
#   --embeddings SCP            Kaldi table of vectors, keyed as DATA/utt2spk
#   --data DATA                 data directory with trial lists
#   --train-embeddings SCP, --train DATA    what back ends learn from (default: none)
#   --dev-embeddings SCP, --dev DATA        for calibration and thresholds: with a list
#                               DATA/trials/calibration (default: none)
#   --train-speakers FILE       who trained the network, as steps/import_embeddings.py
#                               takes it (default: unknown)
#   --trials NAMES              lists (default: all of DATA/trials)
#   --backends NAMES            settings conf/backends/NAME.yaml (default: cosine, and
#                               with --train asnorm and plda)
#   --name NAME                 the model's name: works in exp/NAME (default: imported)
#   --results DIR               (default: exp/results)
#   --max-fail-ratio R          of utterances that may have no vector (default: 0.05)
#   --cmd CMD                   how to run the jobs (default: utils/run.py)
# Outputs: exp/NAME, the tables and report.html in DIR. What lacks a vector is told first.
set -euo pipefail

embeddings=
data=
train_embeddings=
train=
dev_embeddings=
dev=
train_speakers=
trials=
backends=
name=imported
results=exp/results
max_fail_ratio=0.05
cmd=utils/run.py

# The help is the head of this file.
help_message=$(sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0")

. ./path.sh
. utils/parse_options.sh

usage_error() {
  printf 'evaluate_embeddings.sh: %s\n%s\n' "$1" "$help_message" >&2
  exit 2
}
[ $# -eq 0 ] || usage_error "unexpected argument: $1"
[ -n "$embeddings" ] && [ -n "$data" ] || usage_error "--embeddings and --data are needed"
[ -z "$train$train_embeddings" ] || { [ -n "$train" ] && [ -n "$train_embeddings" ]; } ||
  usage_error "--train-embeddings and --train go together"
[ -z "$dev$dev_embeddings" ] || { [ -n "$dev" ] && [ -n "$dev_embeddings" ]; } ||
  usage_error "--dev-embeddings and --dev go together"
if [ -z "$trials" ]; then
  trials=$(find "$data/trials" -type f ! -name '*.*' -printf '%f\n' | sort | xargs)
fi
if [ -z "$backends" ]; then
  backends=cosine
  [ -z "$train" ] || backends="cosine asnorm plda"
fi

import() {
  steps/import_embeddings.py --max-fail-ratio "$max_fail_ratio" \
    ${train_speakers:+--train-speakers "$train_speakers"} "$1" "$2" "exp/$name"
}
[ -z "$train" ] || import "$train_embeddings" "$train"
[ -z "$dev" ] || import "$dev_embeddings" "$dev"
import "$embeddings" "$data"
steps/evaluate_models.sh --cmd "$cmd" ${train:+--train "$train"} ${dev:+--dev "$dev"} \
  --trials "$trials" --backends "$backends" "$data" "$results" "exp/$name"
steps/print_results.py "$results"
steps/make_report.py "$results"
