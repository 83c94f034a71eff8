# shellcheck shell=bash
# Set variables from command-line options; sourced after a script's defaults:
#
#   nj=4            # the default; only variables that exist can be set
#   help_message="Usage: ..."
#   . utils/parse_options.sh
#
# `--max-len 3` sets max_len, up to the first argument that is no option; the other
# arguments stay in "$@". `--config FILE` sources assignments before anything else,
# so the command line wins; in a script that has a variable `config`, it is an
# ordinary option. A variable that is true or false takes only these; stage and
# stop_stage take whole numbers, nj one from 1 on, max_fail_ratio a number from 0 to
# 1, seeds whole numbers, device auto, cpu or cuda. `--help` prints $help_message.
# help_message itself and what the environment exports are no options. What is wrong
# ends the script with the usage and code 2.

_po_fail() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  if [ -n "${help_message:-}" ]; then printf '%s\n' "$help_message" >&2; fi
  exit 2
}

# Whether "$1" is written as an option that there is.
_po_known() {
  [[ $1 =~ ^--[a-z][a-z0-9-]*$ ]] || return 1
  local _po_as=${1#--}
  _po_as=${_po_as//-/_}
  [ "$_po_as" != help_message ] || return 1
  [ "$_po_as" = config ] || [ "$_po_as" = help ] || [ -n "${!_po_as+x}" ]
}

# _po_check VARIABLE OLD NEW WHERE
_po_check() {
  if [[ ${!1@a} == *x* ]]; then
    _po_fail "$4: $1 comes from the environment: if it is an option, unset it there"
  fi
  case $2 in
    true | false)
      case $3 in
        true | false) ;;
        *) _po_fail "$4: expected true or false, got '$3'" ;;
      esac ;;
  esac
  case $1 in
    stage | stop_stage)
      [[ $3 =~ ^-?[0-9]+$ ]] || _po_fail "$4: expected a whole number, got '$3'" ;;
    nj)
      [[ $3 =~ ^0*[1-9][0-9]*$ ]] ||
        _po_fail "$4: expected a number from 1 on, got '$3'" ;;
    max_fail_ratio)
      [[ $3 =~ ^(0|0?\.[0-9]+|1(\.0+)?)$ ]] ||
        _po_fail "$4: expected a number from 0 to 1, got '$3'" ;;
    seeds)
      [[ $3 =~ ^\ *[0-9]+(\ +[0-9]+)*\ *$ ]] ||
        _po_fail "$4: expected whole numbers, got '$3'" ;;
    device)
      [[ $3 =~ ^(auto|cpu|cuda)$ ]] ||
        _po_fail "$4: expected auto, cpu or cuda, got '$3'" ;;
  esac
}

# Source a file of assignments; it may set only what exists already.
_po_source() {
  local _po_name _po_file=$1
  local -A _po_old=()
  [ -f "$1" ] || _po_fail "--config: no such file: $1"
  for _po_name in $(compgen -v); do
    _po_old[$_po_name]=${!_po_name-}
  done
  # Without a slash, bash would look for it in PATH.
  [[ $1 == */* ]] || _po_file=./$1
  # shellcheck disable=SC1090
  . "$_po_file" || _po_fail "--config: $1 failed"
  for _po_name in $(compgen -v); do
    [[ $_po_name =~ ^[a-z] ]] || continue
    [ -n "${_po_old[$_po_name]+x}" ] || _po_fail "$1: unknown option: $_po_name"
    [ "${_po_old[$_po_name]}" != "${!_po_name-}" ] || continue
    [ "$_po_name" != help_message ] || _po_fail "$1: unknown option: $_po_name"
    _po_check "$_po_name" "${_po_old[$_po_name]}" "${!_po_name-}" "$1: $_po_name"
  done
}

# Set the variables: first those of --config, then the others. _po_used counts the
# words that were options.
_po_parse() {
  local _po_word _po_var _po_pass
  for _po_pass in config others; do
    _po_used=0
    while [ $((_po_used += 1)) -le $# ]; do
      _po_word=${!_po_used}
      case $_po_word in
        --)
          : $((_po_used += 1))
          break ;;
        --help | -h)
          printf '%s\n' "${help_message:-no help}"
          exit 0 ;;
        --*=*) _po_fail "$_po_word: write ${_po_word%%=*} VALUE, without '='" ;;
        --*) ;;
        -[a-zA-Z]*) _po_fail "unknown option: $_po_word" ;;
        *) break ;;
      esac
      _po_known "$_po_word" || _po_fail "unknown option: $_po_word"
      : $((_po_used += 1))
      if [ "$_po_used" -gt $# ] || _po_known "${!_po_used}"; then
        _po_fail "option without value: $_po_word"
      fi
      if [ "$_po_word" = --config ] && [ -z "${config+x}" ]; then
        if [ $_po_pass = config ]; then _po_source "${!_po_used}"; fi
      elif [ $_po_pass = others ]; then
        _po_var=${_po_word#--}
        _po_var=${_po_var//-/_}
        _po_check "$_po_var" "${!_po_var}" "${!_po_used}" "$_po_word"
        printf -v "$_po_var" '%s' "${!_po_used}"
      fi
    done
    : $((_po_used -= 1))
  done
}

_po_used=0
_po_parse "$@"
shift "$_po_used"
unset _po_used
unset -f _po_fail _po_known _po_check _po_source _po_parse
