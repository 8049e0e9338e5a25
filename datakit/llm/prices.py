"""What a call costs: USD per million tokens, by model, as OpenAI published them in June 2026."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from datakit.core.errors import UserError
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
    "gpt-4o-2024-05-13": Price(5.00, 15.00, 5.00),
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

    Of half a price the other half is the table's. A name with a date (`gpt-4o-mini-2024-07-18`, `-latest`) or
    with a gateway's prefix (`openai/gpt-4o-mini`) has the price of its family, where it has none of its own.
    A reseller's price may differ from the table's: give `price_in` and `price_out` then. Raises UserError for
    half a price of a model that the table does not know.
    """
    name = settings.model.rpartition("/")[2].lower()
    listed = table.get(settings.model) or table.get(name) or table.get(family_of(settings.model))
    inward, outward = settings.price_in, settings.price_out
    if inward is None and outward is None:
        if listed is None or settings.price_cached is None:
            return listed
        return replace(listed, cached_in=settings.price_cached)
    if listed is None and (inward is None or outward is None):
        given, missing = ("price_in", "price_out") if outward is None else ("price_out", "price_in")
        raise UserError(
            f"llm.{given} is given and llm.{missing} is not, and the price table does not know "
            f"{settings.model}",
            remedy=f"Give llm.{missing} too; 0 for tokens that cost nothing.",
        )
    known_in = inward if inward is not None or listed is None else listed.tokens_in
    known_out = outward if outward is not None or listed is None else listed.tokens_out
    assert known_in is not None  # seen to above
    assert known_out is not None
    cached = settings.price_cached
    if cached is None:
        cached = listed.cached_in if listed is not None and inward is None else known_in
    return Price(known_in, known_out, cached)


def unknown_price(model: str) -> str:
    """The warning for a model whose price nobody gave."""
    return f"The price of {model} is not known: its cost is not counted. Give llm.price_in and llm.price_out."


def check_budget(model: str, price: Price | None, budget_usd: float | None) -> None:
    """Raises UserError for a budget that cannot hold, because nobody knows what a call costs."""
    if budget_usd is not None and price is None:
        raise UserError(
            f"the budget of ${budget_usd:g} cannot hold: the price of {model} is not known",
            remedy="Give llm.price_in and llm.price_out (USD per million tokens; 0 for your own server), "
            "or leave the budget out.",
        )


_DATE = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|\d{6}|\d{4}|latest)$")


def family_of(model: str) -> str:
    """The model's name without a gateway's or owner's prefix before it and a date, or `latest`, behind it."""
    return _DATE.sub("", model.rpartition("/")[2].lower())
