#!/usr/bin/env bash
# Takes a build to its scores on a machine with datakit: check -> train -> export -> serve -> predict -> evaluate.
#
#   scripts/handoff.sh build/ecom_v3                    every stage; one that is done is passed over
#   scripts/handoff.sh build/ecom_v3 train export       some stages alone
#   scripts/handoff.sh build/ecom_v3 --again predict    a stage anew
#
# It may be stopped at any point: the same command goes on, training from its last whole checkpoint. For a machine
# without datakit, `datakit bundle` packs a build with a run.sh that does the same.
#
# Settings come from the environment:
#   DATAKIT_TRAINER  Python of the environment with LLaMA-Factory, where llamafactory-cli is not on the PATH
#   DATAKIT_VLLM     the command vllm, where it is not on the PATH
#   TRAIN_FLAGS      options of `datakit train`, such as "--ignore-memory"; on several nodes
#                    "--node-rank 1 --master 10.0.0.1" or the variables NODE_RANK and MASTER_ADDR
#   SERVE_FLAGS      options of `datakit serve`, such as "--gpus 2"
#   PREDICT_FLAGS    options of `datakit predict`, such as "--split test.jsonl"
#   PORT             port of the server on this machine; 8000 if not given
#   CPU=1            without a GPU, for trials with tiny models
#   VLLM_API_KEY     the server's key, if it is to have one; it is written nowhere
# The outputs of all stages are kept in <build>-runs/<method>-<mark>/logs/. The exit code is that of the command that
# failed; 1 for a server that did not start, 2 for a wrong call or setting.
set -euo pipefail

# The stages are gone through as a bundle's run.sh does; here stands what each of them does.
# shellcheck source=datakit/bundling/payload/stages.sh
source "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../datakit/bundling/payload/stages.sh"

if [ $# -lt 1 ] || [ ! -d "$1" ]; then
  echo "usage: scripts/handoff.sh BUILD [--again] [stage ...]" >&2
  exit 2
fi
build=$(cd "$1" && pwd)
shift
datakit=${DATAKIT:-datakit}
port=${PORT:-8000}
rank=${NODE_RANK:-0}
if [[ " ${TRAIN_FLAGS:-}" =~ [[:space:]]--node-rank[=[:space:]]+([0-9]+) ]]; then rank=${BASH_REMATCH[1]}; fi
python=python3

[ -f "$build/train.yaml" ] || usage_error "$build has no train.yaml: give the recipe a train: section and build again"
output=$(sed -n "s/^output_dir: *['\"]\{0,1\}\([^'\"]*\)['\"]\{0,1\} *$/\1/p" "$build/train.yaml")
[ -n "$output" ] || usage_error "$build/train.yaml names no output_dir: build again"
run=$(dirname "$(realpath -m "$build/$output")")

stage_check() { logged check "$datakit" check "$build"; }

stage_train() {
  read_flags "${TRAIN_FLAGS:-}"
  [ -z "${CPU:-}" ] || flags+=(--cpu)
  logged train "$datakit" train "$build" ${flags[@]+"${flags[@]}"}
}

stage_export() { logged export "$datakit" export "$build"; }

server_command() {
  read_flags "${SERVE_FLAGS:-}"
  [ -z "${CPU:-}" ] || flags+=(--cpu)
  serving=("$datakit" serve "$build" --port "$port" ${flags[@]+"${flags[@]}"})
}

# datakit asks about one record before it says that it serves; a healthy port alone may answer nonsense.
server_ready() { grep -q '^Serving at' "$1"; }

stage_predict() {
  start_server
  read_flags "${PREDICT_FLAGS:-}"
  logged predict "$datakit" predict "$build" --base-url "http://127.0.0.1:$port/v1" \
    --out "$run/predictions.jsonl" ${flags[@]+"${flags[@]}"}
  stop_server
}

stage_evaluate() { logged evaluate "$datakit" evaluate "$build" --predictions "$run/predictions.jsonl"; }

run_stages "$@"
