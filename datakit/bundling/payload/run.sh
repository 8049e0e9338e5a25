#!/usr/bin/env bash
# Trains, exports, serves, asks and scores this bundle: check -> train -> export -> serve -> predict -> evaluate.
#
#   ./run.sh                    every stage; one that is done is passed over, an interrupted one goes on
#   ./run.sh train export       some stages alone
#   ./run.sh --again predict    a stage anew
#
# Needed here: LLaMA-Factory (train, export), vLLM (serve), and a Python of 3.10 or later. To predict and evaluate
# it needs numpy, jinja2, pydantic and pillow: without PYTHON, that of LLaMA-Factory or of vLLM is taken where
# python3 lacks them.
# Settings come from the environment:
#   MODEL         folder of the base model, in place of the name in train.yaml
#   TRAINER       the command llamafactory-cli;  VLLM: the command vllm;  PYTHON: a Python of 3.10 or later
#   VLLM_API_KEY  the server's key, if it is to have one; it is written nowhere
#   GPUS          GPUs of this node;  NNODES, NODE_RANK, MASTER_ADDR, MASTER_PORT: more nodes than one
#                 (the same command on each; stages after train run on node 0 alone)
#   PORT          port of the server on this machine
#   TRAIN_FLAGS   further settings of the training, such as "num_train_epochs=1 flash_attn=fa2"
#   SERVE_FLAGS   further flags of vllm serve
#   SPLIT         what is asked: val (default) or train
#   CPU=1         without a GPU, for trials with tiny models
# Logs and results: runs are in <name>-runs/ beside the data; every stage's output is kept in its logs/.
# The exit code is that of the command that failed; 1 for what did not work, 2 for a wrong call or setting.
# stages.sh goes through the stages and starts and stops the server; here stands what each of them does.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=datakit/bundling/payload/stages.sh
source "$here/stages.sh"
# shellcheck source=/dev/null
source "$here/settings.env" # NAME, RUN, TRAIN_GPUS, TRAIN_NODES, METHOD, SERVE_PORT, DISTRIBUTED
data=$here/$NAME
run=$here/$RUN
absolute() { command -v "$1" >/dev/null && realpath -s "$(command -v "$1")" || printf '%s' "$1"; }
python=$(absolute "${PYTHON:-python3}")
trainer=$(absolute "${TRAINER:-llamafactory-cli}")
vllm=$(absolute "${VLLM:-vllm}")
nodes=${NNODES:-$TRAIN_NODES}
rank=${NODE_RANK:-0}
gpus=${GPUS:-$((TRAIN_GPUS / TRAIN_NODES))}
port=${PORT:-$SERVE_PORT}
# The trainer's preprocessing workers share the cores: with every core each, 12 of them read 3 records/s instead of 110.
workers=$(sed -n 's/^preprocessing_num_workers: *//p' "$data/train.yaml")
case $workers in *[!0-9]*) workers=1 ;; esac # bash would run what stands in a number
cores=$("$python" -c 'import os; print(os.cpu_count() or 1)')
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cores / ${workers:-1} > 0 ? cores / ${workers:-1} : 1))}

