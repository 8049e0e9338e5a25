"""Calls that were never made are reckoned from the request and the pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datakit.core.settings import LlmSettings
from datakit.core.step_context import StepContext
from datakit.estimate import ANSWER_TOKENS, estimate_calls
from tests.support.toys import AsyncWork, Work


class Describe(AsyncWork):
    """Keys on the text."""

    def key_fields(self, row: dict[str, Any], context: StepContext) -> Any:
        return {"text": row["text"]}


def test_text_and_scaled_pictures_are_counted(
    tmp_path: Path, make_context: Callable[..., StepContext]
) -> None:
    Image.new("RGB", (280, 280)).save(tmp_path / "small.png")
    Image.new("RGB", (4000, 4000)).save(tmp_path / "large.png")
    context = make_context(llm=LlmSettings(model="gpt-4o-mini", price_in=1.0, price_out=2.0))
    step = Describe(log="")
    plain = estimate_calls(step, [{"text": "字" * 50, "images": []}], context)
    assert plain is not None
    assert 25 <= (plain["tokens_in"] or 0) <= 70
    pictures = [str(tmp_path / "small.png"), str(tmp_path / "large.png"), str(tmp_path / "missing.png")]
    both = estimate_calls(step, [{"text": "字" * 50, "images": pictures}], context)
    assert both is not None
    assert both["tokens_in"] == plain["tokens_in"] + (2833 + 5667) + (2833 + 4 * 5667)  # type: ignore[operator]
    assert both["cost_usd"] == pytest.approx((both["tokens_in"] + 2 * ANSWER_TOKENS) / 1e6)  # type: ignore[operator]


def test_unknown_price_gives_no_cost_and_work_without_a_model_no_estimate(
    make_context: Callable[..., StepContext],
) -> None:
    context = make_context(llm=LlmSettings(model="my-own-model"))
    found = estimate_calls(Describe(log=""), [{"text": "a", "images": []}], context)
    assert found is not None
    assert found["cost_usd"] is None
    assert estimate_calls(Work(log=""), [{"text": "a"}], context) is None
