#!/usr/bin/env bash
# Trains, exports, serves, asks and scores this bundle: START_HERE.md says what it needs, ./run.sh --help what can
# be set. This script only finds a Python that can run handoff.py, which does all of it: one of 3.10 or later with
# numpy, jinja2, pydantic and pillow, such as that of LLaMA-Factory or vLLM. PYTHON names one.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

runs() { [ "$("$1" -c 'import sys; print(sys.version_info >= (3, 10))' 2>/dev/null)" = True ]; }
able() { runs "$1" && "$1" -c 'import numpy, jinja2, PIL.Image; from pydantic import model_validator' 2>/dev/null; }
why() { # what keeps a Python from running anything here
  local version
  if [ -d "$1" ]; then
    echo "is a folder: name the Python in it, $1/bin/python"
  elif [ -L "$1" ] && [ ! -e "$1" ]; then
    echo "leads to $(readlink "$1"), which is gone: make its environment anew"
  elif ! command -v "$1" >/dev/null 2>&1; then
    echo "is no program here"
  else
    version=$("$1" -c 'import sys; print("Python %d.%d.%d" % tuple(sys.version_info[:3]))' 2>&1 </dev/null | tail -n 1) || true
    case $version in
      Python\ [0-9]*) echo "is $version: too old" ;;
      *) echo "does not start as a Python: ${version:-it prints nothing}" ;;
    esac
  fi
}
beside() { # the Python of the environment that a command belongs to
  local place
  place=$(command -v "$1") && [ -x "$(dirname "$place")/python3" ] && pythons+=("$(dirname "$place")/python3")
}

pythons=("${PYTHON:-python3}")
if [ -z "${PYTHON:-}" ]; then
  beside "${TRAINER:-llamafactory-cli}" || true
  beside "${VLLM:-vllm}" || true
  [ ! -s "$here/.python" ] || pythons+=("$(cat "$here/.python")") # of an earlier call: --status from any terminal
fi
for python in "${pythons[@]}"; do
  if able "$python"; then
    command -v "$python" 2>/dev/null >"$here/.python" || true # a folder that cannot be written keeps none
    exec "$python" "$here/handoff.py" "$@"
  fi
done
# None can do all of it: one that lacks packages still tells everything that is missing on this machine.
for python in "${pythons[@]}"; do
  if runs "$python"; then exec "$python" "$here/handoff.py" "$@"; fi
done
echo "error: no Python of 3.10 or later with numpy, jinja2, pydantic and pillow; tried:" >&2
for python in "${pythons[@]}"; do echo "  $python $(why "$python")" >&2; done
echo "  Name one, such as that of LLaMA-Factory or vLLM: PYTHON=/environment/bin/python ./run.sh" >&2
exit 1
