#!/bin/sh
# Makes .venv and installs everything into it; does nothing where that is done already.
# Usage: scripts/setup.sh [python]; without a name the first of python3, 3.13, 3.12, 3.11 that fits is taken.
set -eu
cd "$(dirname "$0")/.."
venv=.venv

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }
stop() { echo "setup: $1" >&2; exit 2; }

wanted="${1:-}"
inputs=$(cat pyproject.toml constraints.txt requirements/learn2learn.txt scripts/setup.sh | cksum)
if [ -f "$venv/.installed" ] && [ "$(cat "$venv/.installed")" = "$inputs" ]; then
    [ -z "$wanted" ] && exit 0
    version='import sys; print(sys.version_info[:2])'
    [ "$("$wanted" -c "$version" 2>/dev/null)" = "$("$venv/bin/python" -c "$version")" ] && exit 0
fi

if [ -n "$wanted" ]; then
    command -v "$wanted" >/dev/null || stop "$wanted is not on this machine: install it, or name another with PYTHON=..."
    fits "$wanted" || stop "$wanted is not Python 3.11, 3.12 or 3.13: name one that is, with PYTHON=..."
    python="$wanted"
else
    python=""
    for each in python3 python3.13 python3.12 python3.11; do
        if fits "$each"; then python="$each"; break; fi
    done
    [ -n "$python" ] || stop "no Python 3.11, 3.12 or 3.13 was found: install one, or name it with PYTHON=..."
fi
compiler=""
for each in "${CC:-cc}" gcc clang; do
    if command -v "$each" >/dev/null; then compiler="$each"; break; fi
done
[ -n "$compiler" ] || stop "no C compiler was found, and learn2learn needs one: install gcc (Debian: build-essential)."
headers='import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'
"$python" -c "$headers" || stop "Python.h of $python was not found: install its headers (Debian: python3-dev)."
"$python" -c 'import ensurepip, venv' 2>/dev/null || stop "$python cannot make environments: install venv (Debian: python3-venv)."

echo "setup: installing into $venv with $("$python" --version); the first time this takes a few minutes" >&2
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --upgrade 'pip>=24.2'
"$venv/bin/python" -m pip install --quiet -c constraints.txt -e '.[dev,maml,ray]'
"$venv/bin/python" -m pip install --quiet --no-deps -r requirements/learn2learn.txt
echo "$inputs" > "$venv/.installed"
