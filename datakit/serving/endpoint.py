"""Chat completions of one served model: asked, read and repeated as annotation asks, each failure typed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from datakit.core.credentials import credentials_of_address
from datakit.core.errors import DatakitError, Exit, StopProvider, UserError, did_you_mean
from datakit.core.json_bytes import json_bytes
from datakit.llm import chat_answer, chat_reply
from datakit.llm._client_setup import check_key, joined
from datakit.llm._evidence import CONFIRMED, Evidence, of_its_record, remedy_of
from datakit.llm._faults import Fault, fault_of, of_server, pause_s
from datakit.llm._refusals import UNKNOWN, Refusals
from datakit.llm._wire import Body, Wire
from datakit.llm.answer import HOLDS_KEY
from datakit.serving.asking import Reply
from datakit.serving.context_refusals import read_refusal
from datakit.serving.outage import Outage
from datakit.serving.served import Served, listed

KEY_ENV = "VLLM_API_KEY"
"""Environment variable with the server's key (`vllm serve --api-key`). No other key is ever sent."""
LOST_CONNECTION = "connection_lost"
_MOST_ABSENCES = 2
"""So often a record that lost its server is asked again without using up a try."""
_LOOKS = 3
"""Tries to have the models listed."""
_LOOK_S, _IDLE_LOOKS = 0.1, 10
"""How often a refused request looks whether others are answered, and how often with none on its way."""


class NoAnswer(DatakitError):
    """The server gave no answer for one request. `reason` is a word, `detail` a sentence.

    `again` tells whether another run may get one.
    """

    exit_code = Exit.PARTIAL

    def __init__(self, reason: str, detail: str, *, again: bool) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.again = reason, detail, again


class Connect(Protocol):
    """Makes the way to a server."""

    def __call__(
        self, url: str, headers: dict[str, str], *, timeout_s: float, secrets: list[str]
    ) -> Wire: ...


def by_aiohttp(url: str, headers: dict[str, str], *, timeout_s: float, secrets: list[str]) -> Wire:
    """Connections that many requests share."""
    from datakit.llm._connection import Connection  # here, because a bundle has another way

    return Connection(url, headers, timeout_s=timeout_s, secrets=secrets, by_proxy=False)


