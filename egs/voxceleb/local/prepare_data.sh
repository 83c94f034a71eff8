#!/usr/bin/env bash
# Make data/train and data/dev of VoxCeleb2-dev, and data/test of all of VoxCeleb1.
#
# Usage: local/prepare_data.sh [options] DATA
# e.g.:  local/prepare_data.sh --vox1 /corpora/vox1 --vox2 /corpora/vox2 --nj 8 data
#        local/prepare_data.sh --metadata-only true --utt2dur utt2dur.txt \
#          --meta vox1_meta.csv --ages ages.csv data
#
# Options (default); ../run.sh --help explains those that are not explained here:
#   --nj N                  jobs (4)
#   --cmd CMD               how jobs are run (utils/run.py)
#   --max-fail-ratio X      share of recordings, ages or trials that may be dropped
#                           (0.05)
#   --vox1 --vox2 --meta --meta2 --utt2dur --ages --ages-columns --official-lists
#   --vox1-faces --vox2-faces --exclude-shared-videos --dev-speakers --metadata-only
# Inputs: the corpora. VOX_OPTIONS (environment, set by run.sh): further options, one
#   word a line
# Outputs:
#   DATA/{train,dev,test}   Kaldi tables, lhotse manifests, faces/ where there are any
#   DATA/test/trials/       the official lists
#   DATA/local/dropped      recordings that cannot be used, and why
#   DATA/local/ignored      what else lies there, and why it is not used
#   DATA/local/shared_videos  videos that are in VoxCeleb1 and in VoxCeleb2
set -euo pipefail

nj=4
cmd=utils/run.py
max_fail_ratio=0.05
vox1=
vox2=
meta=
meta2=
utt2dur=
ages=
ages_columns=
official_lists=
vox1_faces=
vox2_faces=
exclude_shared_videos=false
dev_speakers=50
metadata_only=false

# The help is the head of this file.
help_message=$(sed -n '1d; /^#/!q; s/^# \{0,1\}//p' "$0")

. ./path.sh
# Paths may hold blanks, so run.sh gives them one word a line.
mapfile -t words < <(printf '%s' "${VOX_OPTIONS:+$VOX_OPTIONS$'\n'}")
set -- ${words[@]+"${words[@]}"} "$@"
. utils/parse_options.sh

if [ $# -ne 1 ]; then
  echo "$help_message" >&2
  exit 2
fi
data=$1
local=$data/local
ratio=(--max-fail-ratio "$max_fail_ratio")

fail() {
  echo "prepare_data.sh: $*" >&2
  exit 1
}

# find_meta FILE FOLDER N: the metadata that is named, or lies in the corpus.
find_meta() {
  local path
  for path in "$1" "$2/vox$3_meta.csv" "$2/meta/vox$3_meta.csv"; do
    if [ -f "$path" ]; then echo "$path"; return; fi
    if [ -n "$1" ]; then fail "$1: no such file"; fi
  done
  fail "no $2/vox$3_meta.csv: name it with --meta${3#1}"
}

if [ $metadata_only = true ]; then
  [ -n "$utt2dur" ] && [ -n "$meta" ] ||
    fail "without audio, give --utt2dur FILE and --meta vox1_meta.csv"
  [ -z "$vox1$vox2$vox1_faces$vox2_faces" ] ||
    fail "--metadata-only true goes without --vox1, --vox2 and faces"
  [ ! -f "$data/test/wav.scp" ] ||
    fail "$data/test has recordings: lists of them are made by ./run.sh --stage 2" \
      "without --metadata-only, or remove $data/test first"
else
  [ -n "$vox1" ] && [ -n "$vox2" ] ||
    fail "no corpora: give ./run.sh --vox1 DIR --vox2 DIR, or --metadata-only true"
  meta2=$(find_meta "$meta2" "$vox2" 2)
fi
meta=$(find_meta "$meta" "$vox1" 1)
[ -z "$ages" ] || [ -f "$ages" ] || fail "--ages $ages: no such file"
[ -z "$utt2dur" ] || [ -f "$utt2dur" ] || fail "--utt2dur $utt2dur: no such file"
[ -z "$official_lists" ] || [ -d "$official_lists" ] ||
  fail "--official-lists $official_lists: no such folder"
mkdir -p "$local"
rm -f "$local"/*.{dropped,ignored} "$local"/shared_videos

durations=()
if [ -n "$utt2dur" ]; then
  gzip -dcf "$utt2dur" > "$local/utt2dur"
  durations=(--utt2dur "$local/utt2dur")
fi
more=()
if [ $metadata_only = true ]; then
  sets=(test)
  local/list_utterances.py "$local/utt2dur" "$local/vox1"
else
  sets=(train dev test)
  local/list_utterances.py "${ratio[@]}" "$vox1" "$local/vox1"
  local/list_utterances.py "${ratio[@]}" "$vox2" "$local/vox2"
  more=("$meta2" "$local/vox2")
fi
local/make_data_dirs.py "${ratio[@]}" ${durations[@]+"${durations[@]}"} \
  --exclude-shared-videos $exclude_shared_videos --dev-speakers "$dev_speakers" \
  "$meta" "$local/vox1" "$data" ${more[@]+"${more[@]}"}

for set in "${sets[@]}"; do
  if [ ! -f "$data/$set/utt2dur" ]; then
    steps/get_utt2dur.sh --nj "$nj" --cmd "$cmd" "${ratio[@]}" "$data/$set"
    utils/fix_data_dir.py "$data/$set" # takes out what cannot be read
    cp "$data/$set/log/get_utt2dur.dropped" "$local/durations_$set.dropped"
  fi
done

# find_faces N FOLDER CORPUS META DATA...: in FOLDER, or, if there are some, in CORPUS
find_faces() {
  local where=("$2") corpus=$1 root=$3
  if [ -z "$2" ]; then where=(--optional true "$root"); fi
  shift 3
  local/find_faces.py --corpus "$corpus" "${where[@]}" "$@"
}
if [ $metadata_only = false ]; then
  steps/make_manifests.py "${sets[@]/#/$data/}"
  find_faces 1 "$vox1_faces" "$vox1" "$meta" "$data/test"
  find_faces 2 "$vox2_faces" "$vox2" "$meta2" "$data/train" "$data/dev"
fi

if [ -n "$ages" ]; then
  case $ages in
    *.npy) format=(segment2age) ;;
    *.csv) format=(csv ${ages_columns:+--columns "$ages_columns"}) ;;
    *) format=(utt2age) ;;
  esac
  steps/import_ages.py "${ratio[@]}" --format "${format[@]}" "$data/test" "$ages"
fi
if [ -z "$ages" ] && [ ! -f "$data/test/faces/face.scp" ]; then
  echo "prepare_data.sh: no ages and no faces of VoxCeleb1: lists that need no ages" \
    "are --trials 'our-E our-H only-N only-H only-I'" >&2
fi
if [ -n "$official_lists" ]; then
  local/convert_lists.sh "${ratio[@]}" "$official_lists" "$data/test"
fi

for name in dropped ignored; do
  cat "$local"/*."$name" > "$local/.$name.tmp"
  mv "$local/.$name.tmp" "$local/$name"
done