able() { "$1" -c 'import sys, numpy, jinja2, pydantic, PIL; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }

asking=""
find_asking() { # asking: the Python that predicts and evaluates
  [ -z "$asking" ] || return 0
  local known=("$python") candidate
  [ -n "${PYTHON:-}" ] || known+=("$(dirname "$trainer")/python3" "$(dirname "$vllm")/python3")
  for candidate in "${known[@]}"; do
    if able "$candidate"; then asking=$candidate; return 0; fi
  done
  fail "to predict and evaluate, PYTHON must name a Python of 3.10 or later with numpy, jinja2, pydantic and" \
    "pillow, such as that of LLaMA-Factory or vLLM; tried: ${known[*]}"
}

stage_check() {
  local words=("$here")
  find_asking
  say "predict and evaluate take $asking"
  [ -z "${CPU:-}" ] || words+=(--cpu)
  logged check "$python" "$here/check.py" "${words[@]}" --gpus "$gpus"
}

half_written_aside() { # the trainer would go on from the last checkpoint, whole or not
  local checkpoint
  for checkpoint in "$run"/trained/checkpoint-*; do
    [ -d "$checkpoint" ] || continue
    if [ ! -s "$checkpoint/trainer_state.json" ]; then
      mkdir -p "$run/half-written"
      mv "$checkpoint" "$run/half-written/$(basename "$checkpoint")-$(date +%s)"
      say "$(basename "$checkpoint") was only half-written: set aside in $run/half-written"
    fi
  done
}

stage_train() {
  local words=("$trainer" train train.yaml)
  local settings=("PATH=$(dirname "$trainer"):$PATH") # torchrun lies beside the trainer
  [ -z "${MODEL:-}" ] || words+=("model_name_or_path=$MODEL")
  [ -z "${CPU:-}" ] || words+=(use_cpu=true bf16=false fp16=false dataloader_num_workers=0)
  read_flags "${TRAIN_FLAGS:-}"
  if [ $((gpus * nodes)) != "$TRAIN_GPUS" ]; then
    say "warning: the steps were reckoned for $TRAIN_GPUS GPUs, $((gpus * nodes)) train"
  fi
  if [ "$nodes" -gt 1 ] || [ "$gpus" -gt 1 ] || [ "$DISTRIBUTED" = 1 ]; then
    settings+=(FORCE_TORCHRUN=1 "NPROC_PER_NODE=$gpus")
  fi
  if [ "$nodes" -gt 1 ]; then
    [ -n "${MASTER_ADDR:-}" ] || usage_error "$nodes nodes train: set MASTER_ADDR (node 0) and NODE_RANK on each"
    settings+=("NNODES=$nodes" "NODE_RANK=$rank" "MASTER_ADDR=$MASTER_ADDR" "MASTER_PORT=${MASTER_PORT:-29500}")
  fi
  [ "$rank" != 0 ] || half_written_aside
  cd "$data"
  logged train env "${settings[@]}" "${words[@]}" ${flags[@]+"${flags[@]}"}
  [ "$rank" != 0 ] || [ -s "$run/trained/train_results.json" ] || fail "the trainer left no result in $run/trained"
}

listing() { (cd "$1" && find . ! -type d ! -name .datakit-export -printf '%P %s %T@\n' | LC_ALL=C sort); }

clear_model() { # removes a model that this script exported and nobody changed; anything else is kept
  [ -e "$1" ] || [ -L "$1" ] || return 0
  if [ -f "$1/.datakit-export" ] && [ ! -L "$1" ]; then
    if [ ! -s "$1/.datakit-export" ] || listing "$1" | cmp -s - "$1/.datakit-export"; then rm -rf "$1"; return; fi
  fi
  local kept
  kept="$1.kept-$(date +%Y%m%dT%H%M%S)"
  mv "$1" "$kept"
  say "$1 was not made by this script: it is kept as $kept"
}

stage_export() {
  local words=("$trainer" export export.yaml "export_dir=../${RUN}/served.part")
  if [ -n "${MODEL:-}" ] && [ "$METHOD" = lora ]; then words+=("model_name_or_path=$MODEL"); fi
  clear_model "$run/served.part"
  mkdir -p "$run/served.part"
  touch "$run/served.part/.datakit-export"
  cd "$data"
  logged export "${words[@]}"
  "$python" "$here/check.py" "$here" --model "$run/served.part" ${MODEL:+--base "$MODEL"}
  clear_model "$run/served"
  mv "$run/served.part" "$run/served"
  listing "$run/served" >"$run/served/.datakit-export"
}

server_command() {
  [ -s "$run/served/config.json" ] || usage_error "there is no served model in $run/served: ./run.sh export"
  read_flags "${SERVE_FLAGS:-}"
  serving=(env "PATH=$(dirname "$vllm"):$PATH" "$here/serve.sh" "$run/served" --port "$port")
  serving+=(${flags[@]+"${flags[@]}"})
}

server_ready() { [ "$(answering)" = ours ]; }

stage_predict() {
  find_asking # before a server takes minutes to start
  start_server
  logged predict "$asking" "$here/predict.py" "$data" --split "${SPLIT:-val}" \
    --url "http://127.0.0.1:$port/v1" --out "$run/predictions.jsonl"
  stop_server
}

stage_evaluate() {
  find_asking
  logged evaluate "$asking" "$here/evaluate.py" "$run/predictions.jsonl" --split "${SPLIT:-val}" \
    --out "$run/evaluation.json"
}

run_stages "$@"
