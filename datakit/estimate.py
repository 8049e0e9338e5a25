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
    pictures count by their size after scaling down, by the rule of the model's provider. Several endpoints
    count by their weights, each with its own model and price. None for steps that call no model.
    """
    if not annotator.asks_model and annotator.endpoint(context) is None:
        return None
    from datakit.core.tokens import count
    from datakit.llm.providers import provider_of
    from datakit.llm.transport import picture_tokens

    texts = sum(count(orjson.dumps(annotator.key_fields(row, context)).decode()) for row in rows)
    pictures = [path for row in rows for path in row.get("images") or ()]
    tokens_in, tokens_out, cost = 0.0, float(ANSWER_TOKENS * len(rows)), 0.0
    is_known = True
    for endpoint, share in context.llm.shares():
        provider = provider_of(endpoint)
        tokens = texts + sum(picture_tokens(provider, path) for path in pictures)
        price = provider.price()
        is_known = is_known and price is not None
        tokens_in += share * tokens
        cost += share * price.cost(tokens, round(tokens_out)) if price else 0.0
    return {"tokens_in": tokens_in, "tokens_out": tokens_out, "cost_usd": cost if is_known else None}
