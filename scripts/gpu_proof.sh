#!/usr/bin/env bash
# Trains a small Qwen2.5-VL from nothing on the example screens and asks it about held-out ones. No network is needed.
#
#   python scripts/gpu_proof.py prepare proof    first, on a machine with datakit
#   proof/gpu_proof.sh                           then, in a copy of that folder, on the machine with the GPU
#
# Needed there: Python with torch and Pillow; LLaMA-Factory, transformers and DeepSpeed too, or their wheels in the
# folder's wheels/, which are unpacked and go first on the path (nothing is installed). Results go to RESULTS (the
# folder's own results/ if not given): the scores (evaluation.json, predictions.jsonl) and the trainer's logs. Ends
# with 1 when the model is not above chance.
#
# From the environment: PER_CLASS (pictures of a class after augmentation), EPOCHS, BATCH, RATE (learning rate), PIXELS,
# HIDDEN, LAYERS, VISION_DEPTH (size of the model), GPUS, TRAIN_S (longest training with its start), ZERO3_STEPS (steps
# of the second run, 0 for none), OFFLOAD=1 (a third run with parameters and optimizer in host memory: DeepSpeed compiles
# its optimizer for it); CPU=1 trains without a GPU and without DeepSpeed, for a trial of the script: PER_CLASS=1 MAX_STEPS=2 CPU=1.
#
# Seen on one H100 (2026-11-24): PER_CLASS=160 EPOCHS=6 named 0.63 of the 60 held-out screens (95%: 0.50 to 0.75; chance
# 0.12) after 378 steps of 64 in 156 s; ZeRO-3 began with the same loss (11.1627 and 11.1623). The whole took 380 s.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
results=${RESULTS:-$here/results}
work=$here/work
python=${PYTHON:-python3}
pixels=${PIXELS:-50176}
began=$(date +%s)
mkdir -p "$results" "$work/bin"
say() { printf '[%4d s] %s\n' $(($(date +%s) - began)) "$*"; }

if [ -d "$here/wheels" ]; then
  if [ ! -e "$work/site/.complete" ]; then
    "$python" - "$work/site" "$here"/wheels/*.whl <<'PY'
import sys, zipfile
for wheel in sys.argv[2:]:
    zipfile.ZipFile(wheel).extractall(sys.argv[1])
PY
    touch "$work/site/.complete"
  fi
  export PYTHONPATH="$work/site${PYTHONPATH:+:$PYTHONPATH}"
fi
# Wheels that were only unpacked have no command: this is what pip would have made.
printf '#!/bin/sh\nexec "%s" -c "from llamafactory.cli import main; main()" "$@"\n' "$python" >"$work/bin/llamafactory-cli"
chmod +x "$work/bin/llamafactory-cli"
export TRAINER="$work/bin/llamafactory-cli" PYTHON="$python" GPUS="${GPUS:-1}" DISABLE_VERSION_CHECK=1
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # 12 workers with 16 threads each would read 3 records/s, not 110
export DS_SKIP_CUDA_CHECK=1 TOKENIZERS_PARALLELISM=false

say "making the model and the pictures"
rm -rf "$work/augmented"
"$python" "$here/gpu_proof.py" augment "$here/proof-bundle/proof" "$work/augmented" \
  --per-class "${PER_CLASS:-120}" --pixels "$pixels" &
pictures=$!
PYTHONPATH="$here/vocabulary${PYTHONPATH:+:$PYTHONPATH}" "$python" "$here/make_tiny_model.py" --out "$work/model" \
  --hidden "${HIDDEN:-256}" --layers "${LAYERS:-3}" --vision-hidden "${HIDDEN:-256}" \
  --vision-depth "${VISION_DEPTH:-4}" >"$results/model.log" 2>&1 || { tail -20 "$results/model.log"; exit 1; }
tail -1 "$results/model.log"
# Without flash attention transformers computes each window by itself: whole pictures are five times as quick.
"$python" - "$work/model/config.json" <<'PY'
import json, sys
config = json.load(open(sys.argv[1]))
config["vision_config"]["fullatt_block_indexes"] = list(range(config["vision_config"]["depth"]))
json.dump(config, open(sys.argv[1], "w"), indent=2)
PY
wait "$pictures"

common="dataset=augmented dataset_dir=$work/augmented media_dir=$work/augmented image_max_pixels=$pixels"
common+=" per_device_train_batch_size=${BATCH:-64} gradient_accumulation_steps=1 learning_rate=${RATE:-1e-3}"
common+=" num_train_epochs=${EPOCHS:-12} warmup_steps=${WARMUP_STEPS:-100} logging_steps=10 weight_decay=0.05"
common+=" save_strategy=steps save_steps=${SAVE_STEPS:-94} save_total_limit=1 save_only_model=true"
common+=" disable_gradient_checkpointing=true"
common+=" preprocessing_num_workers=${WORKERS:-12} dataloader_num_workers=${WORKERS:-12} plot_loss=false"
[ -z "${MAX_STEPS:-}" ] || common+=" max_steps=$MAX_STEPS logging_steps=1"
# The stages of the bundle itself: checksums, training with DeepSpeed ZeRO-2, export with its checks.
zero2=""
if [ -n "${CPU:-}" ]; then
  common+=" deepspeed=null"
  export CPU
else
  zero2=" under ZeRO-2"
fi
say "training$zero2"
run=$here/proof-bundle/proof/$(dirname "$(sed -n 's/^output_dir: *//p' "$here/proof-bundle/proof/train.yaml")")
rm -rf "$run/trained" "$run/served" # a proof begins at the beginning
code=0
MODEL="$work/model" TRAIN_FLAGS="$common" timeout -k 10 "${TRAIN_S:-420}" \
  "$here/proof-bundle/run.sh" check train export --again >"$results/run.log" 2>&1 || code=$?
