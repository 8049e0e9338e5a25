#!/usr/bin/env bash
# A server elsewhere: BASE_URL; its key: VLLM_API_KEY.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '2,/^set /s/^# //p' "${BASH_SOURCE[0]}"; exit ;; esac
# SETTINGS
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
request=$("${PYTHON:-python3}" "$here/ask.py" --request "$@")
key=${VLLM_API_KEY:-}
key=${key//\\/\\\\}
key=${key//\"/\\\"}  # within quotes curl's configuration takes \ and " for signs of its own
if [ -n "$key" ]; then key="header = \"Authorization: Bearer $key\""; fi
# The key and the pictures go by pipes: no list of processes shows them, and no length of a command ends them.
curl --silent --show-error --noproxy 127.0.0.1,localhost --config <(printf '%s\n' "$key") \
  --header 'Content-Type: application/json' --data-binary @<(printf '%s' "$request") "$url/chat/completions"
echo
