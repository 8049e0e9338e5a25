"""Asks a served model about the pictures of a split and writes predictions.jsonl, one line an answer.

Runs with a bare Python of 3.10 or later, against any OpenAI-compatible server:

    python3 predict.py DATA --split val --url http://127.0.0.1:8000/v1 --out predictions.jsonl

A line has `id`, `label` (the truth), `predicted` or `problem`, `answer`, `images`, `model`, tokens, seconds:
the form that `datakit evaluate` reads. Answers that are there already are not asked again. Pictures go as
they lie in the bundle, at the size of the training. Ends with 3 when some records got no answer.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
import time
import unicodedata
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

KINDS = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp"}
AROUND = " \t\r\n\u3000\"'“”‘’「」『』《》【】`*.。,，;；!！:："
TRIES = 4
Row = dict[str, Any]


def normal(text: str) -> str:
    """Text without differences of width, case and white space."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


class Answers:
    """Reads an answer: the label that it states, or what is wrong with it."""

    def __init__(self, data: Path) -> None:
        self.labels: dict[str, str] = {}
        labels = data / "labels.json"
        for label in json.loads(labels.read_text("utf-8")) if labels.is_file() else ():
            for name in (label["name"], *label["aliases"]):
                self.labels.setdefault(normal(name), label["name"])
        form = data / "answer.json"
        turns = json.loads(form.read_text("utf-8"))["turns"] if form.is_file() else []
        self.turn = turns[-1] if turns else {"variables": ["label"], "constants": ["", ""]}

    def read(self, text: str) -> tuple[str | None, str]:
        """Label and problem; one of the two is empty."""
        if not text.strip():
            return None, "empty"
        stated = self._stated(text)
        if not stated:
            return None, "label_missing"
        found = {label for part in stated if (label := self._known(part)) is not None}
        if len(found) == 1 and all(self._known(part) for part in stated):
            return found.pop(), ""
        return None, "label_ambiguous" if len(found) > 1 else "label_unknown"

    def _stated(self, text: str) -> list[str]:
        """What stands where the template has the label: behind its marker, up to the end of the line."""
        place = self.turn["variables"].index("label")
        marker = self.turn["constants"][place].strip()
        if not marker:
            return [text]
        width = {ord(char): None for char in " \t\u3000"}
        key = unicodedata.normalize("NFKC", marker.splitlines()[-1]).translate(width)
        lines = [unicodedata.normalize("NFKC", line).translate(width) for line in text.splitlines()]
        found = [line.split(key, 1)[1] for line in lines if key in line]
        return [part for part in found if part] or ([text] if self._known(text) else [])

    def _known(self, text: str) -> str | None:
        first = text.strip().split("\n", 1)[0]
        for part in (text, first):
            for form in (part, part.strip(AROUND)):
                if normal(form) in self.labels:
                    return self.labels[normal(form)]
        return None if self.labels else first.strip() or None


def rows_of(data: Path, split: str) -> list[Row]:
    """The rows of a split, each record once."""
    files = json.loads((data / "emitted.json").read_text("utf-8"))["files"].values()
    found: dict[str, Row] = {}
    for entry in files:
        if entry["part"] == split:
            for row in json.loads((data / entry["file"]).read_text("utf-8")):
                found.setdefault(row["id"], row)
    return list(found.values())


def content(text: str, images: list[str], data: Path) -> list[Row]:
    """A user turn as the server takes it: texts, and the pictures where `<image>` stands."""
    parts: list[Row] = []
    for number, piece in enumerate(re.split("<image>", text)):
        if number:
            path = data / images.pop(0)
            kind = KINDS.get(path.suffix.lower(), "jpeg")
            encoded = base64.b64encode(path.read_bytes()).decode("ascii")
            parts.append({"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{encoded}"}})
        if piece:
            parts.append({"type": "text", "text": piece})
    return parts


