"""Tokens and cost of model calls that were never made, for `datakit plan`."""

from __future__ import annotations

import orjson

from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Row

ANSWER_TOKENS = 200
"""A description or reason of 100 to 250 Chinese characters, with its JSON around it."""


def estimate_calls(
    annotator: Annotator, rows: list[Row], context: StepContext
) -> dict[str, float | None] | None:
    """Sums over the calls for some records: tokens_in, tokens_out, cost_usd (None when no price is known).

    The question is what reaches the step's key, which for a step that calls a model is the rendered request;
    pictures count by their size after scaling down, by the rule of the model's provider. None for steps that
    call no model.
    """
    if not annotator.asks_model:
        return None
    from datakit.core.tokens import count
    from datakit.llm.providers import provider_of
    from datakit.llm.transport import picture_tokens

    provider = provider_of(context.llm)
    texts = (orjson.dumps(annotator.key_fields(row, context)).decode() for row in rows)
    tokens_in = sum(count(text) for text in texts) + sum(
        picture_tokens(provider, path) for row in rows for path in row.get("images") or ()
    )
    tokens_out = ANSWER_TOKENS * len(rows)
    price = provider.price()
    cost = None if price is None else price.cost(tokens_in, tokens_out)
    return {"tokens_in": float(tokens_in), "tokens_out": float(tokens_out), "cost_usd": cost}
