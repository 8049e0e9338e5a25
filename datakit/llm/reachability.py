"""Whether the models that a recipe names can be asked: found out by one cheap call before work is done."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from datakit.core.errors import Exit, UserError, did_you_mean
from datakit.core.settings import LlmSettings
from datakit.llm._connection import Connection
from datakit.llm._endpoint import Endpoint
from datakit.llm._faults import Fault
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.provider import Provider
from datakit.llm.providers import provider_of
from datakit.llm.request import Request

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 5.0


def unreachable(settings: LlmSettings, say: Callable[[str], None]) -> list[UserError]:
    """Why no endpoint of the recipe can be asked; empty when one can, since the others stand in for it.

    An endpoint that is down is waited for, `max_down_s` at most, which `say` is told. Its list of models is
    asked for; a model that is not on it is asked one word, because some services do not list all they have.
    """
    if not settings.resolved_provider() or not provider_of(settings).asks:
        return []
    return asyncio.run(_unreachable(settings.each_endpoint(), say))


async def _unreachable(endpoints: Sequence[LlmSettings], say: Callable[[str], None]) -> list[UserError]:
    until = time.monotonic() + endpoints[0].max_down_s
    tasks = [asyncio.create_task(_fault(each, until, say)) for each in endpoints]
    errors = []
    try:
        for task in asyncio.as_completed(tasks):
            error = await task
            if error is None:
                return []
            errors.append(error)
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return errors


async def _fault(settings: LlmSettings, until: float, say: Callable[[str], None]) -> UserError | None:
    try:
        provider = provider_of(settings)
        connection = Connection(provider)
    except UserError as error:  # no address, or no key
        return error
    try:
        reply = await _first_reply(provider, connection, until, say)
    finally:
        await connection.close()
    if isinstance(reply, Fault):
        return _error(
            f"{_address(provider)} is down; the last failure: {reply.detail}",
            "Nothing was done yet. Run the same command again when the endpoint is well; "
            "llm.max_down_s says how long it is waited for.",
        )
    if reply.status in (401, 403):
        detail = provider.fault(reply.status, {}, reply.data).detail
        return _error(
            f"{_address(provider)} refused the key. {connection.safe(Fault('stop', 'key', detail)).detail}",
            f"Put a valid key into {provider.key_name} and run the same command again.",
        )
    if not provider.models_url or settings.model in (offered := _names(reply.data)):
        return None
    return await _asked_one_word(settings, offered)


async def _first_reply(
    provider: Provider, connection: Connection, until: float, say: Callable[[str], None]
) -> _Reply | Fault:
    """The first reply that is none of a server in trouble; the last failure when none comes in time."""
    pause_s = _FIRST_PAUSE_S
    while True:
        reply = await connection.get(provider.models_url or provider.url)
        if not isinstance(reply, Fault) and reply.status < 500:
            return _Reply(reply.status, reply.data)
        left = until - time.monotonic()
        fault = reply if isinstance(reply, Fault) else provider.fault(reply.status, reply.headers, reply.data)
        if left <= 0:
            return connection.safe(fault)
        if pause_s == _FIRST_PAUSE_S:
            say(f"{_address(provider)} does not answer: waiting for it, {left:.0f} s at most")
        await asyncio.sleep(min(pause_s, left))
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    data: bytes


async def _asked_one_word(settings: LlmSettings, offered: Sequence[str]) -> UserError | None:
    """Why a model that the service does not list cannot be asked; None when it can."""
    endpoint = Endpoint(settings, attempts=Counter(), note=lambda _: None)
    try:
        question = Request("ping", (), AnswerSchema.line("text"), 0.0, 1)
        found = await endpoint.send(await endpoint.body(question, ()))
        if not isinstance(found, Fault) or found.fate != "stop":
            return None
        error = await endpoint.stop(found)
        hint = did_you_mean(settings.model, offered)
        return _error(*f"{error}\n{hint}".strip().split("\n", 1))
    finally:
        await endpoint.close()


def _names(data: bytes) -> list[str]:
    """The models of a list in OpenAI's form; empty for anything else."""
    try:
        return [str(model["id"]) for model in orjson.loads(data)["data"]]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return []


def _error(message: str, remedy: str = "") -> UserError:
    return UserError(message, remedy=remedy.strip(), exit_code=Exit.PROVIDER)


def _address(provider: Provider) -> str:
    return provider.base_url.rstrip("/")
