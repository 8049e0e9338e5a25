"""A real OpenAI-compatible server on this machine, which misbehaves as a test asks.

    with Loopback() as server:
        server.script = lambda call: Reply(status=500) if call.number < 3 else None
        ... point llm.base_url at server.url ...
        assert server.count == 4

It listens on a port of 127.0.0.1 in a thread of its own. `script` is asked for every call; None means a good
answer. A good answer echoes the id that stands in the question as `[id:...]`, so that a test sees whether
answers land on their own records.

`server.limits` are enforced as providers do: a token bucket or a sliding window, told in `x-ratelimit-*`
headers or not. `python -m tests.support.loopback --latency-s 0.2` runs the server in a process of its own,
prints its address and ends with its standard input; GET /stats tells what it saw.

Answers are streamed as server-sent events when the body says `stream`. Under `/openai/` the server speaks as
Azure does: deployments in the path, `api-version` in the query, the key in `api-key`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from tests.support.waiting import until

KEY = "sk-loopback-5f1e77c0"
_AZURE = re.compile(
    r"/openai/(?:deployments/[\w.-]+/chat/completions\?api-version=[\w-]+|v1/chat/completions)$"
)
_ID = re.compile(r"\[id:([^\]]*)\]")


@dataclass
class Call:
    """One request for a completion."""

    number: int
    """From 0, in the order of arrival."""
    body: dict[str, Any]
    headers: dict[str, str]
    """Names in small letters."""
    size: int
    """Bytes of the body."""
    at: float
    """time.monotonic() of arrival."""
    path: str = ""
    """With its query."""

    @property
    def question(self) -> dict[str, Any]:
        """The first user turn."""
        return next(turn for turn in self.body["messages"] if turn["role"] == "user")

    @property
    def text(self) -> str:
        """The text of the first user turn."""
        content = self.question["content"]
        if isinstance(content, str):
            return content
        return "".join(part.get("text", "") for part in content)

    @property
    def images(self) -> list[str]:
        """Data addresses of the pictures."""
        content = self.question["content"]
        parts = content if isinstance(content, list) else []
        return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]

    @property
    def id(self) -> str:
        """The id that the question carries."""
        found = _ID.search(self.text)
        return found[1] if found else ""

    @property
    def attempt(self) -> int:
        """How many earlier calls asked the same question; 0 for the first."""
        return self._attempt

    _attempt: int = 0


@dataclass
class Reply:
    """What the server sends. `content` of a 200 is the assistant's words; of another status, the message."""

    status: int = 200
    content: str | None = None
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    finish_reason: str = "stop"
    refusal: str | None = None
    raw: bytes | None = None
    """The body as it is, in place of a completion."""
    cut: bool = False
    """Promises more bytes than it sends, then hangs up."""
    reset: bool = False
    """Hangs up without a word."""
    delay_s: float = 0.0


@dataclass
class Limit:
    """A limit by the minute, of requests or of tokens."""

    per_minute: float
    kind: Literal["bucket", "window"] = "bucket"
    """A bucket that refills evenly and holds a minute's worth, or what went in any 60 seconds."""
    window_s: float = 60.0
    capacity: float | None = None
    """Of the bucket; `per_minute` when not given."""
    _level: float = -1.0
    _at: float = 0.0
    _went: deque[tuple[float, float]] = field(default_factory=deque)
    _sum: float = 0.0

    def admit(self, units: float, now: float) -> bool:
        """Whether so many units may go; they are counted then."""
        if self.room(now) < units:
            return False
        if self.kind == "bucket":
            self._level -= units
        else:
            self._went.append((now, units))
            self._sum += units
        return True

    def room(self, now: float) -> float:
        """Units that may go."""
        if self.kind == "bucket":
            most = self.capacity or self.per_minute
            before = most if self._level < 0 and not self._at else self._level
            self._level = min(before + (now - self._at) * self.per_minute / 60, most) if self._at else most
            self._at = now
            return self._level
        while self._went and self._went[0][0] <= now - self.window_s:
            self._sum -= self._went.popleft()[1]
        return self.per_minute - self._sum

    def wait_s(self, units: float, now: float) -> float:
        """Until so many units may go."""
        if self.kind == "bucket":
            return max(units - self.room(now), 0.0) * 60 / self.per_minute
        return self._went[0][0] + self.window_s - now if self._went else 0.0

    def reset_s(self, now: float) -> float:
        """Until everything is free again."""
        if self.kind == "bucket":
            most = self.capacity or self.per_minute
            return (most - self.room(now)) * 60 / self.per_minute
        return self._went[-1][0] + self.window_s - now if self._went else 0.0


