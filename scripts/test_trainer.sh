#!/usr/bin/env bash
# Runs the tests that need LLaMA-Factory itself (marker `trainer`), in a virtual environment of its own.
#
#   scripts/test_trainer.sh                               makes .venv-trainer, or takes it when it is complete
#   scripts/test_trainer.sh ../venv                       another place for the environment
#   scripts/test_trainer.sh .venv-trainer -k medical      further words go to pytest
#
# With LLAMAFACTORY_DATA, the folder `data` of LLaMA-Factory's repository, its own data are checked row by row.
# No GPU and no model is needed: about 2 GB of packages and ten minutes on two cores the first time. PYTHON names
# the Python (3.11 or 3.12) that the environment is made from.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
venv=${1:-$root/.venv-trainer}
[ $# -eq 0 ] || shift
mkdir -p "$venv"
venv=$(cd "$venv" && pwd)

# LLaMA-Factory 0.9.5 without what only its web page, its hubs and sound need.
torch=(torch==2.13.0)
bare=(llamafactory==0.9.5 torchvision==0.28.0)
rest=(
  transformers==5.6.0 datasets==4.0.0 accelerate==1.11.0 peft==0.18.1 trl==0.24.0
  'av>=10,<=16.0.0' omegaconf scipy matplotlib sentencepiece pillow 'pytest>=8.3'
)
mark=$(printf '%s\n' "${torch[@]}" "${bare[@]}" "${rest[@]}" | cat - "$root/pyproject.toml" | cksum)

if [ "$(cat "$venv/.complete" 2>/dev/null)" != "$mark" ]; then
  echo "Making the trainer's environment in $venv"
  "${PYTHON:-python3}" -m venv --clear "$venv"
  pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)
  "${pip[@]}" "${torch[@]}"
  # torchvision's file for CUDA fits beside a torch for the CPU, once its operators are declared (see below);
  # with its dependencies, pip would fetch another torch.
  "${pip[@]}" --no-deps "${bare[@]}"
  "${pip[@]}" "${rest[@]}" --editable "${root}[ocr]"
  site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  cp "$root/tests/trainer/torchvision_operators.py" "$site/"
  echo 'import torchvision_operators' > "$site/torchvision_operators.pth"
  echo '"""LLaMA-Factory imports torchaudio and calls it for sound alone."""' > "$site/torchaudio.py"
  echo "$mark" > "$venv/.complete"
fi

cd "$root"
PYTHONPATH=$root exec "$venv/bin/python" -m pytest -m trainer tests/trainer "$@"
