# shellcheck shell=bash
# Sourced by the scripts that run parallel jobs. Uses and may lower $nj.

# split_table TABLE PARTS: one part for each job, named by JOB in PARTS; no more
# jobs than lines. An empty table ends the script.
split_table() {
  local num_lines job outputs=()
  if [ ! -s "$1" ]; then
    echo "${0##*/}: empty: $1" >&2
    exit 1
  fi
  num_lines=$(wc -l < "$1")
  nj=$((nj < num_lines ? nj : num_lines))
  mkdir -p "$(dirname "$2")"
  for job in $(seq "$nj"); do outputs+=("${2//JOB/$job}"); done
  utils/split_scp.py "$1" "${outputs[@]}"
}
