"""From a request to its outcome: asked once, once more when cut off, once more for the right form.

One way down, client → transport → endpoint → provider, and its answer comes up the same way.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from datakit.core.errors import BudgetSpent, StopProvider
from datakit.core.outcome import REFUSAL, Rejected, Retry
from datakit.llm._faults import Fault
from datakit.llm._judge import Spent, judge, repair_turns
from datakit.llm.answer import Answer
from datakit.llm.request import Completion, Request
from datakit.llm.second_tries import FIRST, SecondTries
from datakit.llm.transport import Transport

_CUT, _FORM = "answer_truncated", "answer_malformed"
_LONGER = "Raise max_tokens of the step."
_THINK = "Set llm.thinking: disabled, or raise max_tokens of the step."
_NAMED = "Write the form of the answer into the template, or set llm.structured."
_SETTINGS = {_CUT: {_CUT: _LONGER, "thinking_cut": _THINK}, _FORM: {_FORM: _NAMED}}
"""Kind of second try -> why most of them failed -> the setting that mends it."""
_TOLD = {
    _CUT: "An answer that was cut off was cut off with twice the room too,",
    _FORM: "An answer in another form than was asked for stayed so,",
}
_OTHERS = "Look at the template, which goes with every question, or take another model."
_USELESS = {
    _CUT: _LONGER,
    "thinking_cut": _THINK,
    _FORM: _NAMED,
    "answer_empty": _THINK,
    "content_filter": _OTHERS,
    "refused": _OTHERS,
}
"""Reasons for which an answer that was paid for cannot be used -> the setting that mends it."""
MOST_ANSWERS = 3
"""To one question: the first, one with twice the room, one in the right form."""


class Client:
    """Answers of one model, whichever way its questions travel. Made and used on one event loop."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._second = SecondTries(self._futile)
        self._has_used = False
        self._useless: Counter[str] = Counter()

    @property
    def notes(self) -> dict[str, Any]:
        """What the report must say about it."""
        return self._transport.notes

    async def complete(self, request: Request) -> Completion | Rejected | Retry:
        """The answer, or why there is none.

        Raises StopProvider for a wrong key, model or address and for endpoints that stay down, BudgetSpent
        when the request does not fit into the budget, and ImageProblem for a broken picture.
        """
        transport = self._transport
        spent = Spent(transport.settings.model)
        try:
            outcome = await self._outcome(request, spent)
        except StopProvider as error:
            transport.halt(error)
            if spent.answers:  # what was paid for this record is accounted for; other records end the run
                return Retry("provider_stopped", str(error), spent.meta())
            raise
        except BudgetSpent as error:
            transport.halt(error)
            if spent.answers:  # what was paid for this record is accounted for
                return Retry("budget_spent", str(error), spent.meta())
            raise
        if isinstance(outcome, Completion):
            self._has_used = True
            outcome.facts.update(transport.marks)
            return outcome
        self._weigh(outcome)
        refused = {REFUSAL: True} if isinstance(outcome, Rejected) else {}
        return replace(outcome, meta={**outcome.meta, **transport.marks, **refused})

    async def close(self) -> None:
        """Gives connections back."""
        await self._transport.close()

    async def _outcome(self, request: Request, spent: Spent) -> Completion | Rejected | Retry:
        transport, second = self._transport, self._second
        answer = await transport.ask(request, (), spent)
        if isinstance(answer, Answer) and answer.finish_reason == "length" and await second.worth(_CUT):
            request = replace(request, max_tokens=2 * request.max_tokens)
            with second.under_way(_CUT) as this:
                answer = await transport.ask(request, (), spent)
                if isinstance(answer, Answer):
                    outcome = judge(answer, request, spent)
                    is_cut = isinstance(outcome, Retry) and outcome.reason in _SETTINGS[_CUT]
                    this.failed_for = outcome.reason if is_cut and isinstance(outcome, Retry) else ""
        if isinstance(answer, Fault):
            return self._given_up(answer, request, spent)
        outcome = judge(answer, request, spent)
        if not isinstance(outcome, Retry) or outcome.reason != _FORM or not await second.worth(_FORM):
            return outcome
        with second.under_way(_FORM) as this:
            answer = await transport.ask(request, repair_turns(answer, request), spent)
            if isinstance(answer, Fault):
                return self._given_up(answer, request, spent)
            outcome = judge(answer, request, spent)
            this.failed_for = outcome.reason if isinstance(outcome, Retry) else ""
        if isinstance(outcome, Completion):
            outcome.facts["repaired"] = True
        return outcome

    def _futile(self, kind: str, reason: str) -> None:
        """Second tries of a kind never helped: no further ones are made, which the report must say."""
        setting = _SETTINGS[kind].get(reason, _SETTINGS[kind][kind])
        self._transport.notes.setdefault("warnings", []).append(
            f"{_TOLD[kind]} the first {FIRST} times it was asked again; no other answer is. {setting}"
        )

    def _weigh(self, outcome: Rejected | Retry) -> None:
        """Ends the run when none of the first answers could be used, all for one reason: others cost the same
        and would be worth as little."""
        if self._has_used or outcome.reason not in _USELESS:
            return
        self._useless[outcome.reason] += 1
        if self._useless[outcome.reason] >= FIRST:
            model = self._transport.settings.model
            error = StopProvider(
                f"none of the first {FIRST} answers of {model} can be used. {outcome.detail}",
                f"{_USELESS[outcome.reason]} Then run the same command again.",
            )
            self._transport.halt(error)

    def _given_up(self, fault: Fault, request: Request, spent: Spent) -> Rejected | Retry:
        detail = fault.detail
        if fault.reason == "context_too_long":
            count = self._transport.tokens.of(request)
            detail += f" (about {count:,} tokens were sent, with room for {request.max_tokens:,} more)"
        kind = Rejected if fault.fate == "reject" else Retry
        return kind(fault.reason, detail, spent.meta())
