# shellcheck shell=bash
# The environment of every stage script; sourced by run.sh and by steps/*.sh.
#
# Makes .venv from requirements.lock where it is missing. To use an interpreter
# of your own, which has the packages of pyproject.toml, export
# CHRONOVOX_PYTHON=/path/to/python before.

CHRONOVOX_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
export CHRONOVOX_ROOT
export LC_ALL=C
export PYTHONPATH=$CHRONOVOX_ROOT/steps

# A shell of somebody's own, which reads this file, must outlive an error.
. "$CHRONOVOX_ROOT/utils/set_up_python.sh" || return 1

# Ctrl-C ends a script even if what it had just started came to its end all the same.
case $- in
  *i*) ;;
  *) trap 'trap - INT; kill -INT $$' INT ;;
esac