@dataclass
class Endpoint:
    """A server. Used on one event loop."""

    base_url: str
    timeout_s: float = 300.0
    max_retries: int = 4
    left_out: set[str] = field(default_factory=set)
    """What the server refused: `logprobs`."""
    connect: Connect = by_aiohttp
    revive: Callable[[], Path | None] | None = None
    """Starts a server that we started ourselves once more, at the same address; see `outage`."""
    log: Path | None = None
    """What such a server prints."""
    evidence: Evidence = field(default_factory=Evidence, init=False)
    """What all its replies show together: one refusal alone stops nothing."""

    _known: Served | None = field(default=None, init=False)
    """What was asked first."""
    _under_way: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.base_url = self.base_url.rstrip("/")
        if credentials_of_address(self.base_url):
            raise UserError(
                "the server's address holds a name, a password or a key, which would stand in logs",
                remedy=f"Take it out; the server's key goes into {KEY_ENV}.",
                exit_code=Exit.PROVIDER,
            )
        if not self.base_url.startswith(("http://", "https://")):
            raise UserError(
                f"`{self.base_url}` is no address of a server",
                remedy="Give it as http://127.0.0.1:8000/v1.",
            )

    async def served(self, model: str | None = None) -> Served:
        """The model of this name, or the only one there is. Raises StopProvider when there is none."""
        models = listed(*await self._get("/models"))
        if models is None:
            raise StopProvider(
                f"{self.base_url}/models lists no models", "Is this an OpenAI-compatible server?"
            )
        names = [entry.name for entry in models]
        if model is None and len({entry.root for entry in models}) == 1:
            model = names[0]  # the others are further names of it
        for entry in models:
            if entry.name == model:
                self._known = self._known or entry
                return entry
        if model is None:
            raise StopProvider(
                f"{self.base_url} serves {len(models)} models: {', '.join(names)}", "Say which one: --model."
            )
        hint = did_you_mean(model, names) or f"It serves: {', '.join(names)}."
        raise StopProvider(f"{self.base_url} does not serve `{model}`", hint)

    async def chat(self, body: dict[str, Any]) -> Reply:
        """The answer to one request. Raises NoAnswer, or StopProvider when no request can succeed."""
        began, tries, refusals, absences, record = time.perf_counter(), 0, Refusals(), 0, object()
        while True:
            fault = await self._ask(body, began)
            if isinstance(fault, Reply):
                self.evidence.answered()
                self._outage.answered()
                return fault
            if await self._adapts(fault, body):
                continue
            if await self._was_away(fault, record) and absences < _MOST_ABSENCES:
                absences += 1
                continue
            self.evidence.heard(fault)
            if self.evidence.ends(fault) is not None:
                remedy = _STOPPED.get(fault.reason) or remedy_of(fault)
                raise StopProvider(f"{self.base_url}: {fault.detail}", remedy)
            if fault.reason == UNKNOWN:
                refusals.add(fault, self.evidence)
                if not refusals.is_open or not await self._others_answered():
                    raise _no_answer(refusals.fate(self.evidence))
            elif not fault.may_pass or tries >= self._most_tries(fault):
                if fault.reason == LOST_CONNECTION and await self._outage.lost(record, fault.detail):
                    tries = 0
                    continue
                raise _no_answer(of_its_record(fault) if fault.fate == "stop" else fault)
            await asyncio.sleep(pause_s(fault, tries))
            tries += 1

    def _most_tries(self, fault: Fault) -> int:
        """Tries after the first. What was lost has one: the server may have been started anew since."""
        least = CONFIRMED - 1 if fault.fate == "stop" else 1 if fault.reason == LOST_CONNECTION else 0
        return max(self.max_retries, least)

    async def _was_away(self, fault: Fault, record: object) -> bool:
        """Whether a request was lost because the server was away, which it is not any more.

        Raises StopProvider where it stays away, answers nobody, or is another one now.
        """
        if fault.reason == "timed_out":
            return await self._outage.lost(record, fault.detail)
        return fault.reason == LOST_CONNECTION and await self._outage.wait(fault.detail)

    async def close(self) -> None:
        """Gives the connections back."""
        self._outage.close()
        connection = self.__dict__.pop("_connection", None)
        if connection is not None:
            await connection.close()

    async def _others_answered(self) -> bool:
        """Whether the server has given an answer, at the latest when none is under way or to be sent soon."""
        idle = 0
        while not self.evidence.has_answered and idle < _IDLE_LOOKS:
            idle = 0 if self._under_way else idle + 1  # the next ones may be reading their pictures
            await asyncio.sleep(_LOOK_S)
        return self.evidence.has_answered

    async def _adapts(self, fault: Fault, body: dict[str, Any]) -> bool:
        """Whether the request is worth another try, without what the server does not know or has no room for.

        `body` then says what is asked for.
        """
        if "logprobs" in fault.detail and "logprobs" in body and fault.fate != "again":
            self.left_out.add("logprobs")
            return True
        refusal = read_refusal(fault.detail) if fault.reason == "context_too_long" else None
        if refusal is None:
            return False
        room, most = refusal.room, int(body.get("max_tokens", 0))
        if room is None:
            room = await self._room_beside(body, refusal.context)
        if room is None or not 0 < room < most:
            return False
        body["max_tokens"] = room
        return True

    async def _room_beside(self, body: dict[str, Any], context: int) -> int | None:
        """Tokens that the context leaves beside a prompt that the server did not count to its end: it does,
        for an answer of one token. None where there is none."""
        least = {"model": body["model"], "messages": body["messages"], "temperature": 0, "max_tokens": 1}
        reply = await self._ask(least, time.perf_counter())
        if isinstance(reply, Fault):
            return None
        half = int(body["max_tokens"]) // 2
        return half if reply.tokens_in is None else context - reply.tokens_in

    async def _look(self) -> bool:
        """Whether the server says which models it has. A proxy in front of it may say that it is away.

        Raises StopProvider where another model answers by the name than before.
        """
        reply = await self._connection.get(joined(self.base_url, "/models"))
        if isinstance(reply, Fault) or reply.status in (502, 504):
            return False
        known, models = self._known, None
        if reply.status == 200 and known is not None:
            with contextlib.suppress(ValueError):
                models = listed(chat_answer.parse(self._connection.scrubbed(reply.data)), reply.headers)
        for served in models or ():
            if known is not None and served.name == known.name and (other := known.differs(served)):
                raise StopProvider(
                    f"{self.base_url} {other}",
                    "Start the server with the model that was asked, or ask the new one from the beginning.",
                )
        return True

    @cached_property
    def _outage(self) -> Outage:
        return Outage(self.base_url, self._look, self.revive, self.log)

    async def _ask(self, body: dict[str, Any], began: float) -> Reply | Fault:
        for name in self.left_out:
            body.pop(name, None)
            body.pop(f"top_{name}", None)
        self._under_way += 1
        try:
            reply = await self._connection.post(Body(json_bytes(body)))
        finally:
            self._under_way -= 1
        if isinstance(reply, Fault):
            return reply
        if reply.status == 200:
            answer = chat_reply.decode(reply.data)
        else:
            answer = fault_of(reply.status, reply.headers, self._connection.scrubbed(reply.data))
        answer = self._connection.clean(answer)
        if isinstance(answer, Fault):
            return answer
        if answer.finish_reason == HOLDS_KEY:
            return Fault("reject", "answer_holds_key", f"the answer repeats the key of {KEY_ENV}")
        return Reply.of(answer, round(time.perf_counter() - began, 3))

    async def _get(self, path: str) -> tuple[Any, Mapping[str, str]]:
        """The JSON at a path of the server, and its headers. Raises StopProvider."""
        most = min(self.max_retries, _LOOKS - 1)
        for tries in range(most + 1):
            reply = await self._connection.get(joined(self.base_url, path))
            if isinstance(reply, Fault):
                fault = reply
            elif reply.status != 200:
                fault = fault_of(reply.status, reply.headers, self._connection.scrubbed(reply.data))
            else:
                try:
                    return chat_answer.parse(self._connection.scrubbed(reply.data)), reply.headers
                except ValueError:
                    fault = Fault("again", "body_malformed", "the server answered 200 without JSON")
            if not fault.may_pass or tries == most:
                break
            await asyncio.sleep(pause_s(fault, tries))
        raise StopProvider(
            f"nothing answers at {self.base_url}: {self._connection.safe(fault).detail}",
            _STOPPED.get(
                fault.reason,
                "Is it running? `datakit serve BUILD` starts a server, in a bundle `./run.sh serve`.",
            ),
        )

    @cached_property
    def _connection(self) -> Wire:
        key = os.environ.get(KEY_ENV)
        check_key(KEY_ENV, key or "")
        return self.connect(
            joined(self.base_url, "/chat/completions"),
            {"Authorization": f"Bearer {key}"} if key else {},
            timeout_s=self.timeout_s,
            secrets=[key] if key else [],
        )


def _no_answer(fault: Fault) -> NoAnswer:
    """The error of a request that was given up."""
    is_final = fault.fate == "reject" or of_server(fault.reason, fault.detail)
    return NoAnswer(fault.reason, fault.detail, again=not is_final)


_STOPPED = {
    "key": f"Put the server's key into {KEY_ENV}.",
    "account": "See the billing page of the service.",
    "model": "The request's model must be the served name: see --served-model-name.",
    "address": "The address usually ends in /v1, at Azure in /openai/v1.",
}
