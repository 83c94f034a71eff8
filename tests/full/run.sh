#!/usr/bin/env bash
# The longer proofs: the talkers recipe in its default size, on worlds that were
# never used to tune it, without ageing, with it, and with twice as much. Prints tables
# for RESULTS.
#
# Usage: tests/full/run.sh [WORLD_SEED ...]   (default: 11 12 13)
# e.g.:  tests/full/run.sh 11
#
# Works in exp/full/COMMIT, and goes on where it was stopped: a world that has its
# scores is not made again. Changes that are not committed are refused, as the worlds
# would be taken for those of the commit. Fails if, without ageing, the error rate
# rises with the years between two sessions, or if, with ageing, it does not (95 %
# interval of the rise), or if what the years cost, only-CA20 minus match-CA20, does not
# hold 0 without ageing, or not rise with its dose.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd "$root"
. ./path.sh

if [ $# -gt 0 ]; then seeds=("$@"); else seeds=(11 12 13); fi
commit=$(git rev-parse --short HEAD)
changed=$(git status --porcelain -- run.sh path.sh cmd.sh steps utils local conf)
if [ -n "$changed" ]; then
  printf 'tests/full/run.sh: commit or remove these changes first:\n%s\n' \
    "$changed" >&2
  exit 1
fi
pairs=({only,match}-CA{5,10,15,20})
failed=0
for seed in "${seeds[@]}"; do
  last=-100
  for dose in 0 1 2; do
    work=exp/full/$commit/seed${seed}_dose$dose
    scores=$work/exp/xvector_aam_s1/scores_test/random.cosine.json
    if [ ! -f "$scores" ]; then
      mkdir -p "$work"
      for name in steps utils conf local cmd.sh; do
        ln -sfn "$root/$name" "$work/$name"
      done
      echo ". $root/path.sh" > "$work/path.sh"
      (cd "$work" && "$root/run.sh" --prepare-opts "--seed $seed --ageing $dose" \
        --trials "random ${pairs[*]}" --backends cosine) > "$work/run.log" 2>&1 ||
        { tail -20 "$work/run.log" >&2; exit 1; }
      rm -rf "$work/data/audio" "$work/fbank" # 2 GB a world
    fi
    echo "world seed $seed, ageing $dose, random trials, cosine:"
    steps/measure_conditions.py "$work/data/test" "$work/data/test/trials/random" \
      "${scores%.json}" "$work/exp/results"
    # value $7, eer_lo $12
    awk -F '\t' -v dose="$dose" '$7 == "20+ minus 0-5" {
      seen = 1; wrong = (dose == 0 && $12 > 0) || (dose > 0 && $12 <= 0)
    } END { exit wrong || !seen }' "$work/exp/results/conditions.tsv" || {
      echo "tests/full/run.sh: that is not what ageing $dose must give" >&2
      failed=1
    }
    steps/measure_age_effect.py "$work/data/test" "${scores%/*}" |
      tee "$work/age_effect.txt"
    # model, gap, targets, speakers, two rates, DIFFERENCE [LOW, HIGH]
    awk -v dose="$dose" -v last="$last" '$2 == 20 {
      low = substr($8, 2) + 0; high = $9 + 0
      if ((dose == 0 && (low > 0 || high < 0)) || $7 <= last) exit 1
    }' "$work/age_effect.txt" || {
      echo "tests/full/run.sh: that is not what ageing $dose must cost" >&2
      failed=1
    }
    last=$(awk '$2 == 20 { print $7 }' "$work/age_effect.txt")
  done
  echo "world seed $seed, ages from faces:"
  local/report_ages.py "$work/data/test" "$work/exp/dex/test/face2age" "$work/exp/truth"
done
exit $failed
