"""Prices: by family, date and gateway; half a price is filled or refused; a budget without one is refused."""

from __future__ import annotations

import pytest

from datakit.core.errors import UserError
from datakit.core.settings import LlmSettings
from datakit.llm.prices import TABLE, Price, check_budget, family_of, price_of


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("openai/gpt-4o-mini", "gpt-4o-mini"),
        ("openrouter/openai/gpt-4.1-2025-04-14", "gpt-4.1"),
        ("OpenAI/GPT-4o", "gpt-4o"),
        ("qwen-vl-max-2025-01-25", "qwen-vl-max"),
        ("qwen-vl-max-0809", "qwen-vl-max"),
        ("qwen-vl-max-latest", "qwen-vl-max"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("gpt-4o-audio-preview", "gpt-4o-audio-preview"),
        ("ft:gpt-4o-mini-2024-07-18:me::abc", "ft:gpt-4o-mini-2024-07-18:me::abc"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2.5-vl-7b-instruct"),
    ],
)
def test_family_is_the_name_without_gateway_and_date(model: str, family: str) -> None:
    assert family_of(model) == family


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("gpt-4o-2024-08-06", TABLE["gpt-4o"]),
        ("chatgw/openai/gpt-4o-mini-latest", TABLE["gpt-4o-mini"]),
        ("gpt-4o-2024-05-13", Price(5.0, 15.0, 5.0)),  # dearer than its family
        ("openai/gpt-4o-2024-05-13", Price(5.0, 15.0, 5.0)),
        ("ft:gpt-4o-mini-2024-07-18:me::abc", None),  # dearer than what it was made of
        ("Qwen/Qwen2.5-VL-7B-Instruct", None),
    ],
)
def test_price_is_that_of_the_version_else_of_the_family(model: str, price: Price | None) -> None:
    assert price_of(LlmSettings(model=model), TABLE) == price


def test_other_half_of_a_price_is_the_tables() -> None:
    assert price_of(LlmSettings(model="gpt-4o", price_in=1.0), TABLE) == Price(1.0, 10.0, 1.0)
    assert price_of(LlmSettings(model="openai/gpt-4o", price_out=4.0), TABLE) == Price(2.5, 4.0, 1.25)
    assert price_of(LlmSettings(model="gpt-4o", price_cached=0.1), TABLE) == Price(2.5, 10.0, 0.1)
    assert price_of(LlmSettings(model="mine", price_in=0.0, price_out=0.0), TABLE) == Price(0, 0, 0)


@pytest.mark.parametrize(("given", "missing"), [("price_in", "price_out"), ("price_out", "price_in")])
def test_half_a_price_of_an_unknown_model_is_refused(given: str, missing: str) -> None:
    with pytest.raises(UserError, match=f"llm.{given} is given and llm.{missing} is not"):
        price_of(LlmSettings(model="mine", **{given: 1.0}), TABLE)


def test_budget_without_a_price_is_refused_with_the_settings_that_mend_it() -> None:
    with pytest.raises(UserError, match=r"llm\.price_in and llm\.price_out") as error:
        check_budget("mine", None, 5.0)
    assert "mine" in str(error.value)
    check_budget("mine", None, None)
    check_budget("mine", Price(0, 0, 0), 5.0)
