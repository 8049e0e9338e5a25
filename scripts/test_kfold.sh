#!/usr/bin/env bash
# Goes the whole way of `datakit kfold` with a tiny random Qwen2.5-VL on the CPU: the real LLaMA-Factory trains each
# fold, the real vLLM serves and is asked, and the answers are joined.
#
#   scripts/test_kfold.sh                                     takes .venv-trainer and .venv-vllm
#   TRAINER_VENV=../t VLLM_VENV=../v scripts/test_kfold.sh    other places for the environments
#   K=3 RECORDS=24 scripts/test_kfold.sh                      more folds, more records; 2 and 16 if not given
#
# scripts/test_trainer.sh and scripts/test_vllm.sh make the environments. No GPU is needed; 4 GB of memory and about
# three minutes a fold on two cores. datakit itself runs in .venv-test, or with the Python that TEST_PYTHON names.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
trainer=${TRAINER_VENV:-$root/.venv-trainer}
vllm=${VLLM_VENV:-$root/.venv-vllm}
tester=${TEST_PYTHON:-$root/.venv-test/bin/python}
k=${K:-2}
records=${RECORDS:-16}
[ -x "$tester" ] || { echo "no $tester: make the test environment of README.md first" >&2; exit 2; }
[ -x "$trainer/bin/llamafactory-cli" ] || { echo "no trainer in $trainer: scripts/test_trainer.sh makes it" >&2; exit 2; }
[ -x "$vllm/bin/vllm" ] || { echo "no vLLM in $vllm: scripts/test_vllm.sh makes it" >&2; exit 2; }
trainer=$(cd "$trainer" && pwd) vllm=$(cd "$vllm" && pwd)

project=$(mktemp -d)
trap 'rm -rf "$project"' EXIT
mkdir -p "$project/recipes"
export PYTHONPATH=$root
"$vllm/bin/python" "$root/scripts/make_tiny_model.py" --untied --out "$project/tiny"

head -n "$records" "$root/examples/ecom/train.jsonl" > "$project/first.jsonl"
cat > "$project/recipes/tiny.yaml" <<YAML
name: tiny
labels: $root/templates/ecom/labels.yaml
steps:
  - read.jsonl: {path: ../first.jsonl, image: image, label: label, image_root: $root/examples/ecom}
  - annotate.image_facts: {}
  - curate.duplicates: {}
  - curate.split: {stratify: label, group: duplicate_of}
  - render.chat: {prompt: ecom/classify_v1.j2, answer: label_only}
emit: [llamafactory]
train:
  model: $project/tiny
  method: lora
  image_max_pixels: 12544
  gradient_accumulation_steps: 1
  per_device_train_batch_size: 1
  preprocessing_num_workers: 1
  max_steps: 2
  save_steps: 2
  eval_steps: 2
  logging_steps: 1
run: {max_reject_rate: 1.0}
YAML

datakit=("$tester" -m datakit.cli)
words=("$project/recipes/tiny.yaml" --k "$k")
port=$("$tester" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
printf '#!/bin/sh\nexec "%s" -m datakit.cli "$@"\n' "$tester" > "$project/datakit"
chmod +x "$project/datakit"
export DATAKIT=$project/datakit
flags=(--cpu --python "$trainer/bin/python" --vllm "$vllm/bin/vllm" --port "$port")
# A random model writes white space between the parts of a grammar for ever; its cache need hold little.
flags+=(--serve-flags "--timeout-s 600")

"${datakit[@]}" kfold "${words[@]}"
"$project/build/tiny.kfold/run.sh" "${flags[@]}"
"${datakit[@]}" kfold "${words[@]}" --status
"$project/build/tiny.kfold/run.sh" "${flags[@]}" --json > "$project/again.json"

"$tester" - "$project" "$records" <<'PYTHON'
import json
import sys
from pathlib import Path

folder, records = Path(sys.argv[1]) / "build" / "tiny.kfold", int(sys.argv[2])
ids = [json.loads(line)["id"] for line in (folder / "kfold.jsonl").read_text("utf-8").splitlines()]
again = json.loads((Path(sys.argv[1]) / "again.json").read_text("utf-8"))
assert len(ids) == len(set(ids)) == records, f"{len(set(ids))} of {records} records are predicted"
assert (again["built"], again["predicted"], again["missing_folds"]) == ([], records, [])
scored = [json.loads(line).get("probabilities") for line in (folder / "kfold.jsonl").read_text("utf-8").splitlines()]
print(f"{len(ids)} records predicted out of fold, {sum(map(bool, scored))} with label probabilities")
PYTHON
