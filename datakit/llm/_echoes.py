"""What a server repeats of the credentials that it was asked with: hidden in words, and no answer at all."""

from __future__ import annotations

from dataclasses import replace

from datakit.core.credentials import Mask
from datakit.llm._faults import Fault
from datakit.llm.answer import HOLDS_KEY, Answer


def cleaned(outcome: Answer | Fault, mask: Mask) -> Answer | Fault:
    """What came of a question, without credentials.

    An answer that holds one keeps its tokens, which were paid for, and none of its words.
    """
    if isinstance(outcome, Fault):
        return replace(outcome, detail=mask(outcome.detail))
    if mask.holds(outcome.content, outcome.reasoning, outcome.refusal):
        return replace(
            outcome,
            content="",
            reasoning="",
            refusal="",
            logprobs=None,
            model=mask(outcome.model),
            finish_reason=HOLDS_KEY,
        )
    names = outcome.model, outcome.finish_reason
    model, finish_reason = map(mask, names)
    return (
        outcome
        if (model, finish_reason) == names
        else replace(outcome, model=model, finish_reason=finish_reason)
    )
