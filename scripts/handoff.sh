#!/usr/bin/env bash
# Takes a build to its scores on a machine with datakit, by `datakit handoff`, which does all of it and has the help:
#
#   scripts/handoff.sh build/ecom_v3                    every stage; one that is done is passed over
#   scripts/handoff.sh build/ecom_v3 train export       some stages alone
#   scripts/handoff.sh build/ecom_v3 --again predict    a stage and those after it anew
#   scripts/handoff.sh build/ecom_v3 --status           how it stands
#
# For a machine without datakit, `datakit bundle` packs a build with a run.sh that does the same.
#
# What stands here turns settings of the environment into options:
#   TRAIN_FLAGS, SERVE_FLAGS, PREDICT_FLAGS   options of `datakit train`, `serve` and `predict`
#   PORT, CPU=1                               --port, --cpu (CPU=0, no, false and off are as if it were not set)
#   SERVE_WAIT_S                              longest wait for the server, in seconds
#   DATAKIT                                   the command datakit, where it is not on the PATH
# datakit itself reads DATAKIT_TRAINER, DATAKIT_VLLM, VLLM_API_KEY, NODE_RANK and MASTER_ADDR.
set -euo pipefail

options=()
[ -z "${TRAIN_FLAGS:-}" ] || options+=(--train-flags "$TRAIN_FLAGS")
[ -z "${PREDICT_FLAGS:-}" ] || options+=(--predict-flags "$PREDICT_FLAGS")
serve="${SERVE_FLAGS:-}${SERVE_WAIT_S:+ --timeout-s $SERVE_WAIT_S}"
[ -z "$serve" ] || options+=(--serve-flags "$serve")
[ -z "${PORT:-}" ] || options+=(--port "$PORT")
case "$(printf %s "${CPU:-}" | tr '[:upper:]' '[:lower:]')" in
  '' | 0 | no | false | off) ;;
  *) options+=(--cpu) ;;
esac
exec "${DATAKIT:-datakit}" handoff "$@" ${options[@]+"${options[@]}"}