@dataclass
class Limits:
    """What the server allows, and whether it says so."""

    requests: Limit | None = None
    tokens: Limit | None = None
    tells: bool = True
    """`x-ratelimit-*` headers with every answer."""
    retry_after: bool = True
    worst: bool = False
    """Tokens count by what a request might use (max_tokens) instead of what it used."""

    def check(self, call: Call) -> Reply | None:
        """A 429 when the call goes beyond a limit."""
        return self.admit(time.monotonic(), self._tokens(call))

    def admit(self, now: float, units: float) -> Reply | None:
        """A 429 when a call of so many tokens goes beyond a limit at that moment."""
        for name, limit, need in (("requests", self.requests, 1.0), ("tokens", self.tokens, units)):
            if limit is not None and limit.room(now) < need:
                headers = self.headers(now)
                if self.retry_after:
                    headers["Retry-After"] = f"{limit.wait_s(need, now):.3f}"
                return Reply(429, f"Rate limit reached for {name}", "rate_limit_exceeded", headers)
        for limit, need in ((self.requests, 1.0), (self.tokens, units)):
            if limit is not None:
                limit.admit(need, now)
        return None

    def headers(self, now: float) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, limit in (("requests", self.requests), ("tokens", self.tokens)):
            if limit is not None and self.tells:
                found[f"x-ratelimit-limit-{name}"] = f"{limit.per_minute:.0f}"
                found[f"x-ratelimit-remaining-{name}"] = f"{max(limit.room(now), 0):.0f}"
                found[f"x-ratelimit-reset-{name}"] = f"{limit.reset_s(now):.3f}s"
        return found

    def _tokens(self, call: Call) -> float:
        most = call.body.get("max_tokens") or call.body.get("max_completion_tokens") or 20
        return float(PROMPT_TOKENS + (most if self.worst else ANSWER_TOKENS))


PROMPT_TOKENS, ANSWER_TOKENS, CACHED_TOKENS = 100, 20, 40

Script = Callable[[Call], Reply | None]


