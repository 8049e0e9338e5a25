"""Tokens and cost of model calls that were never made, for `datakit plan`."""

from __future__ import annotations

from typing import Any

import orjson

from datakit.core.tools import Tools
from datakit.core.transform import Annotator, Row

ANSWER_TOKENS = 200
"""A description or reason of 100 to 250 Chinese characters, with its JSON around it."""


def estimate_calls(annotator: Annotator, rows: list[Row], tools: Tools) -> dict[str, float | None] | None:
    """Sums over the calls for some records: tokens_in, tokens_out, cost_usd (None when no price is known).

    The question is what reaches the step's key, which for a step that calls a model is the rendered request;
    pictures count by their size after scaling down, by the rule of the model's provider. None for steps that
    call no model.
    """
    if not annotator.asks_model:
        return None
    from datakit.core.tokens import count
    from datakit.llm.prices import price_of

    texts = (orjson.dumps(annotator.key_fields(row, tools)).decode() for row in rows)
    tokens_in = sum(count(text) for text in texts) + sum(_picture_tokens(row, tools) for row in rows)
    tokens_out = ANSWER_TOKENS * len(rows)
    price = price_of(tools.llm)
    cost = None if price is None else price.cost(tokens_in, tokens_out)
    return {"tokens_in": float(tokens_in), "tokens_out": float(tokens_out), "cost_usd": cost}


def _picture_tokens(row: Row, tools: Tools) -> int:
    return sum(_tokens_of(path, tools) for path in row.get("images") or ())


def _tokens_of(path: Any, tools: Tools) -> int:
    from datakit.core.image import ImageProblem, read_header
    from datakit.llm.image_tokens import picture_tokens

    try:
        header = read_header(path)
    except ImageProblem:
        return 0  # a broken picture is rejected by its step and costs nothing
    scale = min(1.0, (tools.llm.max_image_pixels / (header.width * header.height)) ** 0.5)
    return picture_tokens(tools.llm.model, round(header.width * scale), round(header.height * scale))
