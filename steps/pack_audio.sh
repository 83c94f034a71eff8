#!/usr/bin/env bash
# Write a data directory's recordings into arks of FLAC at one sampling rate, and a
# data directory that reads them from there. Big corpora of small files are read
# faster so, and augmented copies are made so.
#
# Usage: steps/pack_audio.sh [options] SRC DST AUDIO_DIR
# e.g.:  steps/pack_audio.sh --nj 8 data/train data/train_packed audio
#        steps/pack_audio.sh --augment conf/augment.yaml data/train \
#          data/train_changed audio
#        utils/copy_data_dir.py --utt-suffix -noise data/train_changed data/train_noise
#        steps/pack_audio.sh --speed 0.9 data/train data/train_slow audio
#        utils/copy_data_dir.py --utt-prefix sp0.9- --spk-prefix sp0.9- \
#          data/train_slow data/train_sp0.9
#
# Options:
#   --nj N                      parallel jobs (default: 4)
#   --cmd CMD                   how to run them (default: utils/run.py)
#   --sampling-rate R           in Hz (default: 16000)
#   --speed F                   play F times as fast; the pitch moves (default: 1)
#   --augment FILE              settings of noise, babble, reverb, tempo, volume
#   --seed N                    of what is drawn (default: 0)
#   --allow-pipes true|false    run the commands in wav.scp (default: false)
#   --max-fail-ratio R          share of utterances that may fail (default: 0.05)
# Inputs: SRC/wav.scp, utt2spk; SRC/segments if there is one
# Outputs: AUDIO_DIR/DST.J.{ark,scp}; DST: the tables of SRC, but its own wav.scp and
#   utt2dur, and none of features; DST/log/: logs, dropped: `<utt> <reason>`
set -euo pipefail

nj=4
cmd=utils/run.py
sampling_rate=16000
speed=1
augment=
seed=0
allow_pipes=false
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
src=$1
dst=$2
audio=$3
name=$(basename "$dst")
work=$dst/log

for file in "$src/wav.scp" "$src/utt2spk" ${augment:+"$augment"}; do
  [ -f "$file" ] || { echo "pack_audio.sh: no such file: '$file'" >&2; exit 1; }
done
utts=$src/wav.scp
[ -f "$src/segments" ] && utts=$src/segments
mkdir -p "$work" "$audio"
lock_folder "$dst"
split_table "$utts" "$work/parts/utts.JOB"
rm -f "$dst/wav.scp" # what is there is whole, or has none

# shellcheck disable=SC2086 # cmd holds a program and its options
$cmd JOB=1:"$nj" "$work/pack_audio.JOB.log" \
  steps/pack_audio.py --sampling-rate "$sampling_rate" --speed "$speed" \
  ${augment:+--augment "$augment"} --seed "$seed" --allow-pipes "$allow_pipes" \
  "$src" "$work/parts/utts.JOB" "$work/parts" JOB \
  "$audio/$name.JOB.ark" "$audio/$name.JOB.scp"

steps/collect_parts.py --max-fail-ratio "$max_fail_ratio" \
  --dropped "$work/parts/dropped.JOB=$work/dropped" "$nj" "$utts" \
  "$work/parts/utt2dur.JOB=$work/parts/utt2dur" \
  "$audio/$name.JOB.scp=$work/parts/wav.scp"
utils/copy_data_dir.py "$src" "$dst"
rm -f "$dst"/{wav.scp,segments,reco2dur,feats.scp,vad.scp,utt2num_frames}
mv "$work/parts/utt2dur" "$dst/utt2dur"
mv "$work/parts/wav.scp" "$dst/wav.scp"
utils/fix_data_dir.py "$dst"
rm -r "$work/parts"
