"""From a request to its outcome: asked once, once more when cut off, once more for the right form.

One way down, client → transport → endpoint → provider, and its answer comes up the same way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from datakit.core.errors import BudgetSpent, StopProvider
from datakit.core.outcome import Rejected, Retry
from datakit.llm._faults import Fault
from datakit.llm._judge import Spent, judge, repair_turns
from datakit.llm.answer import Answer
from datakit.llm.request import Completion, Request
from datakit.llm.transport import Transport


class Client:
    """Answers of one model, whichever way its questions travel. Made and used on one event loop."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def notes(self) -> dict[str, Any]:
        """What the report must say about it."""
        return self._transport.notes

    async def complete(self, request: Request) -> Completion | Rejected | Retry:
        """The answer, or why there is none.

        Raises StopProvider for a wrong key, model or address and for endpoints that stay down, BudgetSpent
        when the request does not fit into the budget, UserError when another build waits for the same batch,
        and ImageProblem for a broken picture.
        """
        transport = self._transport
        spent = Spent(transport.settings.model)
        try:
            outcome = await self._outcome(request, spent)
        except StopProvider as error:
            transport.halt(error)
            raise
        except BudgetSpent as error:
            transport.halt(error)
            if spent.answers:  # what was paid for this record is accounted for
                return Retry("budget_spent", str(error), spent.meta())
            raise
        if isinstance(outcome, Completion):
            outcome.facts.update(transport.marks)
            return outcome
        return replace(outcome, meta={**outcome.meta, **transport.marks})

    async def close(self) -> None:
        """Gives connections back."""
        await self._transport.close()

    async def _outcome(self, request: Request, spent: Spent) -> Completion | Rejected | Retry:
        answer = await self._transport.ask(request, (), spent)
        if isinstance(answer, Answer) and answer.finish_reason == "length":
            request = replace(request, max_tokens=2 * request.max_tokens)
            answer = await self._transport.ask(request, (), spent)
        if isinstance(answer, Fault):
            return self._given_up(answer, request, spent)
        outcome = judge(answer, request, spent)
        if not isinstance(outcome, Retry) or outcome.reason != "answer_malformed":
            return outcome
        answer = await self._transport.ask(request, repair_turns(answer, request), spent)
        if isinstance(answer, Fault):
            return self._given_up(answer, request, spent)
        outcome = judge(answer, request, spent)
        if isinstance(outcome, Completion):
            outcome.facts["repaired"] = True
        return outcome

    def _given_up(self, fault: Fault, request: Request, spent: Spent) -> Rejected | Retry:
        if fault.fate != "reject":
            return Retry(fault.reason, fault.detail, spent.meta())
        detail = fault.detail
        if fault.reason == "context_too_long":
            count = self._transport.tokens.of(request)
            detail += f" (about {count:,} tokens were sent, with room for {request.max_tokens:,} more)"
        return Rejected(fault.reason, detail, spent.meta())
