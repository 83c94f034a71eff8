# shellcheck shell=bash
# Sourced by the scripts that run parallel jobs. Uses and may lower $nj.

# lock_folder FOLDER: hold it alone, till this script and all its jobs have ended;
# what works there already is waited for.
lock_folder() {
  exec 8> "$1/.lock"
  flock --wait 2 8 && return
  echo "${0##*/}: another process works in $1: waiting for it to end" >&2
  flock 8
}

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
