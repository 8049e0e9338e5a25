"""Chat completions of one server: asked over aiohttp, repeated where that can help, each failure typed."""

from __future__ import annotations

import asyncio
import os
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from datakit.core.errors import DatakitError, Exit, StopProvider, UserError, did_you_mean
from datakit.llm._faults import Fault, fault_of
from datakit.serving.asking import Reply

if TYPE_CHECKING:
    import aiohttp

KEY_ENV = "VLLM_API_KEY"
"""Environment variable with the server's key (`vllm serve --api-key`). No other key is ever sent."""
_BACKOFF_S, _LONGEST_BACKOFF_S, _LONGEST_WAIT_S = 0.5, 20.0, 120.0


class NoAnswer(DatakitError):
    """The server gave no answer for one request. `reason` is a word, `detail` a sentence.

    `again` tells whether another run may get one.
    """

    exit_code = Exit.PARTIAL

    def __init__(self, reason: str, detail: str, *, again: bool) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.again = reason, detail, again


@dataclass(frozen=True, slots=True)
class Served:
    """What a server says about a model."""

    name: str
    root: str
    """Where its weights come from."""
    max_model_len: int | None


@dataclass
class Endpoint:
    """A server. Used on one event loop."""

    base_url: str
    timeout_s: float = 300.0
    max_retries: int = 4
    left_out: set[str] = field(default_factory=set)
    """What the server refused: `logprobs`."""
    _session: aiohttp.ClientSession | None = None

    def __post_init__(self) -> None:
        self.base_url = self.base_url.rstrip("/")
        if not self.base_url.startswith(("http://", "https://")):
            raise UserError(
                f"`{self.base_url}` is no address of a server",
                remedy="Give it as http://127.0.0.1:8000/v1.",
            )

    async def served(self, model: str | None = None) -> Served:
        """The model of this name, or the only one there is. Raises StopProvider when there is none."""
        data = await self._get("/models")
        try:
            models = [
                Served(entry["id"], str(entry.get("root") or entry["id"]), entry.get("max_model_len"))
                for entry in data["data"]
            ]
        except (KeyError, TypeError):
            raise StopProvider(
                f"{self.base_url}/models lists no models", "Is this an OpenAI-compatible server?"
            ) from None
        names = [entry.name for entry in models]
        if model is None and len(models) == 1:
            return models[0]
        for entry in models:
            if entry.name == model:
                return entry
        if model is None:
            raise StopProvider(
                f"{self.base_url} serves {len(models)} models: {', '.join(names)}", "Say which one: --model."
            )
        hint = did_you_mean(model, names) or f"It serves: {', '.join(names)}."
        raise StopProvider(f"{self.base_url} does not serve `{model}`", hint)

    async def chat(self, body: dict[str, Any]) -> Reply:
        """The answer to one request. Raises NoAnswer, or StopProvider when no request can succeed."""
        began, tries = time.perf_counter(), 0
        while True:
            fault = await self._ask(body, began)
            if isinstance(fault, Reply):
                return fault
            if self._adapts(fault, body):
                continue
            if fault.fate == "stop":
                raise StopProvider(f"{self.base_url}: {fault.detail}", _STOPPED.get(fault.reason, ""))
            too_long = (fault.wait_s or 0) > _LONGEST_WAIT_S
            if fault.fate != "again" or tries >= self.max_retries or too_long:
                raise NoAnswer(fault.reason, fault.detail, again=fault.fate != "reject")
            wait = fault.wait_s or min(_BACKOFF_S * 2**tries, _LONGEST_BACKOFF_S)
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))
            tries += 1

    async def close(self) -> None:
        """Gives the connections back."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _adapts(self, fault: Fault, body: dict[str, Any]) -> bool:
        """Whether the request, without what the server does not know, is worth another try."""
        if "logprobs" in fault.detail and "logprobs" in body and fault.fate != "again":
            self.left_out.add("logprobs")
            return True
        return False

    async def _ask(self, body: dict[str, Any], began: float) -> Reply | Fault:
        for name in self.left_out:
            body.pop(name, None)
            body.pop(f"top_{name}", None)
        found = await self._send("POST", "/chat/completions", orjson.dumps(body))
        if isinstance(found, Fault):
            return found
        try:
            choice, usage = found["choices"][0], found.get("usage") or {}
            return Reply(
                text=choice["message"].get("content") or "",
                finish_reason=choice.get("finish_reason") or "",
                logprobs=choice.get("logprobs"),
                tokens_in=usage.get("prompt_tokens"),
                tokens_out=usage.get("completion_tokens"),
                seconds=round(time.perf_counter() - began, 3),
                token_ids=tuple(found.get("prompt_token_ids") or ()),
            )
        except (KeyError, IndexError, TypeError, AttributeError):
            return Fault("again", "body_malformed", "the server answered 200 without a completion")

    async def _get(self, path: str) -> Any:
        for tries in range(self.max_retries + 1):
            found = await self._send("GET", path, None)
            if not isinstance(found, Fault):
                return found
            if found.fate != "again":
                break
            await asyncio.sleep(min(_BACKOFF_S * 2**tries, _LONGEST_BACKOFF_S) if tries < 2 else 0)
            if tries >= 2:
                break
        raise StopProvider(
            f"nothing answers at {self.base_url}: {found.detail}",
            _STOPPED.get(found.reason, "Is the server running? Start it with: datakit serve BUILD"),
        )

    async def _send(self, method: str, path: str, data: bytes | None) -> Any:
        import aiohttp

        if self._session is None:
            key = os.environ.get(KEY_ENV)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
                timeout=aiohttp.ClientTimeout(total=self.timeout_s),
                headers={
                    "Content-Type": "application/json",
                    **({"Authorization": f"Bearer {key}"} if key else {}),
                },
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        try:
            async with self._session.request(method, self.base_url + path, data=data) as answer:
                content = await answer.read()
                if answer.status != 200:
                    headers = {name.lower(): value for name, value in answer.headers.items()}
                    return _without_key(fault_of(answer.status, headers, content))
                return orjson.loads(content)
        except TimeoutError:
            return Fault("again", "timed_out", f"no answer within {self.timeout_s:g} s")
        except orjson.JSONDecodeError:
            return Fault("again", "body_malformed", "the server answered 200 without JSON")
        except (aiohttp.ClientError, OSError) as error:
            return Fault("again", "connection_lost", f"{type(error).__name__}: {error}"[:300])


_STOPPED = {
    "key": f"Put the server's key into {KEY_ENV}.",
    "model": "The request's model must be the served name: see --served-model-name.",
    "address": "The address usually ends in /v1.",
}


def _without_key(fault: Fault) -> Fault:
    key = os.environ.get(KEY_ENV)
    if key and key in fault.detail:
        return Fault(fault.fate, fault.reason, fault.detail.replace(key, "***"), fault.wait_s)
    return fault