class Loopback:
    """The server; a context manager."""

    def __init__(self, *, latency_s: float = 0.0, models: tuple[str, ...] = ("gpt-4o-mini",)) -> None:
        self.latency_s, self.models, self.key = latency_s, models, KEY
        self.listed: tuple[str, ...] | None = None
        """The models that are listed, where those are not all that are served."""
        self.listing = 200
        """Status of the reply to who asks for the list."""
        self.list_page: Reply | None = None
        """What comes in place of the list, such as a proxy's page."""
        self.root: str | None = None
        """Where the weights lie, as vLLM says of its models."""
        self.script: Script = lambda call: None
        self.answer: Callable[[Call], dict[str, Any]] = _echo
        self.limits: Limits | None = None
        self.only_streams = False
        """Refuses requests for answers in one piece."""
        self.keep_calls = True
        self.replies: Counter[str] = Counter()
        """Replies by status; `cut` and `reset` for those that broke off."""
        self.first_at = self.last_at = 0.0
        self.calls: list[Call] = []
        self.count = 0
        """Requests for completions."""
        self.open = self.most_open = 0
        """Requests for completions in progress, at this moment and at most."""
        self.url = ""
        self._seen: dict[str, int] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self, port: int = 0) -> Loopback:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", port, limit=1 << 24, backlog=1024), self._loop
        ).result()
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def settle(self) -> None:
        """Returns when all that clients sent has been counted; they must have ended before."""
        asked = urllib.request.Request(f"{self.url}/models", headers={"Authorization": f"Bearer {self.key}"})
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(asked) as reply:
            reply.read()  # connections are taken in their order, so those before it have been taken
        until(lambda: not self._writers)

    def ids(self) -> list[str]:
        """The ids asked about, in the order of arrival."""
        return [call.id for call in self.calls]

    def stats(self) -> dict[str, Any]:
        """What the server saw so far."""
        return {
            "count": self.count,
            "most_open": self.most_open,
            "seconds": self.last_at - self.first_at,
            "replies": dict(self.replies),
            "repeated": sum(count > 1 for count in self._seen.values()),
        }

    async def _shut(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.sleep(0)
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # cancelled when the server shuts: nobody waits for this task
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; whether the connection stays open."""
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if path.endswith("/stats"):
            return await self._send(writer, Reply(raw=orjson.dumps(self.stats())))
        shown = self._shown_key(path, headers)
        if shown != self.key:
            return await self._send(
                writer, Reply(401, f"Incorrect API key provided: {shown}", "invalid_api_key")
            )
        if path.endswith("/models") and self.list_page is not None:
            return await self._send(writer, self.list_page)
        if path.endswith("/models") and self.listing != 200:
            return await self._send(writer, Reply(self.listing, "no list today"))
        if path.endswith("/models"):
            root = {} if self.root is None else {"root": self.root}
            listed = [
                {"id": name, "object": "model", "created": 0, "owned_by": "loopback", **root}
                for name in self.listed or self.models
            ]
            return await self._send(
                writer, Reply(raw=json.dumps({"object": "list", "data": listed}).encode())
            )
        if method != "POST" or not (
            path.partition("?")[0].endswith("/v1/chat/completions") or _AZURE.match(path)
        ):
            return await self._send(writer, await self._elsewhere(method, path, headers, body))
        return await self._completion(path, headers, body, writer)

    def _shown_key(self, path: str, headers: dict[str, str]) -> str:
        """The key that came with a request."""
        if path.startswith("/openai/"):
            return headers.get("api-key", "")
        return headers.get("authorization", "").removeprefix("Bearer ")

    async def _elsewhere(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        """The reply to any other request."""
        return Reply(404, "Not Found")

    async def _completion(
        self, path: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> bool:
        asked = orjson.loads(body)
        if not asked["messages"]:  # curator asks so for the limits
            return await self._send(writer, Reply(400, "messages must not be empty"))
        call = Call(self.count, asked, headers, len(body), time.monotonic(), path)
        self.first_at, self.last_at = self.first_at or call.at, call.at
        self.count += 1
        question = call.id or call.text
        call._attempt = self._seen.get(question, 0)
        self._seen[question] = call._attempt + 1
        if self.keep_calls:
            self.calls.append(call)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            reply = self._reply(call)
            await asyncio.sleep(self.latency_s + reply.delay_s)
        finally:
            self.open -= 1
        self.replies["reset" if reply.reset else "cut" if reply.cut else str(reply.status)] += 1
        if self.limits is not None:
            reply.headers = {**self.limits.headers(time.monotonic()), **reply.headers}
        if reply.status == 200 and reply.raw is None and not reply.reset:
            whole = _completion_of(call, reply)
            reply.raw = (
                _events_of(call, whole)
                if call.body.get("stream")
                else json.dumps(whole, ensure_ascii=False).encode()
            )
        return await self._send(writer, reply)

    def _reply(self, call: Call) -> Reply:
        if call.body["model"] not in self.models:
            name = call.body["model"]
            return Reply(404, f"The model `{name}` does not exist or you do not have access to it.")
        if self.only_streams and not call.body.get("stream"):
            return Reply(400, "This model only support stream mode, please enable the stream parameter.")
        reply = (self.limits.check(call) if self.limits else None) or self.script(call) or Reply()
        if reply.status == 200 and reply.content is None:
            reply.content = json.dumps(self.answer(call), ensure_ascii=False)
        return reply

    async def _send(self, writer: asyncio.StreamWriter, reply: Reply) -> bool:
        if reply.reset:
            writer.transport.abort()
            return False
        body = reply.raw
        if body is None:
            error = {"message": reply.content or "made to fail", "type": "error", "code": reply.code}
            body = json.dumps({"error": error}, ensure_ascii=False).encode()
        length = len(body) + (1000 if reply.cut else 0)
        kind = reply.headers.pop("Content-Type", "application/json")
        head = f"HTTP/1.1 {reply.status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        writer.write(head.encode() + b"\r\n" + body)
        await writer.drain()
        return not reply.cut


def _echo(call: Call) -> dict[str, Any]:
    """An answer in the schema that was asked for, with the question's id in its texts."""
    schema = call.body.get("response_format", {}).get("json_schema", {}).get("schema", {})
    said = f"回答记录{call.id or call.number}的问题，内容写得足够长，不重复别处的话。"
    if not schema:
        return {"reason" if '"reason"' in call.text else "description": said}
    values = {"string": said, "number": call.number, "boolean": True, "array": [said]}
    return {
        name: kind["enum"][0] if "enum" in kind else values[kind["type"]]
        for name, kind in schema["properties"].items()
    }


def _completion_of(call: Call, reply: Reply) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply.content, "refusal": reply.refusal}
    return {
        "id": f"chatcmpl-{call.number}",
        "object": "chat.completion",
        "created": 0,
        "model": call.body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish_reason}],
        "usage": {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": ANSWER_TOKENS,
            "total_tokens": PROMPT_TOKENS + ANSWER_TOKENS,
            "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
        },
    }


