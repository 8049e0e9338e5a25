"""What a call costs: USD per million tokens, by model, as OpenAI published them in June 2026."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from datakit.core.settings import LlmSettings


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens."""

    tokens_in: float
    tokens_out: float
    cached_in: float
    """Input tokens that the provider took from its prefix cache."""

    def cost(self, tokens_in: int, tokens_out: int, cached: int = 0) -> float:
        """USD for one call. `cached` tokens are part of `tokens_in`."""
        cached = min(cached, tokens_in)
        fresh = tokens_in - cached
        total = fresh * self.tokens_in + cached * self.cached_in + tokens_out * self.tokens_out
        return total / 1_000_000

    def times(self, factor: float) -> Price:
        """The price with a discount, such as that of batches."""
        return Price(self.tokens_in * factor, self.tokens_out * factor, self.cached_in * factor)


TABLE = {
    "gpt-4o": Price(2.50, 10.00, 1.25),
    "gpt-4o-mini": Price(0.15, 0.60, 0.075),
    "gpt-4.1": Price(2.00, 8.00, 0.50),
    "gpt-4.1-mini": Price(0.40, 1.60, 0.10),
    "gpt-4.1-nano": Price(0.10, 0.40, 0.025),
    "gpt-5": Price(1.25, 10.00, 0.125),
    "gpt-5-mini": Price(0.25, 2.00, 0.025),
    "gpt-5-nano": Price(0.05, 0.40, 0.005),
}


def price_of(settings: LlmSettings, table: Mapping[str, Price]) -> Price | None:
    """The price of the model in force: the recipe's own, else the table's; None when neither knows it.

    A dated name (`gpt-4o-mini-2024-07-18`) has the price of its family. A reseller's price may differ from
    the table's: give `price_in` and `price_out` then.
    """
    if settings.price_in is not None or settings.price_out is not None:
        inward = settings.price_in or 0.0
        cached = inward if settings.price_cached is None else settings.price_cached
        return Price(inward, settings.price_out or 0.0, cached)
    return table.get(family_of(settings.model))


def unknown_price(model: str) -> str:
    """The warning for a model whose price nobody gave."""
    return (
        f"The price of {model} is not known: its cost is not counted, run.budget_usd does not hold. "
        "Give llm.price_in and llm.price_out."
    )


def family_of(model: str) -> str:
    """The model's name without a date behind it."""
    if len(model) > 11 and model[-11] == "-" and model[-10:].replace("-", "").isdigit():
        return model[:-11]
    return model
