#!/bin/sh
# Create .venv and install everything into it; do nothing if that is done already.
# Usage: scripts/setup.sh [PYTHON]
# Without PYTHON, use the first of python3, python3.13, python3.12, python3.11 that is supported.
set -eu
cd "$(dirname "$0")/.."
venv=.venv

is_supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}
stop() { echo "setup: $1" >&2; exit 2; }

requested="${1:-}"
inputs=$(cat pyproject.toml constraints.txt requirements/learn2learn.txt scripts/setup.sh | cksum)
if [ -f "$venv/.installed" ] && [ "$(cat "$venv/.installed")" = "$inputs" ]; then
    [ -z "$requested" ] && exit 0
    version='import sys; print(sys.version_info[:2])'
    [ "$("$requested" -c "$version" 2>/dev/null)" = "$("$venv/bin/python" -c "$version")" ] && exit 0
fi

if [ -n "$requested" ]; then
    command -v "$requested" >/dev/null ||
        stop "there is no $requested on this machine: install it, or name another with PYTHON=..."
    is_supported "$requested" ||
        stop "$requested is not Python 3.11, 3.12 or 3.13: name one of those with PYTHON=..."
    python="$requested"
else
    python=""
    for candidate in python3 python3.13 python3.12 python3.11; do
        if is_supported "$candidate"; then python="$candidate"; break; fi
    done
    [ -n "$python" ] ||
        stop "there is no Python 3.11, 3.12 or 3.13: install one, or name it with PYTHON=..."
fi

compiler=""
for candidate in "${CC:-cc}" gcc clang; do
    if command -v "$candidate" >/dev/null; then compiler="$candidate"; break; fi
done
[ -n "$compiler" ] ||
    stop "there is no C compiler, and learn2learn needs one: install gcc (Debian: build-essential)."
headers='import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'
"$python" -c "$headers" ||
    stop "$python has no header Python.h: install its headers (Debian: python3-dev)."
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    stop "$python cannot create environments: install venv (Debian: python3-venv)."

echo "setup: installing into $venv with $("$python" --version); this takes a few minutes" >&2
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --upgrade 'pip>=24.2'
"$venv/bin/python" -m pip install --quiet -c constraints.txt -e '.[browser,demo,dev,export,heif,hdf5,hf,imagenet,maml,oracles,ray,tensorboard,wandb]'
"$venv/bin/python" -m pip install --quiet --no-deps -r requirements/learn2learn.txt
echo "$inputs" > "$venv/.installed"
