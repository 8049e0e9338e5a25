"""A stand-in for `vllm`: serves /health, /v1/models, and the `FAKE_ANSWER` of the environment as answers.

    install(folder)      makes folder/vllm; what it was asked is listed in folder/asked.jsonl

`FAKE_PROMPT_TOKENS` is what it counts in each prompt, `FAKE_NAMES` are further names of the model, and
`FAKE_CREATED` is when it says that the model came about: as vLLM itself, the time of the question.

`FAKE_VLLM` chooses what happens: "" serves; "dies" ends at once with vLLM's words about a full cache;
"fails:N" answers the first N questions with 500; "breaks:N" all but the first N;
"hangs:N" answers the first N and no other ever;
"refuses:N" with a 400 that says nothing.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def install(folder: Path) -> Path:
    """The program."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "vllm"
    code = f"import os, runpy\nos.environ['FAKE_VLLM_FOLDER'] = {str(folder)!r}\n"
    code += f"runpy.run_path({__file__!r}, run_name='__main__')\n"
    program.write_text(f"#!{sys.executable}\n{code}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def asked(folder: Path) -> list[dict[str, Any]]:
    """The bodies of all questions."""
    path = folder / "asked.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class _Handler(BaseHTTPRequestHandler):
    name = "it"
    root = ""
    good = 0
    hangs = False
    failures = 0
    failure = 500

    def _refused(self) -> bool:
        """Whether the key is missing that VLLM_API_KEY names; /health needs none, as at vLLM itself."""
        key = os.environ.get("VLLM_API_KEY")
        refused = bool(key) and self.path != "/health" and self.headers["Authorization"] != f"Bearer {key}"
        if refused:
            self.send_error(401)
        return refused

    def do_GET(self) -> None:
        if self._refused():
            return
        names = [self.name, *filter(None, os.environ.get("FAKE_NAMES", "").split(","))]
        created = int(os.environ.get("FAKE_CREATED", "0")) or int(time.time())
        self._reply({"data": [{"id": name, "root": self.root, "created": created} for name in names]})

    def do_POST(self) -> None:
        if self._refused():
            return
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        listed = Path(os.environ["FAKE_VLLM_FOLDER"]) / "asked.jsonl"
        with open(listed, "a") as file:
            file.write(json.dumps(body) + "\n")
        while _Handler.hangs and not _Handler.good:
            time.sleep(0.1)
        if _Handler.failures and not _Handler.good:
            _Handler.failures -= 1
            self.send_error(_Handler.failure)
            return
        _Handler.good -= _Handler.good > 0
        message = {"role": "assistant", "content": os.environ.get("FAKE_ANSWER", "购物车页面")}
        number = listed.read_bytes().count(b"\n")  # so that no file of answers is an earlier one to the byte
        tokens = int(os.environ.get("FAKE_PROMPT_TOKENS", "10"))
        usage = {"prompt_tokens": tokens, "completion_tokens": 3 + number}
        self._reply({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})

    def _reply(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


def main() -> int:
    words, how = sys.argv[1:], os.environ.get("FAKE_VLLM", "")
    if words == ["--version"]:
        print("0.32.0")
        return 0
    if how == "dies":
        print("ValueError: the estimated maximum model length is 4096", file=sys.stderr)
        return 1
    kind, _, count = how.partition(":")
    _Handler.failures, _Handler.failure = int(count or 0), 400 if kind == "refuses" else 500
    if kind in ("breaks", "hangs"):
        _Handler.good, _Handler.failures, _Handler.hangs = int(count), 1_000_000, kind == "hangs"
    _Handler.name = words[words.index("--served-model-name") + 1]
    _Handler.root = words[1]
    places = [at for at, word in enumerate(words) if word == "--port"]
    ThreadingHTTPServer(("127.0.0.1", int(words[places[-1] + 1])), _Handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
