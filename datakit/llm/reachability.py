"""Whether the models that a recipe names can be asked: found out by one cheap call before work is done."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence

import orjson

from datakit.core.errors import Exit, UserError, did_you_mean
from datakit.core.interrupts import interruptible
from datakit.core.settings import LlmSettings
from datakit.llm._connection import Connection
from datakit.llm._endpoint import DOWN, Endpoint, trouble
from datakit.llm._evidence import CONFIRMED
from datakit.llm._faults import Fault, pause_s
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.provider import Provider
from datakit.llm.providers import provider_of
from datakit.llm.request import Request

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 5.0
_LIST_S, _WORD_S = 10.0, 60.0
"""So long a list and a word are waited for; a model that is being loaded takes its time."""
_FINAL = frozenset({"key", "account", "model"})


def unreachable(
    settings: LlmSettings, say: Callable[[str], None], *, by_batch: bool = False
) -> list[UserError]:
    """Why a model of the recipe can be asked nowhere; empty when each can, at one of its endpoints.

    An endpoint that is down is waited for, `max_down_s` at most, which `say` is told. Its list of models is
    asked for; a model that is not on it is asked one word, because some services do not list all they have.
    With `by_batch` nothing is asked: models may be there for batches alone.
    """
    if not settings.resolved_provider() or not provider_of(settings).asks:
        return []
    with asyncio.Runner() as runner:
        return interruptible(runner, _unreachable(settings.each_endpoint(), say, by_batch))


async def _unreachable(
    endpoints: Sequence[LlmSettings], say: Callable[[str], None], by_batch: bool
) -> list[UserError]:
    until = time.monotonic() + endpoints[0].max_down_s
    models = dict.fromkeys(endpoint.model for endpoint in endpoints)
    errors = await asyncio.gather(
        *(_model_fault([e for e in endpoints if e.model == model], until, say, by_batch) for model in models)
    )
    return [error for error in errors if error is not None]


async def _model_fault(
    endpoints: Sequence[LlmSettings], until: float, say: Callable[[str], None], by_batch: bool
) -> UserError | None:
    """Why a model can be asked at none of its endpoints; they stand in for each other."""
    tasks = [asyncio.create_task(_fault(endpoint, until, say, by_batch)) for endpoint in endpoints]
    error = None
    try:
        for task in asyncio.as_completed(tasks):
            error = await task
            if error is None:
                break
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return error


class _Down(Exception):
    """Nobody answers, or only with trouble of the server's own."""


async def _fault(
    settings: LlmSettings, until: float, say: Callable[[str], None], by_batch: bool
) -> UserError | None:
    try:
        provider = provider_of(settings)
        connection = Connection.of(provider)
    except UserError as error:  # no address, or no key
        return error
    address, pause_s = connection.mask(provider.base_url.rstrip("/")), _FIRST_PAUSE_S
    try:
        while True:
            try:
                return await _looked_at(settings, provider, connection, until, by_batch)
            except _Down as down:
                left = until - time.monotonic()
                if left <= 0:
                    return _error(
                        trouble(address, str(down)),
                        "Nothing was done yet. Run the same command again when the endpoint is well; "
                        "llm.max_down_s says how long it is waited for.",
                    )
                if pause_s == _FIRST_PAUSE_S:
                    say(f"{address} does not answer: waiting for it, {left:.0f} s at most")
            await asyncio.sleep(min(pause_s, left))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    finally:
        await connection.close()


async def _looked_at(
    settings: LlmSettings, provider: Provider, connection: Connection, until: float, by_batch: bool
) -> UserError | None:
    """Why the endpoint cannot be asked; None when it can. Raises _Down."""
    try:
        async with asyncio.timeout(_LIST_S):
            reply = await connection.get(provider.models_url or provider.url)
    except TimeoutError:
        reply = Fault("again", "timed_out", f"no list of models within {_LIST_S:g} s")
    if isinstance(reply, Fault) and reply.reason == "unreachable":
        raise _Down(reply.detail)
    is_refused = not isinstance(reply, Fault) and reply.status in (401, 403)
    offered = [] if isinstance(reply, Fault) else _names(connection.scrubbed(reply.data))
    if by_batch or settings.model in offered:
        return None
    patience_s = max(until - time.monotonic(), _WORD_S)
    try:
        async with asyncio.timeout(patience_s):
            return await _asked_one_word(settings, offered, is_refused)
    except TimeoutError:
        raise _Down(f"no answer to one word within {patience_s:.0f} s") from None


async def _asked_one_word(
    settings: LlmSettings, offered: Sequence[str], is_refused: bool
) -> UserError | None:
    """The same, by a question: for servers that list no models, or not all of them. Raises _Down.

    A refusal of the key or the account is believed when the list was refused too, or else when it comes again
    and again: some servers say so of a single request, or for a moment.
    """
    endpoint = Endpoint(settings, attempts=Counter(), note=lambda _: None)
    question = Request("ping", (), AnswerSchema.line("text"), 0.0, 1)
    try:
        for tries in range(CONFIRMED):
            outcome = await endpoint.send(await endpoint.body(question, ()))
            if not isinstance(outcome, Fault):
                return None
            if outcome.reason in DOWN:
                raise _Down(outcome.detail)
            # A server that lists models is there, whatever it thinks of a question without a picture.
            if outcome.fate != "stop" or (offered and outcome.reason not in _FINAL):
                return None
            if is_refused or outcome.reason not in ("key", "account") or tries + 1 == CONFIRMED:
                message, _, remedy = str(await endpoint.stop(outcome)).partition("\n")
                return _error(message, f"{remedy.strip()} {did_you_mean(settings.model, offered)}")
            await asyncio.sleep(pause_s(outcome, tries))
        return None
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
