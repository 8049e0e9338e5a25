"""The client of OpenAI-compatible endpoints: many calls in flight, each failure with its own fate.

The `openai` package gives the types, the headers and the list of models. Bodies travel over aiohttp,
encoded once: at 64 calls in flight with pictures of 100 KB the package's own transport takes four to
fifteen times the CPU (measured 2026-11).
"""

from __future__ import annotations

import asyncio
import os
import random
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from datakit.core.errors import StopProvider, UserError
from datakit.core.outcome import Rejected, Retry
from datakit.core.settings import LlmSettings
from datakit.llm import prices
from datakit.llm._faults import Fault, fault_of
from datakit.llm._payload import Turn, body_of
from datakit.llm.json_answer import read
from datakit.llm.request import Completion, Request

if TYPE_CHECKING:
    import aiohttp
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion

LONGEST_WAIT_S = 300.0
"""A longer Retry-After leaves the record to the next run."""
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.5, 30.0
DOWN_AFTER = 50
"""Records given up in a row, without one answer between, after which the endpoint counts as down."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_REPAIR = "上面的回答不是要求的格式。请把同样的内容只写成一个 JSON 对象：{example}，不要输出其他文字。"
_STEPS_DOWN = {"json_schema": "json_object", "json_object": "none"}


@dataclass
class _Spent:
    """Tokens and calls on the way to one answer."""

    tokens_in: int = 0
    tokens_out: int = 0
    cached: int = 0
    calls: int = 0
    began: float = field(default_factory=time.perf_counter)

    def add(self, answer: ChatCompletion) -> None:
        self.calls += 1
        usage = answer.usage
        if usage is not None:
            self.tokens_in += usage.prompt_tokens or 0
            self.tokens_out += usage.completion_tokens or 0
            details = usage.prompt_tokens_details
            self.cached += (details.cached_tokens or 0) if details is not None else 0


class Client:
    """Answers of one endpoint. Made and used on one event loop."""

    def __init__(self, settings: LlmSettings) -> None:
        self.settings = settings
        self._face = _face(settings)
        self._structured: str = settings.structured
        self._left_out: set[str] = set()
        self._price = prices.price_of(settings)
        self._session: aiohttp.ClientSession | None = None
        self._proxy: str | None = None
        self._url = str(self._face.base_url).rstrip("/") + "/chat/completions"
        self._stopping: asyncio.Future[StopProvider] | None = None
        self._not_before = 0.0
        self._failed_in_a_row = 0
        self.notes: dict[str, Any] = {}
        if self._price is None:
            self._note(
                f"The price of {settings.model} is not known: its cost is not counted, run.budget_usd does "
                "not hold. Give llm.price_in and llm.price_out."
            )

    async def complete(self, request: Request) -> Completion | Rejected | Retry:
        """The answer, or why there is none. Raises StopProvider for a wrong key, model or address."""
        spent = _Spent()
        answer = await self._ask(request, (), spent)
        if isinstance(answer, Fault):
            return self._given_up(answer, spent)
        if answer.choices[0].finish_reason == "length":
            request = replace(request, max_tokens=2 * request.max_tokens)
            answer = await self._ask(request, (), spent)
            if isinstance(answer, Fault):
                return self._given_up(answer, spent)
        outcome = self._judged(answer, request, spent)
        if not isinstance(outcome, Retry) or outcome.reason != "answer_malformed":
            return outcome
        repair = {"role": "user", "content": _REPAIR.format(example=request.schema.example())}
        answer = await self._ask(request, ({"role": "assistant", "content": _content(answer)}, repair), spent)
        if isinstance(answer, Fault):
            return self._given_up(answer, spent)
        outcome = self._judged(answer, request, spent)
        if isinstance(outcome, Completion):
            outcome.facts["repaired"] = True
        return outcome

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        await self._face.close()

    def _judged(
        self, answer: ChatCompletion, request: Request, spent: _Spent
    ) -> Completion | Rejected | Retry:
        """What an answer that arrived whole is worth."""
        self._failed_in_a_row = 0
        choice, raw = answer.choices[0], _content(answer)
        meta = self._meta(spent)
        if choice.finish_reason == "content_filter":
            return Rejected("content_filter", "the provider's content filter withheld the answer", meta)
        if choice.message.refusal:
            return Rejected("refused", f"the model refused: {choice.message.refusal[:200]}", meta)
        if choice.finish_reason == "length":
            detail = f"still cut off at {request.max_tokens} tokens; raise max_tokens of the step"
            return Retry("answer_truncated", detail, meta)
        if not raw.strip():
            return Retry("answer_empty", "the model wrote nothing", meta)
        values = read(raw, request.schema)
        if values is None:
            detail = f"no JSON like {request.schema.example()} in: {raw[:200]}"
            return Retry("answer_malformed", detail, meta)
        return Completion(
            raw=raw,
            values=values,
            model=answer.model or self.settings.model,
            finish_reason=choice.finish_reason or "stop",
            tokens_in=spent.tokens_in,
            tokens_out=spent.tokens_out,
            tokens_cached=spent.cached,
            cost_usd=meta["cost_usd"],
            seconds=meta["seconds"],
            calls=spent.calls,
        )

    def _meta(self, spent: _Spent) -> dict[str, Any]:
        cost = self._price.cost(spent.tokens_in, spent.tokens_out, spent.cached) if self._price else None
        return {
            "model": self.settings.model,
            "tokens_in": spent.tokens_in,
            "tokens_out": spent.tokens_out,
            "tokens_cached": spent.cached,
            "cost_usd": cost,
            "seconds": round(time.perf_counter() - spent.began, 3),
            "requests": spent.calls,
        }

    def _given_up(self, fault: Fault, spent: _Spent) -> Rejected | Retry:
        if fault.fate == "reject":
            self._failed_in_a_row = 0
            return Rejected(fault.reason, fault.detail, self._meta(spent))
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= DOWN_AFTER:
            raise StopProvider(
                f"{self._face.base_url} failed {DOWN_AFTER} records in a row; the last: {fault.detail}",
                "What was answered is stored. Run the same command again when the endpoint is well.",
            )
        return Retry(fault.reason, fault.detail, self._meta(spent))

    async def _ask(
        self, request: Request, further: tuple[Turn, ...], spent: _Spent
    ) -> ChatCompletion | Fault:
        """One answer, after as many tries as the settings allow."""
        tries, body = 0, b""
        while True:
            if not body:
                structured, left_out = self._structured, len(self._left_out)
                options, most = self._options(request), self.settings.max_image_pixels
                body = await asyncio.to_thread(body_of, request, options, structured, most, further)
            await self._pause()
            found = await self._send(body, spent)
            if not isinstance(found, Fault):
                return found
            if found.fate == "stop":
                raise await self._stop(found)
            if found.fate == "adapt":
                if not self._adapt(found, structured, left_out):
                    return replace(found, fate="retry", reason="request_refused")
                body = b""
                continue
            too_long = found.wait_s is not None and found.wait_s > LONGEST_WAIT_S
            if found.fate != "again" or tries >= self.settings.max_retries or too_long:
                return found
            await self._wait(found, tries)
            tries += 1

    async def _wait(self, fault: Fault, tries: int) -> None:
        """Retry-After when the server gives it (and then for every call), else exponential backoff.

        The jitter keeps calls that failed together from coming back together.
        """
        if fault.wait_s is not None:
            self._not_before = max(self._not_before, time.monotonic() + fault.wait_s)
            await asyncio.sleep(fault.wait_s + random.uniform(0, 0.1 + 0.1 * fault.wait_s))
            return
        await asyncio.sleep(min(_FIRST_BACKOFF_S * 2**tries, _LONGEST_BACKOFF_S) * random.uniform(0.5, 1.0))

    async def _pause(self) -> None:
        left = self._not_before - time.monotonic()
        if left > 0:
            await asyncio.sleep(left + random.uniform(0, 0.1))

    async def _send(self, body: bytes, spent: _Spent) -> ChatCompletion | Fault:
        import aiohttp

        session = self._open()
        try:
            async with session.post(self._url, data=body, proxy=self._proxy) as response:
                data = await response.read()
                if response.status != 200:
                    headers = {name.lower(): value for name, value in response.headers.items()}
                    return self._safe(fault_of(response.status, headers, data))
        except TimeoutError:
            return Fault("again", "timed_out", f"no answer within {self.settings.timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            words = str(error) or type(error).__name__
            return self._safe(Fault("again", "connection_lost", f"{type(error).__name__}: {words[:300]}"))
        return _parsed(data, spent)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            self._proxy = _proxy(self._url)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
                timeout=aiohttp.ClientTimeout(total=self.settings.timeout_s),
                headers={**_plain_headers(self._face), "Content-Type": "application/json"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _options(self, request: Request) -> dict[str, Any]:
        limit = "max_completion_tokens" if "max_tokens" in self._left_out else "max_tokens"
        options: dict[str, Any] = {"model": self.settings.model, limit: request.max_tokens}
        if "temperature" not in self._left_out:
            options["temperature"] = request.temperature
        return options

    def _adapt(self, fault: Fault, structured: str, left_out: int) -> bool:
        """Leaves out what the server does not know, for the rest of this run. False when nothing is left.

        `structured` and `left_out` say how the refused request was made: when another call has adapted
        meanwhile, the request is only made anew.
        """
        if fault.reason == "response_format":
            if structured != self._structured:
                return True
            if structured not in _STEPS_DOWN:
                return False
            self._structured = _STEPS_DOWN[structured]
            self._note(
                f"The endpoint refused response_format {structured}; went on with {self._structured}. "
                f"Set llm.structured: {self._structured}."
            )
            return True
        if fault.reason in self._left_out:
            return left_out != len(self._left_out)
        self._left_out.add(fault.reason)
        self._note(f"The endpoint refused `{fault.reason}`; went on without it.")
        return True

    def _note(self, text: str) -> None:
        self.notes.setdefault("warnings", []).append(text)

    def _safe(self, fault: Fault) -> Fault:
        """Without the key, which some servers repeat in their messages."""
        key = self._face.api_key
        if key and len(key) > 3 and key in fault.detail:
            return replace(fault, detail=fault.detail.replace(key, "***"))
        return fault

    async def _stop(self, fault: Fault) -> StopProvider:
        """The error that ends the build; made once, however many calls run into it."""
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stopped(fault))
        return await asyncio.shield(self._stopping)

    async def _stopped(self, fault: Fault) -> StopProvider:
        settings, address = self.settings, str(self._face.base_url)
        if fault.reason == "key":
            return StopProvider(
                f"{address} refused the key. {fault.detail}",
                f"Put a valid key into {settings.api_key_env} and run the same command again.",
            )
        if fault.reason == "account":
            return StopProvider(
                f"{address} will not bill this account. {fault.detail}", "See its billing page."
            )
        if fault.reason == "model":
            offered = await self._offered()
            remedy = f"It offers: {', '.join(offered)}." if offered else "It does not list its models."
            return StopProvider(
                f"{address} does not know the model {settings.model}. {fault.detail}",
                f"{remedy} Set llm.model.",
            )
        return StopProvider(
            f"nothing answers at {self._url}. {fault.detail}",
            "Check llm.base_url or OPENAI_BASE_URL; it usually ends in /v1.",
        )

    async def _offered(self) -> list[str]:
        """Names of the models that the endpoint lists; empty when it lists none."""
        from openai import OpenAIError

        try:
            found = await self._face.models.list(timeout=15)
        except OpenAIError:
            return []
        return sorted(model.id for model in found.data)[:50]


def _face(settings: LlmSettings) -> AsyncOpenAI:
    """The `openai` client, which knows addresses, headers and types."""
    from openai import AsyncOpenAI

    base_url = settings.base_url or os.environ.get("OPENAI_BASE_URL") or None
    key = os.environ.get(settings.api_key_env)
    if not key:
        if base_url is None:
            raise UserError(
                f"llm.provider is openai, but {settings.api_key_env} is not set",
                remedy=f"Set {settings.api_key_env}, or OPENAI_BASE_URL for a server without keys, or take "
                "llm.provider: offline.",
            )
        key = "none"  # servers of one's own, such as vLLM, ask for no key
    return AsyncOpenAI(api_key=key, base_url=base_url, max_retries=0, timeout=settings.timeout_s)


def _plain_headers(face: AsyncOpenAI) -> dict[str, str]:
    """The headers that the `openai` client would send."""
    headers = {**face.default_headers, **face.auth_headers}
    return {name: value for name, value in headers.items() if isinstance(value, str)}


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for this address; never one for this machine itself."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    if host in _LOOPBACK or urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def _content(answer: ChatCompletion) -> str:
    return answer.choices[0].message.content or ""


def _parsed(data: bytes, spent: _Spent) -> ChatCompletion | Fault:
    """The answer as the `openai` package types it; servers that bend the format are not judged for it."""
    from openai.types.chat import ChatCompletion

    try:
        answer = ChatCompletion.construct(**orjson.loads(data))
        assert answer.choices[0].message is not None
    except (orjson.JSONDecodeError, TypeError, AttributeError, IndexError, AssertionError):
        start = data[:120].decode("utf-8", "replace")
        return Fault("again", "body_malformed", f"the endpoint answered 200 with no completion: {start!r}")
    spent.add(answer)
    return answer
