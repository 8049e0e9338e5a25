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
# The outputs of all stages are kept in <build>-runs/<method>-<mark>/logs/.
set -euo pipefail

if [ $# -lt 1 ] || [ ! -d "$1" ]; then
  echo "usage: scripts/handoff.sh BUILD [--again] [stage ...]" >&2
  exit 2
fi
build=$(cd "$1" && pwd)
shift
datakit=${DATAKIT:-datakit}
port=${PORT:-8000}
rank=${NODE_RANK:-0}
again=0
server=""

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*"; }
fail() { say "error: $*" >&2; exit 2; }

[ -f "$build/train.yaml" ] || fail "$build has no train.yaml: give the recipe a train: section and build again"
output=$(sed -n "s/^output_dir: *['\"]\{0,1\}\([^'\"]*\)['\"]\{0,1\} *$/\1/p" "$build/train.yaml")
[ -n "$output" ] || fail "$build/train.yaml names no output_dir: build again"
run=$(dirname "$(realpath -m "$build/$output")")
mkdir -p "$run/logs" "$run/stages"
exec 9>"$run/stages/lock-$rank" # nodes may share the folder
flock -n 9 || fail "another handoff works on $run"

logged() { # logged NAME COMMAND...: output on the terminal and in the log, the command's own exit code
  local log
  log="$run/logs/$1-$(date +%Y%m%dT%H%M%S)-$$.txt"
  shift
  "$@" 9>&- 2>&1 | tee "$log"
}

stop_server() {
  [ -n "$server" ] || return 0
  say "stopping the server"
  kill -TERM -- "-$server" 2>/dev/null || true # INT may be ignored: background jobs inherit that
  for _ in $(seq 40); do kill -0 "$server" 2>/dev/null || break; sleep 1; done
  kill -KILL -- "-$server" 2>/dev/null || true
  server=""
}
trap stop_server EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

stage_check() { logged check "$datakit" check "$build"; }

stage_train() {
  local words=()
  read -r -a words <<<"${TRAIN_FLAGS:-}"
  [ -z "${CPU:-}" ] || words+=(--cpu)
  logged train "$datakit" train "$build" ${words[@]+"${words[@]}"}
}

stage_export() { logged export "$datakit" export "$build"; }

answering() { # who answers on the port: none, ours (it serves this run's model) or other
  python3 - "$port" "$run/served" <<'PY'
import json, os, sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
place = f"http://127.0.0.1:{sys.argv[1]}"
try:
    opener.open(f"{place}/health", timeout=5)
    roots = [model.get("root") or "" for model in json.load(opener.open(f"{place}/v1/models", timeout=5))["data"]]
except urllib.error.HTTPError:
    print("other")
except (OSError, ValueError, LookupError, AttributeError):
    print("none")
else:
    print("ours" if os.path.realpath(sys.argv[2]) in map(os.path.realpath, roots) else "other")
PY
}

stage_serve() {
  local log words=(--port "$port")
  case $(answering) in
    ours) say "a server of this model answers on port $port: it is used"; return ;;
    other) fail "port $port is taken by a server of something else: stop it, or set PORT" ;;
  esac
  read -r -a more <<<"${SERVE_FLAGS:-}"
  words+=(${more[@]+"${more[@]}"})
  [ -z "${CPU:-}" ] || words+=(--cpu)
  log="$run/logs/serve-$(date +%Y%m%dT%H%M%S)-$$.txt"
  say "serving; log: $log"
  set -m # a process group of its own, so that the server ends with all its workers
  "$datakit" serve "$build" "${words[@]}" >"$log" 2>&1 9>&- &
  server=$!
  set +m
  # datakit asks about one record before it says that it serves; a healthy port alone may answer nonsense.
  for _ in $(seq "${SERVE_WAIT_S:-1200}"); do
    if grep -q '^Serving at' "$log"; then say "serving on port $port"; return; fi
    if ! kill -0 "$server" 2>/dev/null; then
      server=""
      tail -n 25 "$log" >&2
      fail "the server ended before it was ready"
    fi
    sleep 1
  done
  fail "the server was not ready within ${SERVE_WAIT_S:-1200} s (SERVE_WAIT_S)"
}

stage_predict() {
  local words=()
  read -r -a words <<<"${PREDICT_FLAGS:-}"
  logged predict "$datakit" predict "$build" --base-url "http://127.0.0.1:$port/v1" \
    --out "$run/predictions.jsonl" ${words[@]+"${words[@]}"}
}

stage_evaluate() { logged evaluate "$datakit" evaluate "$build" --predictions "$run/predictions.jsonl"; }

wanted=()
for word in "$@"; do
  case $word in
    --again) again=1 ;;
    check | train | export | serve | predict | evaluate) wanted+=("$word") ;;
    *) fail "unknown stage $word; there are check, train, export, serve, predict, evaluate" ;;
  esac
done
[ ${#wanted[@]} -gt 0 ] || wanted=(check train export predict evaluate)

for stage in "${wanted[@]}"; do
  if [ "$rank" != 0 ] && [ "$stage" != check ] && [ "$stage" != train ]; then continue; fi
  if [ "$stage" = serve ]; then # alone, it serves until it is stopped
    stage_serve
    [ -z "$server" ] || wait "$server"
    continue
  fi
  stamp=$run/stages/$stage-$rank.done
  if [ "$again" = 0 ] && [ "$stage" != check ] && [ -e "$stamp" ]; then
    say "$stage is done"
    continue
  fi
  say "== $stage"
  rm -f "$stamp"
  if [ "$stage" = predict ]; then stage_serve; fi
  "stage_$stage"
  date >"$stamp"
  if [ "$stage" = predict ]; then stop_server; fi
done
say "done: $run"
