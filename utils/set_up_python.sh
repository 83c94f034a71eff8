# shellcheck shell=bash
# Put the project's python3 first in PATH; sourced by path.sh.
#
# With CHRONOVOX_PYTHON=/path/to/python that interpreter is used as it is.
# Otherwise .venv is made once, by one process, from requirements.lock and the
# plain torch pin of pyproject.toml; a set-up that was killed is made anew.

# In a condition bash ignores `set -e`, so what may fail says what follows.
_make_venv() (
  cd "$CHRONOVOX_ROOT" || exit 1
  exec 8>.venv.lock
  PATH=${PATH//"$CHRONOVOX_ROOT/utils/python:"/} # which needs it already
  flock 8 || exit 1
  # Another process may have made it while this one waited.
  if [ "$(cat .venv/made-from 2>/dev/null)" = "$1" ]; then exit 0; fi
  echo "path.sh: making .venv (about a minute)" >&2
  rm -rf .venv || exit 1
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "path.sh: python3 is older than 3.11: set CHRONOVOX_PYTHON" >&2
    exit 1
  }
  python3 -m venv .venv || exit 1
  pip="env -u PYTHONPATH .venv/bin/python -m pip --disable-pip-version-check -q"
  $pip install --require-hashes --no-deps -r requirements.lock || exit 1
  $pip install "$2" || exit 1
  echo "$1" > .venv/made-from
)

if [ -n "${CHRONOVOX_PYTHON:-}" ]; then
  if [ ! -x "$CHRONOVOX_PYTHON" ]; then
    echo "path.sh: CHRONOVOX_PYTHON=$CHRONOVOX_PYTHON is no program" >&2
    return 1
  fi
  if [ "$CHRONOVOX_PYTHON" -ef "$CHRONOVOX_ROOT/utils/python/python3" ]; then
    echo "path.sh: CHRONOVOX_PYTHON names our own python3, which calls it: unset it" >&2
    return 1
  fi
else
  _torch=$(sed -n 's/^ *"\(torch==[0-9.]*\)",$/\1/p' "$CHRONOVOX_ROOT/pyproject.toml")
  _from="$(cksum < "$CHRONOVOX_ROOT/requirements.lock") $_torch"
  if [ "$(cat "$CHRONOVOX_ROOT/.venv/made-from" 2>/dev/null)" != "$_from" ]; then
    _make_venv "$_from" "$_torch" || { echo "path.sh: set-up failed" >&2; return 1; }
  fi
  PATH=$CHRONOVOX_ROOT/.venv/bin:$PATH
fi
PATH=$CHRONOVOX_ROOT/utils/python:$PATH
export PATH