cp "$run/trained/trainer_log.jsonl" "$results/zero2_log.jsonl" || true
model=$run/served
if [ "$code" = 124 ]; then # the time is over: the last checkpoint is a whole model
  model=$(find "$run/trained" -maxdepth 1 -name 'checkpoint-*' | sort -V | tail -1)
  say "the time for training (TRAIN_S) is over; the model of ${model:-no checkpoint} is asked"
fi
if [ -z "$model" ] || [ ! -d "$model" ]; then
  tail -40 "$results/run.log"
  exit 1
fi
sed -n '1p;$p' "$results/zero2_log.jsonl"

say "asking about the held-out screens"
"$python" "$here/gpu_proof.py" predict "$model" "$here/proof_heldout-bundle/proof_heldout" \
  "$results/predictions.jsonl" --pixels "$pixels" 2>"$results/predict.log" || { tail -20 "$results/predict.log"; exit 1; }
"$python" "$here/proof_heldout-bundle/evaluate.py" "$results/predictions.jsonl" --split train \
  --out "$results/evaluation.json"

if [ -z "${CPU:-}" ] && [ "${ZERO3_STEPS:-20}" != 0 ]; then
  say "the first steps again under ZeRO-3${OFFLOAD:+, and with parameters and optimizer in host memory}"
  "$python" - "$here/proof-bundle/proof" <<'PY'
import json, sys
from pathlib import Path
folder = Path(sys.argv[1])
found = json.loads((folder / "deepspeed_z2.json").read_text())
host = {"device": "cpu", "pin_memory": True}
found["zero_optimization"] = {
    "stage": 3, "overlap_comm": False, "contiguous_gradients": True, "sub_group_size": 1_000_000_000,
    "reduce_bucket_size": "auto", "stage3_prefetch_bucket_size": "auto",
    "stage3_param_persistence_threshold": "auto", "stage3_max_live_parameters": 1_000_000_000,
    "stage3_max_reuse_distance": 1_000_000_000, "stage3_gather_16bit_weights_on_model_save": True,
}
(folder / "z3.json").write_text(json.dumps(found))
found["zero_optimization"] |= {"offload_optimizer": host, "offload_param": host}
(folder / "z3_offload.json").write_text(json.dumps(found))
PY
  for mode in z3 ${OFFLOAD:+z3_offload}; do
    read -r -a words <<<"$common max_steps=${ZERO3_STEPS:-20} deepspeed=$mode.json output_dir=$work/$mode"
    rm -rf "${work:?}/$mode"
    (cd "$here/proof-bundle/proof" && FORCE_TORCHRUN=1 NPROC_PER_NODE=$GPUS "$TRAINER" train train.yaml \
      "model_name_or_path=$work/model" "${words[@]}") >"$results/$mode.log" 2>&1 || { tail -30 "$results/$mode.log"; exit 1; }
    cp "$work/$mode/trainer_log.jsonl" "$results/${mode}_log.jsonl"
    say "$mode: $(sed -n '1p' "$results/${mode}_log.jsonl")"
    say "ZeRO-2: $(sed -n '1p' "$results/zero2_log.jsonl")"
  done
fi

say "done"
"$python" - "$results/evaluation.json" "${CPU:-}" <<'PY'
import json, sys
found = json.load(open(sys.argv[1]))
accuracy = found["metrics"]["accuracy"]
low, high = accuracy["low"], accuracy["high"]
chance = max(score["support"] for score in found["classes"]) / found["records"]
print(f"held-out accuracy {accuracy['value']:.3f} (95%: {low:.3f} to {high:.3f}), chance {chance:.3f}")
raise SystemExit(0 if low > chance or sys.argv[2] else 1)
PY
