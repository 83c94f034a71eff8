#!/usr/bin/env bash
# Speaker verification on recordings of your own: any tree
# <corpus>/<speaker>/<session>/<utterance>.{wav,flac,ogg,mp3,opus}.
# Only stage 0 differs from the default recipe: local/prepare_data.sh.

set -euo pipefail

help_message="Usage: ./run.sh --corpus DIR [--corpus DIR2 ...] [options]
  e.g.: ./run.sh --corpus ~/recordings --speakers speakers.tsv --test-speakers 20

Options (default):
  --corpus DIR            a tree <speaker>/<session>/<utterance>; repeat for more
  --speakers FILE         tab-separated, with a header: speaker, gender, nationality
  --test-speakers WHICH   a number, or names joined by commas (a fifth of those
                          with two or more sessions)
  --dev-speakers WHICH    likewise, for the training log (a fifth of the others)
  --noises DIR            recordings of noise, made into data/noises, and
  --responses DIR         impulse responses of rooms, into data/responses, both for
                          --model-config conf/xvector_augment.yaml
Stage 0 uses these. It remembers the first four: without --corpus the last corpora
are used, and if none of the four is given, all is as it was.
Every option of the project's run.sh (../../run.sh --help) may follow; the default
of --seeds is '1 2 3' here, and of --trials 'random'."

unset OWN_CORPORA OWN_OPTIONS OWN_NOISES OWN_RESPONSES
corpora=()
prepare=()
rest=()
while [ $# -gt 0 ]; do
  case $1 in
    --corpus | --speakers | --test-speakers | --dev-speakers | --noises | --responses)
      if [ -z "${2:-}" ] || [[ $2 == --* ]]; then
        printf 'run.sh: %s needs a value\n%s\n' "$1" "$help_message" >&2
        exit 2
      fi
      case $1 in
        --corpus) corpora+=("$2") ;;
        --noises) export OWN_NOISES=$2 ;;
        --responses) export OWN_RESPONSES=$2 ;;
        *) prepare+=("$1" "$2") ;;
      esac
      shift 2 ;;
    --help) echo "$help_message"; exit 0 ;;
    *) rest+=("$1"); shift ;;
  esac
done

# Paths may hold blanks, so local/prepare_data.sh gets them one word a line.
if [ ${#corpora[@]} -gt 0 ]; then
  OWN_CORPORA=$(printf '%s\n' "${corpora[@]}")
  export OWN_CORPORA
fi
if [ ${#corpora[@]} -gt 0 ] || [ ${#prepare[@]} -gt 0 ]; then
  OWN_OPTIONS=$(printf '%s\n' ${prepare[@]+"${prepare[@]}"})
  export OWN_OPTIONS
fi

exec ../../run.sh --seeds "1 2 3" --trials random --backends "cosine cosine_mean" \
  --model-config conf/xvector_aam.yaml ${rest[@]+"${rest[@]}"}
