# shellcheck shell=bash
# Put the project's python3 first in PATH; sourced by path.sh.
#
# With CHRONOVOX_PYTHON=/path/to/python that interpreter is used as it is.
# Otherwise .venv is made once, by one process, from requirements.lock and the
# plain torch pin of pyproject.toml; a set-up that was killed is made anew.

_make_venv() (
  set -e
  cd "$CHRONOVOX_ROOT"
  exec 8>.venv.lock
  flock 8
  # Another process may have made it while this one waited.
  [ "$(cat .venv/made-from 2>/dev/null)" = "$1" ] && exit 0
  echo "path.sh: making .venv (about a minute)" >&2
  rm -rf .venv
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "path.sh: python3 is older than 3.11: set CHRONOVOX_PYTHON" >&2
    exit 1
  }
  python3 -m venv .venv
  pip="env -u PYTHONPATH .venv/bin/python -m pip --disable-pip-version-check -q"
  $pip install --require-hashes --no-deps -r requirements.lock
  $pip install "$(sed -n 's/^ *"\(torch==[0-9.]*\)",$/\1/p' pyproject.toml)"
  echo "$1" > .venv/made-from
)

if [ -n "${CHRONOVOX_PYTHON:-}" ]; then
  if [ ! -x "$CHRONOVOX_PYTHON" ]; then
    echo "path.sh: CHRONOVOX_PYTHON=$CHRONOVOX_PYTHON is no program" >&2
    exit 1
  fi
  PATH=$CHRONOVOX_ROOT/utils/given_python:$PATH
else
  _lock=$(cksum < "$CHRONOVOX_ROOT/requirements.lock")
  if [ "$(cat "$CHRONOVOX_ROOT/.venv/made-from" 2>/dev/null)" != "$_lock" ]; then
    _make_venv "$_lock" || { echo "path.sh: set-up failed" >&2; exit 1; }
  fi
  PATH=$CHRONOVOX_ROOT/.venv/bin:$PATH
fi
export PATH