class Server:
    """The endpoint."""

    def __init__(self, url: str, model: str | None, max_tokens: int, timeout_s: float) -> None:
        self.url, self.max_tokens, self.timeout_s = url.rstrip("/"), max_tokens, timeout_s
        # A proxy of the environment must not get between this machine and itself.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.model = model or self._call("/models")["data"][0]["id"]

    def answer(self, messages: list[Row]) -> Row:
        """The server's reply to a chat, always the same one for the same weights."""
        body = {"model": self.model, "messages": messages, "max_tokens": self.max_tokens, "temperature": 0}
        return self._call("/chat/completions", body)

    def _call(self, path: str, body: Row | None = None) -> Row:
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(TRIES):
            request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
            try:
                with self._opener.open(request, timeout=self.timeout_s) as reply:
                    found: Row = json.load(reply)
                    return found
            except urllib.error.HTTPError as error:
                if (error.code < 500 and error.code not in (408, 429)) or attempt == TRIES - 1:
                    words = error.read(500).decode("utf-8", "replace")
                    raise OSError(f"{self.url}{path} answered {error.code}: {words}") from None
            except OSError:
                if attempt == TRIES - 1:
                    raise
            time.sleep(2**attempt)
        raise AssertionError("unreachable")


def ask(row: Row, server: Server, answers: Answers, data: Path) -> Row:
    """One record's line. In a dialogue the model's own earlier answers stand before the last question."""
    began = time.monotonic()
    images, text = list(row.get("images") or ()), ""
    messages: list[Row] = []
    usage: Row = {}
    for turn in row["messages"]:
        if turn["role"] == "assistant":
            reply = server.answer(messages)
            text = reply["choices"][0]["message"]["content"] or ""
            usage = reply.get("usage") or {}
            messages.append({"role": "assistant", "content": text})
        elif turn["role"] == "user":
            messages.append({"role": "user", "content": content(turn["content"], images, data)})
        else:
            messages.append({"role": turn["role"], "content": turn["content"]})
    predicted, problem = answers.read(text)
    line: Row = {"id": row["id"], "label": answers.read(row["messages"][-1]["content"])[0]}
    line.update({"predicted": predicted} if predicted else {"problem": problem})
    line.update({"answer": text, "images": row.get("images") or [], "model": server.model})
    line.update({"tokens_in": usage.get("prompt_tokens"), "tokens_out": usage.get("completion_tokens")})
    line["seconds"] = round(time.monotonic() - began, 3)
    return {key: value for key, value in line.items() if value is not None}


def answered(out: Path) -> set[str]:
    """Ids that have an answer; a last line that was never finished is cut off."""
    if not out.is_file():
        return set()
    data = out.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    try:
        lines = [json.loads(line) for line in whole.splitlines() if line.strip()]
        own = all("id" in line and ("predicted" in line or "problem" in line) for line in lines)
    except (ValueError, TypeError):
        own = False
    if not own or not (whole or data.startswith(b'{"id":') or not data):
        raise SystemExit(f"error: {out} is not a file of predictions, and would be written over")
    kept = [line for line in lines if line.get("problem") != "not_answered"]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept)
    draft = out.with_name(f".{out.name}.part")
    draft.write_text(text, "utf-8")
    draft.replace(out)
    return {line["id"] for line in kept}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with emitted.json")
    parser.add_argument("--split", default="val")
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--model", help="name of the served model; the first that the server lists")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=16, help="questions in flight")
    parser.add_argument("--max-tokens", type=int, default=512)
    parser.add_argument("--timeout-s", type=float, default=300)
    options = parser.parse_args()
    rows = rows_of(options.data, options.split)
    if not rows:
        print(f"error: the split {options.split} has no records", file=sys.stderr)
        return 2
    done = answered(options.out)
    todo = [row for row in rows if row["id"] not in done]
    print(f"{len(rows)} records of {options.split}, {len(rows) - len(todo)} answered before")
    if not todo:
        return 0
    try:
        server = Server(options.url, options.model, options.max_tokens, options.timeout_s)
    except (OSError, LookupError) as error:
        print(f"error: no server answers at {options.url}: {error}", file=sys.stderr)
        return 1
    answers, lost = Answers(options.data), 0
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with open(options.out, "a", encoding="utf-8") as file, ThreadPoolExecutor(options.workers) as pool:
        jobs = {pool.submit(ask, row, server, answers, options.data): row for row in todo}
        for number, job in enumerate(as_completed(jobs), 1):
            try:
                line = job.result()
            except (OSError, LookupError, ValueError) as error:
                lost += 1
                line = {"id": jobs[job]["id"], "problem": "not_answered", "detail": str(error)[:300]}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
            if number % 50 == 0 or number == len(todo):
                print(f"{number} of {len(todo)}, {lost} without an answer")
    return 3 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
