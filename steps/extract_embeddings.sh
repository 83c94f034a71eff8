#!/usr/bin/env bash
# Extract the embedding of every utterance of a data directory, in parallel jobs,
# and the mean embedding of every speaker.
#
# Usage: steps/extract_embeddings.sh [options] EXP_M DATA OUT_DIR
# e.g.:  steps/extract_embeddings.sh --nj 2 exp/xvector_aam_s1 data/test \
#          exp/xvector_aam_s1/embeddings_test
#
# Options:
#   --nj N                      parallel jobs (default: 4)
#   --cmd CMD                   how to run them (default: utils/run.py)
#   --device auto|cpu|cuda      where the network runs (default: cpu)
#   --batch-frames N            frames of a batch, padding included (default: 20000)
#   --max-fail-ratio R          share of utterances that may be too short
#                               (default: 0.05)
# Inputs: EXP_M/config.yaml, features.yaml, final.pt; DATA/feats.scp, vad.scp (if
#   the model wants it), utt2num_frames, utt2spk, conf/features.yaml
# Outputs: OUT_DIR/xvector.{ark,scp}, spk_xvector.{ark,scp}, num_utts.ark, log/,
#   dropped: `<utt> <reason>`, made_from: `<file> <sha256>` of network, corpus and
#   feature settings: scoring refuses vectors that are older
set -euo pipefail

nj=4
cmd=utils/run.py
device=cpu
batch_frames=20000
max_fail_ratio=0.05

# The help is the head of this file.
help_message=$(sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0")

. ./path.sh
. utils/parse_options.sh
. utils/split_table.sh

if [ $# -ne 3 ]; then
  echo "$help_message" >&2
  exit 2
fi
exp=$1
data=$2
out=$3
parts=$out/parts

for file in "$exp/config.yaml" "$exp/features.yaml" "$exp/final.pt" \
  "$data/feats.scp" "$data/utt2num_frames" "$data/utt2spk"; do
  [ -f "$file" ] && continue
  echo "extract_embeddings.sh: no such file: '$file': train the model" \
    "(./run.sh --stage 4), make the features (--stage 3)" >&2
  exit 1
done

mkdir -p "$out/log"
lock_folder "$out"
[ -s "$data/feats.scp" ] || {
  echo "extract_embeddings.sh: empty: $data/feats.scp: run steps/make_fbank.sh" >&2
  exit 1
}
split_table "$data/feats.scp" "$parts/feats.JOB.scp"
# What an earlier run left must not be taken for the result of one that fails.
rm -f "$out/xvector.scp" "$out/spk_xvector.scp" "$out/made_from"

gpu=()
if [ "$device" = cuda ]; then gpu=(--gpu 1); fi
# shellcheck disable=SC2086 # cmd holds a program and its options
$cmd ${gpu[@]+"${gpu[@]}"} JOB=1:"$nj" "$out/log/extract.JOB.log" \
  steps/extract_embeddings.py --device "$device" --batch-frames "$batch_frames" \
  "$exp" "$data" "$parts/feats.JOB.scp" "$parts" JOB \
  "$parts/xvector.JOB.ark" "$parts/xvector.JOB.scp"

steps/collect_parts.py --max-fail-ratio "$max_fail_ratio" \
  --dropped "$parts/dropped.JOB=$out/dropped" "$nj" "$data/feats.scp" \
  "$parts/xvector.JOB.scp=$parts/xvector.scp"
steps/join_vectors.py "$parts/xvector.scp" "$data/utt2spk" "$out" \
  "$exp/final.pt" "$data/conf/features.yaml" "$data/corpus.json" "$data/wav.scp"
rm -r "$parts"
