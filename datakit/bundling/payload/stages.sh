#!/usr/bin/env bash
# The stages check, train, export, serve, predict and evaluate, one after the other: logs, done-marks, the server.
#
# Sourced by a bundle's run.sh and by scripts/handoff.sh, which hold what each stage does. Such a script sets
#   run     folder of the logs, the done-marks and the served model
#   rank    this node's number; nodes other than 0 only check and train
#   port    port of the server on this machine
#   python  a Python that can ask who answers there
# and defines stage_check, stage_train, stage_export, stage_predict (between start_server and stop_server) and
# stage_evaluate, and for the server
#   server_command     sets the array serving: the command that serves the model until it is stopped
#   server_ready LOG   whether the server that was started may be asked
# Then it calls: run_stages [--again] [stage ...]
#
# Exit codes: that of the stage's command where one failed; 1 for what did not work, such as a server that ended
# before it was ready; 2 for a wrong call or setting; 129, 130 and 143 where it was stopped. Bash 4.2 is enough.
# shellcheck disable=SC2034,SC2154  # variables are shared with the script that reads this file
set -euo pipefail

server="" # process of the server that was started here, leader of its process group
flags=()

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*"; }
fail() { say "error: $*" >&2; exit 1; }
usage_error() { say "error: $*" >&2; exit 2; }

read_flags() { # flags: the words of a setting such as TRAIN_FLAGS, which may have several lines
  flags=()
  read -r -d '' -a flags <<<"$1" || true # it ends at no delimiter, which read counts as a failure
}

log_file() { # a new log that only its owner may read
  local path
  path="$run/logs/$1-$(date +%Y%m%dT%H%M%S)-$$.log"
  (umask 077 && : >"$path")
  printf '%s' "$path"
}

logged() { # logged NAME COMMAND...: output on the terminal and in the log, the command's own exit code
  local log
  log=$(log_file "$1")
  shift
  say "log: $log"
  "$@" 9>&- 2>&1 | tee "$log"
}

lock_run() { # descriptor 9 holds the lock; nodes may share the folder, so each has its own
  local code=0
  exec 9>"$run/.lock-$rank"
  flock -n 9 || code=$?
  case $code in
    0) ;;
    1) usage_error "these stages already run, on $run: wait for their end, or stop them" ;;
    *) say "warning: $run cannot be locked here: start these stages once at a time" >&2 ;;
  esac
}

stop_server() { # ends the server that was started here with all its workers
  [ -n "$server" ] || return 0
  trap '' PIPE # it is stopped also where nobody reads the output any more
  say "stopping the server" 2>/dev/null || true
  kill -TERM -- "-$server" 2>/dev/null || true # INT may be ignored: background jobs inherit that
  for _ in $(seq 40); do kill -0 "$server" 2>/dev/null || break; sleep 1; done # datakit serve gives vLLM 20
  kill -KILL -- "-$server" 2>/dev/null || true
  server=""
}
trap stop_server EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

answering() { # who answers on the port: none, ours (it serves this run's model), locked (it wants a key) or other
  "$python" - "$port" "$run/served" 9>&- <<'PY'
import http.client, json, os, socket, sys, urllib.error, urllib.request
port, served = int(sys.argv[1]), sys.argv[2]
try:
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
except OSError:
    print("none")
    sys.exit()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
key = os.environ.get("VLLM_API_KEY")
opener.addheaders = [("Authorization", f"Bearer {key}")] if key else []
place = f"http://127.0.0.1:{port}"
try:
    opener.open(f"{place}/health", timeout=5)
    roots = [model.get("root") or "" for model in json.load(opener.open(f"{place}/v1/models", timeout=5))["data"]]
except urllib.error.HTTPError as error:
    print("locked" if error.code in (401, 403) else "other")
except (OSError, http.client.HTTPException, ValueError, LookupError, AttributeError, TypeError):
    print("other")
else:
    print("ours" if os.path.realpath(served) in map(os.path.realpath, roots) else "other")
PY
}

start_server() { # returns when a server of this run's model may be asked: one that answers already, or a new one
  local log end serving=()
  case $(answering) in
    none) ;;
    ours) say "a server of this model answers on port $port: it is used"; return ;;
    locked) usage_error "the server on port $port wants another key: put its key into VLLM_API_KEY, or set PORT" ;;
    other) usage_error "port $port is taken by a server of something else: stop it, or set PORT" ;;
    *) fail "$python could not find out who answers on port $port" ;;
  esac
  server_command
  log=$(log_file serve)
  say "serving; log: $log"
  set -m # a process group of its own, so that the server ends with all its workers
  "${serving[@]}" >"$log" 2>&1 9>&- &
  server=$!
  set +m
  end=$((SECONDS + ${SERVE_WAIT_S:-1200}))
  until server_ready "$log"; do
    if ! kill -0 "$server" 2>/dev/null; then
      tail -n 25 "$log" >&2
      fail "the server ended before it was ready; its log: $log"
    fi
    if [ "$SECONDS" -ge "$end" ]; then
      tail -n 25 "$log" >&2
      fail "the server was not ready within ${SERVE_WAIT_S:-1200} s (SERVE_WAIT_S); its log: $log"
    fi
    sleep 1
  done
  say "serving on port $port"
}

stage_serve() { # alone, it serves until it is stopped; meanwhile another call may predict
  start_server
  [ -n "$server" ] || return 0
  exec 9>&-
  wait "$server" || fail "the server ended by itself (exit code $?)"
  stop_server
  lock_run
}

run_stage() { # a stage's mark stands only while its last call was finished
  local mark="$run/stages/$1-$rank.done"
  if [ "$again" = 0 ] && [ "$1" != check ] && [ -e "$mark" ]; then
    say "$1 is done"
    return
  fi
  say "== $1"
  rm -f "$mark"
  "stage_$1"
  [ "$1" = serve ] || date >"$mark"
}

run_stages() { # run_stages [--again] [stage ...]: all but serve alone, where none is named
  local word stage again=0 wanted=()
  for word in "$@"; do
    case $word in
      --again) again=1 ;;
      check | train | export | serve | predict | evaluate) wanted+=("$word") ;;
      *) usage_error "unknown stage $word; there are check, train, export, serve, predict, evaluate" ;;
    esac
  done
  [ ${#wanted[@]} -gt 0 ] || wanted=(check train export predict evaluate)
  case ${port:?} in *[!0-9]*) usage_error "PORT is $port, which is no port: give a number" ;; esac
  mkdir -p "${run:?}/logs" "$run/stages"
  chmod 700 "$run/logs" 2>/dev/null || true # on some mounts modes cannot be set
  lock_run
  for stage in "${wanted[@]}"; do
    case ${rank:?}:$stage in
      0:* | *:check | *:train) run_stage "$stage" ;;
    esac
  done
  say "done: $run"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then usage_error "run.sh and handoff.sh read this file: call one of them"; fi
