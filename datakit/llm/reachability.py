"""Whether the models that a recipe names can be asked: found out by one cheap call before work is done."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence

import orjson

from datakit.core.errors import Exit, UserError, did_you_mean
from datakit.core.settings import LlmSettings
from datakit.llm._connection import Connection
from datakit.llm._endpoint import DOWN, Endpoint
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


class _Down(Exception):
    """Nobody answers, or only with trouble of the server's own."""


async def _fault(settings: LlmSettings, until: float, say: Callable[[str], None]) -> UserError | None:
    try:
        provider = provider_of(settings)
        connection = Connection.of(provider)
    except UserError as error:  # no address, or no key
        return error
    address, pause_s = provider.base_url.rstrip("/"), _FIRST_PAUSE_S
    try:
        while True:
            try:
                return await _looked_at(settings, provider, connection)
            except _Down as down:
                left = until - time.monotonic()
                if left <= 0:
                    return _error(
                        f"{address} is down; the last failure: {down}",
                        "Nothing was done yet. Run the same command again when the endpoint is well; "
                        "llm.max_down_s says how long it is waited for.",
                    )
                if pause_s == _FIRST_PAUSE_S:
                    say(f"{address} does not answer: waiting for it, {left:.0f} s at most")
            await asyncio.sleep(min(pause_s, left))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    finally:
        await connection.close()


async def _looked_at(settings: LlmSettings, provider: Provider, connection: Connection) -> UserError | None:
    """Why the endpoint cannot be asked; None when it can. Raises _Down."""
    reply = await connection.get(provider.models_url or provider.url)
    if isinstance(reply, Fault) and reply.reason == "unreachable":
        raise _Down(reply.detail)
    if not isinstance(reply, Fault) and reply.status in (401, 403):
        fault = connection.safe(provider.fault(reply.status, reply.headers, reply.data))
        return _error(
            f"{provider.base_url.rstrip('/')} refused the key. {fault.detail}",
            f"Put a valid key into {provider.key_name} and run the same command again.",
        )
    if not provider.models_url:
        return None  # somebody is there; more would have to be paid for
    offered = [] if isinstance(reply, Fault) else _names(reply.data)
    return None if settings.model in offered else await _asked_one_word(settings, offered)


async def _asked_one_word(settings: LlmSettings, offered: Sequence[str]) -> UserError | None:
    """The same, by a question: for servers that list no models, or not all of them. Raises _Down."""
    endpoint = Endpoint(settings, attempts=Counter(), note=lambda _: None)
    try:
        question = Request("ping", (), AnswerSchema.line("text"), 0.0, 1)
        found = await endpoint.send(await endpoint.body(question, ()))
        if not isinstance(found, Fault):
            return None
        if found.reason in DOWN:
            raise _Down(found.detail)
        if found.fate != "stop":
            return None
        message, _, remedy = str(await endpoint.stop(found)).partition("\n")
        return _error(message, f"{remedy.strip()} {did_you_mean(settings.model, offered)}")
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
