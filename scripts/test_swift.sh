#!/usr/bin/env bash
# Runs the tests that need ms-swift itself, in a virtual environment of its own.
#
#   scripts/test_swift.sh                 makes .venv-swift, or takes it when it is complete
#   scripts/test_swift.sh ../venv         another place for the environment
#
# No GPU and no model is needed: about 2 GB of packages and ten minutes on two cores the first time. PYTHON names
# the Python (3.11 or 3.12) that the environment is made from.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
venv=${1:-$root/.venv-swift}
[ $# -eq 0 ] || shift
mkdir -p "$venv"
venv=$(cd "$venv" && pwd)

torch=(torch==2.13.0)
bare=(ms-swift==4.6.0 torchvision==0.28.0 qwen_vl_utils)
rest=(
  transformers==5.6.0 'datasets>=4.1,<4.8.5' accelerate 'peft>=0.18,<0.21' trl==0.24.0 'modelscope>=1.23'
  addict attrdict binpacking cpm_kernels dacite einops fastapi importlib_metadata json_repair nltk openai oss2
  pandas rouge safetensors scipy sentencepiece simplejson sortedcontainers tensorboard tiktoken
  transformers_stream_generator uvicorn zstandard 'pytest>=8.3'
)
mark=$(printf '%s\n' "${torch[@]}" "${bare[@]}" "${rest[@]}" | cat - "$root/pyproject.toml" | cksum)

if [ "$(cat "$venv/.complete" 2>/dev/null)" != "$mark" ]; then
  echo "Making ms-swift's environment in $venv"
  "${PYTHON:-python3}" -m venv --clear "$venv"
  pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)
  "${pip[@]}" "${torch[@]}"
  "${pip[@]}" --no-deps "${bare[@]}" # with its dependencies, pip would fetch another torch
  "${pip[@]}" "${torch[@]}" "${rest[@]}" --editable "$root"
  site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  cp "$root/tests/trainer/torchvision_operators.py" "$site/"
  echo 'import torchvision_operators' > "$site/torchvision_operators.pth"
  echo "$mark" > "$venv/.complete"
fi

cd "$root"
PYTHONPATH=$root exec "$venv/bin/python" -m pytest -m trainer tests/trainer/test_swift.py "$@"
