#!/usr/bin/env bash
# VoxCeleb: training on VoxCeleb2-dev, tests on all of VoxCeleb1 with the trial lists of
# cross-age speaker verification. Stage 0 alone differs from the default recipe. Without
# audio, the trial lists can be made of metadata.

set -euo pipefail

help_message="Usage: ./run.sh --vox1 DIR --vox2 DIR [options]
       ./run.sh --metadata-only true --utt2dur FILE --meta FILE [--ages FILE] [options]
  e.g.: ./run.sh --vox1 /corpora/vox1 --vox2 /corpora/vox2 --ages ages.csv --nj 32
        ./run.sh --metadata-only true --utt2dur vox1_utt2dur.txt.gz \\
          --meta vox1_meta.csv --trials 'our-E our-H'

Options (default):
  --vox1 DIR              VoxCeleb1, unpacked anyhow: wav or flac, speakers' folders
                          id##### at most three folders below DIR
  --vox2 DIR              VoxCeleb2 likewise, m4a or converted
  --meta FILE             vox1_meta.csv (DIR/vox1_meta.csv)
  --meta2 FILE            vox2_meta.csv (DIR/vox2_meta.csv)
  --ages FILE             ages of VoxCeleb1's videos: segment2age.npy, a .csv, or
                          AgeVoxCeleb's utt2age; see steps/import_ages.py
  --ages-columns NAMES    speaker, video and age in the .csv (VoxCeleb_ID,video_id,age)
  --official-lists DIR    veri_test.txt and so on, or .txt.gz, made into Vox-O,
                          Vox-O-cleaned, Vox-E, ... of data/test/trials
  --exclude-shared-videos BOOL  take videos that are in VoxCeleb1 too out of the
                          training side (false); they are counted anyway
  --dev-speakers N        of VoxCeleb2-dev, kept from training for its log (50)
  --vox1-faces DIR        pictures of faces, if they are not below --vox1, and
  --vox2-faces DIR        --vox2: unzippedFaces; <id#####>/<video>[/<utterance>]/*.jpg
  --utt2dur FILE          durations, lines 'speaker/video/utterance seconds', or .gz;
                          where it lacks utterances, those of the headers are taken
  --metadata-only BOOL    without audio: the utterances are those of --utt2dur, and
                          stages 0 to 2 make lists; --stage, --stop-stage, --trials,
                          --trials-seed and --prepare-opts may be given (false)
Stage 0 uses all these, and needs them each time it is run.
Every option of the project's run.sh (../../run.sh --help) may follow; the defaults
here are --model-config conf/resnet34_aam.yaml, and for --trials all the sets: our-E,
our-H, only-N, only-H, only-I; and only-CA*, Vox-CA*, match-CA* and Vox-CA*-matched of
5, 10, 15 and 20 years, which need ages (without audio and --ages, only the first)."

unset VOX_OPTIONS
metadata_only=false
ages=
prepare=()
rest=()
while [ $# -gt 0 ]; do
  case $1 in
    --vox1 | --vox2 | --meta | --meta2 | --ages | --ages-columns | --official-lists | \
      --exclude-shared-videos | --dev-speakers | --vox1-faces | --vox2-faces | \
      --utt2dur | --metadata-only)
      if [ -z "${2:-}" ] || [[ $2 == --* ]]; then
        printf 'run.sh: %s needs a value\n%s\n' "$1" "$help_message" >&2
        exit 2
      fi
      case $1 in
        --metadata-only) metadata_only=$2 ;;
        --ages) ages=$2 ;;
      esac
      prepare+=("$1" "$2")
      shift 2 ;;
    --help) echo "$help_message"; exit 0 ;;
    *) rest+=("$1"); shift ;;
  esac
done

trials="our-E our-H only-N only-H only-I"
past_stage_0='\ --stage\ [1-7]\ '
if [ "$metadata_only" != true ] || [ -n "$ages" ] ||
  [[ " ${rest[*]-} " =~ $past_stage_0 ]]; then
  for years in 5 10 15 20; do
    trials+=" only-CA$years Vox-CA$years match-CA$years Vox-CA$years-matched"
  done
fi

# Paths may hold blanks, so local/prepare_data.sh gets them one word a line.
VOX_OPTIONS=$(printf '%s\n' ${prepare[@]+"${prepare[@]}"})
export VOX_OPTIONS
if [ "$metadata_only" = true ]; then
  exec local/make_lists.sh --trials "$trials" ${rest[@]+"${rest[@]}"}
fi
exec ../../run.sh --trials "$trials" --dev-trials our-E \
  --model-config conf/resnet34_aam.yaml \
  ${rest[@]+"${rest[@]}"}
