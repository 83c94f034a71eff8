#!/usr/bin/env bash
# Turn VoxCeleb1's official trial lists into trials of ours, as they are published.
#
# Usage: local/convert_lists.sh [options] LISTS DATA
# e.g.:  local/convert_lists.sh ~/lists data/test
#
# Options:
#   --max-fail-ratio R   share of trials that DATA may lack an utterance of (0.05)
# Inputs: any of LISTS/{veri_test,veri_test2,list_test_all,list_test_all2,
#   list_test_hard,list_test_hard2}.txt, or .txt.gz; DATA/utt2spk
# Outputs: DATA/trials/Vox-{O,E,H} and Vox-{O,E,H}-cleaned; NAME.dropped: trials that
#   were left out, with the reason
#
# A file that is not the published one, by its MD5, gives a warning; it may end its
# lines otherwise.
set -euo pipefail

max_fail_ratio=0.05

# The help is the head of this file.
help_message=$(sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0")

. ./path.sh
. utils/parse_options.sh

if [ $# -ne 2 ]; then
  echo "$help_message" >&2
  exit 2
fi
lists=$1
data=$2

# file, name of the trials, published MD5
published="veri_test Vox-O 29fc7cc1c5d59f0816dc15d6e8be60f7
veri_test2 Vox-O-cleaned b73110731c9223c1461fe49cb48dddfc
list_test_all Vox-E b9ecf7aa49d4b656aa927a8092844e4a
list_test_all2 Vox-E-cleaned a53e059deb562ffcfc092bf5d90d9f3a
list_test_hard Vox-H 21c341b6b2168eea2634df0fb4b8fff1
list_test_hard2 Vox-H-cleaned 857790e09d579a68eb2e339a090343c8"

mkdir -p "$data/trials"
found=0
while read -r file name md5; do
  source=$lists/$file.txt
  if [ ! -f "$source" ]; then source=$source.gz; fi
  if [ ! -f "$source" ]; then continue; fi
  found=$((found + 1))
  text=$data/trials/.$file.txt
  trap 'rm -f "$text"' EXIT
  whole=$(gzip -dcf "$source" | md5sum)
  gzip -dcf "$source" | awk '{ sub(/\r$/, ""); print }' > "$text"
  if [ "$whole" != "$md5  -" ] && [ "$(md5sum < "$text")" != "$md5  -" ]; then
    echo "convert_lists.sh: warning: $source is not the published $file.txt: its" \
      "MD5 is ${whole%% *}, not $md5" >&2
  fi
  echo "convert_lists.sh: $source: $data/trials/$name" >&2
  steps/convert_trials.py --max-fail-ratio "$max_fail_ratio" \
    "$data" "$text" "$data/trials/$name"
  rm "$text"
done <<< "$published"
if [ $found -eq 0 ]; then
  echo "convert_lists.sh: $lists: none of $(cut -d ' ' -f 1 <<< "$published" |
    sed 's/$/.txt/' | tr '\n' ' ')in it" >&2
  exit 1
fi