def _events_of(call: Call, whole: dict[str, Any]) -> bytes:
    """A completion as a stream: a chunk without choices first, as Azure has it, then words, end and usage."""
    (choice,) = whole.pop("choices")
    usage, content = whole.pop("usage"), choice["message"]["content"]
    chunks: list[dict[str, Any]] = [
        {"choices": []},
        {"choices": [{"index": 0, "delta": {"role": "assistant"}}]},
    ]
    pieces = [content[at : at + 7] for at in range(0, len(content), 7)]
    chunks += [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    end = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
    chunks.append({"choices": [end]})
    if (call.body.get("stream_options") or {}).get("include_usage"):
        chunks.append({"choices": [], "usage": usage})
    events = [json.dumps({**whole, **chunk}, ensure_ascii=False) for chunk in chunks]
    return "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode()


def main() -> None:
    """The server in a process of its own, for benchmarks."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--latency-s", type=float, default=0.2)
    parser.add_argument("--requests", type=float, help="Requests a minute.")
    parser.add_argument("--tokens", type=float, help="Tokens a minute.")
    parser.add_argument("--kind", choices=("bucket", "window"), default="bucket")
    parser.add_argument("--silent", action="store_true", help="No x-ratelimit headers.")
    parser.add_argument("--worst", action="store_true", help="Count max_tokens, not the tokens used.")
    parser.add_argument("--bad", action="store_true", help="A fifth of all calls goes wrong (bad_world.py).")
    given = parser.parse_args()
    with Loopback(latency_s=given.latency_s) as server:
        server.keep_calls = False
        if given.bad:
            from tests.support.bad_world import script

            server.script = script
        if given.requests or given.tokens:
            server.limits = Limits(
                requests=Limit(given.requests, given.kind) if given.requests else None,
                tokens=Limit(given.tokens, given.kind) if given.tokens else None,
                tells=not given.silent,
                worst=given.worst,
            )
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
