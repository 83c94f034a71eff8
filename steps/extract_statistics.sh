#!/usr/bin/env bash
# Extract untrained reference vectors, in the form of embeddings, in parallel jobs.
# They come straight from the recordings, whatever features DATA has.
#
# Usage: steps/extract_statistics.sh --kind floor|channel [options] DATA OUT_DIR
# e.g.:  steps/extract_statistics.sh --kind floor --nj 2 data/test \
#          exp/floor/embeddings_test
#
# Options:
#   --kind floor|channel        floor: mean and deviation of the MFCC of voiced
#                               frames; channel: mean log-mel of the other frames
#   --nj N                      parallel jobs (default: 4)
#   --cmd CMD                   how to run them (default: utils/run.py)
#   --config FILE               feature settings (default: conf/mfcc.yaml for floor,
#                               conf/fbank.yaml for channel)
#   --vad-config FILE           default: conf/vad.yaml
#   --allow-pipes true|false    run the commands in wav.scp (default: false)
#   --max-fail-ratio R          share of utterances that may fail (default: 0.05)
# Inputs: DATA/wav.scp, utt2spk; DATA/segments if there is one
# Outputs: OUT_DIR/xvector.{ark,scp}, spk_xvector.{ark,scp}, num_utts.ark, log/,
#   dropped: `<utt> <reason>`, made_from: `<file> <sha256>` of the corpus: scoring
#   refuses vectors that are older
set -euo pipefail

kind=
nj=4
cmd=utils/run.py
config=
vad_config=conf/vad.yaml
allow_pipes=false
max_fail_ratio=0.05

# The help is the head of this file.
help_message=$(sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0")

. ./path.sh
. utils/parse_options.sh
. utils/split_table.sh

case $kind in
  floor) config=${config:-conf/mfcc.yaml} ;;
  channel) config=${config:-conf/fbank.yaml} ;;
esac
if [ $# -ne 2 ] || [ -z "$config" ]; then
  echo "$help_message" >&2
  exit 2
fi
data=$1
out=$2
parts=$out/parts

for file in "$config" "$vad_config" "$data/wav.scp" "$data/utt2spk"; do
  [ -f "$file" ] || { echo "extract_statistics.sh: no such file: '$file'" >&2; exit 1; }
done

utts=$data/wav.scp
[ -f "$data/segments" ] && utts=$data/segments
mkdir -p "$out/log"
lock_folder "$out"
split_table "$utts" "$parts/utts.JOB"
# What an earlier run left must not be taken for the result of one that fails.
rm -f "$out/xvector.scp" "$out/spk_xvector.scp" "$out/made_from"

# shellcheck disable=SC2086 # cmd holds a program and its options
$cmd JOB=1:"$nj" "$out/log/extract.JOB.log" \
  steps/extract_statistics.py --vad-config "$vad_config" \
  --allow-pipes "$allow_pipes" "$kind" "$config" "$data" "$parts/utts.JOB" \
  "$parts" JOB "$parts/xvector.JOB.ark" "$parts/xvector.JOB.scp"

steps/collect_parts.py --max-fail-ratio "$max_fail_ratio" \
  --dropped "$parts/dropped.JOB=$out/dropped" "$nj" "$utts" \
  "$parts/xvector.JOB.scp=$parts/xvector.scp"
steps/join_vectors.py "$parts/xvector.scp" "$data/utt2spk" "$out" \
  "$data/corpus.json" "$data/wav.scp"
rm -r "$parts"
