"""One question is asked once: its digest is taken of what is sent, and answers are found by it.

A result's key says what a step was told: settings, rendered text, files. Several keys may send one and the
same question (another pixel limit, a file that differs in its metadata alone, pictures first where there are
none), and then an answer under one of them answers all. Of builds that share a result store one asks, and the
others wait for its answer (`turns`).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from weakref import WeakValueDictionary

from datakit.core.outcome import Done, Outcome, Rejected, Retry
from datakit.core.record import digest
from datakit.core.step_context import StepContext
from datakit.core.sub_results import QUESTION
from datakit.llm import json_answer
from datakit.llm._dialect import Dialect
from datakit.llm.images import fits_as_it_is
from datakit.llm.providers import provider_of
from datakit.llm.request import Request
from datakit.llm.turns import TurnQueue

_MOST_KEPT = 1000
"""Answers in memory: those that came last are not in the store yet."""
FREE = {
    "tokens_in": 0,
    "tokens_out": 0,
    "tokens_cached": 0,
    "cost_usd": 0.0,
    "seconds": 0.0,
    "requests": 0,
}
"""What an answer takes that was paid for before."""


class _UnderWay:
    """A question that somebody asks; it is gone when nobody waits for it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.retry: Retry | None = None
        """Why no answer came, without what that took: it is counted for the record that asked."""


class AskedOnce:
    """The questions of one model. Made and used on one event loop."""

    def __init__(self, context: StepContext) -> None:
        self._context, self._model = context, context.llm.model
        self._dialect = Dialect(provider_of(context.llm.each_endpoint()[0]), lambda _: None)
        self._turns = context.sub_results.turns
        self._queue = TurnQueue(self._turns, context.stats)
        self._under_way: WeakValueDictionary[bytes, _UnderWay] = WeakValueDictionary()
        self._latest: OrderedDict[bytes, Done | Rejected] = OrderedDict()

    async def answer(self, request: Request, ask: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """What is known of the question, else what comes when it is asked. Raises ImageProblem."""
        question = await self._digest(request)
        under_way = self._under_way.setdefault(question, _UnderWay())
        async with under_way.lock:  # another record asks the same: what comes of that is this one's too
            if under_way.retry is not None:
                return under_way.retry
            latest = self._latest.get(question)
            known = None if latest is None else self._usable([latest], question, request)
            if known is not None:
                return known
            try:
                await self._queue.take(question)
                outcome = await self._stored_or_asked(question, request, ask)
            except BaseException:
                self._turns.release(question)
                raise
            if isinstance(outcome, Retry):
                under_way.retry = Retry(outcome.reason, outcome.detail)
            return outcome

    async def _stored_or_asked(
        self, question: bytes, request: Request, ask: Callable[[], Awaitable[Outcome]]
    ) -> Outcome:
        """What is stored of a question that is ours to ask, else what comes when it is asked."""
        known = self._usable(self._context.sub_results.answers_to(question), question, request)
        outcome = known if known is not None else await ask()
        if known is not None or isinstance(outcome, Retry):
            self._turns.release(question)
            return outcome
        self._turns.answered(question)
        outcome.meta[QUESTION] = question.hex()
        self._latest[question] = outcome
        if len(self._latest) > _MOST_KEPT:
            self._latest.popitem(last=False)
        return outcome

    async def _digest(self, request: Request) -> bytes:
        """Of the body that is sent, pictures and all, and of which of several answers to it is wanted."""
        most = self._context.llm.max_image_pixels
        if all(fits_as_it_is(path, most) for path in request.images):
            return self._digest_now(request)
        return await asyncio.to_thread(self._digest_now, request)

    def _digest_now(self, request: Request) -> bytes:
        return digest(["question", self._dialect.question(request), request.sample])

    def _usable(
        self, outcomes: Sequence[Done | Rejected], question: bytes, request: Request
    ) -> Done | Rejected | None:
        """An answer to the question that can be read in this form, free of cost; the last refusal without."""
        for outcome in outcomes:
            if isinstance(outcome, Rejected) or "raw" not in outcome.raw:
                continue
            if json_answer.read(outcome.raw["raw"], request.schema, request.text) is not None:
                return Done(dict(outcome.raw), self._paid(question, outcome))
        refusals = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
        if not refusals:
            return None
        refusal = refusals[-1]
        return Rejected(refusal.reason, refusal.detail, self._paid(question, refusal))

    def _paid(self, question: bytes, outcome: Done | Rejected) -> dict[str, object]:
        meta = {name: value for name, value in outcome.meta.items() if name != QUESTION}
        earlier = meta.get("paid_earlier", meta)
        return {"model": self._model, **FREE, "paid_earlier": earlier, QUESTION: question.hex()}
