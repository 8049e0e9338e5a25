"""The most that a build can come to, by step: every answer is repaired, tried again and written anew.

An answer counts when it came; what failed on the way is asked again and costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from datakit.core.errors import DatakitError
from datakit.core.step_context import StepContext
from datakit.core.tokens import count
from datakit.core.transform import Annotator, Asked, Row
from datakit.llm.client import MOST_ANSWERS
from datakit.llm.prices import Price
from datakit.llm.providers import provider_of
from datakit.llm.transport import picture_tokens

_REPAIR_TOKENS = 300
"""Of the words that ask for another form, and of the chat's frame around them."""
_LINES_TOKENS = 2000
"""Of what work on this machine still has to find in a record, such as its OCR text."""


@dataclass
class Bounds:
    """The bounds of one plan. Steps are told in their order: later ones read what earlier ones write."""

    context: StepContext
    _longest_in: int = 0
    """Input tokens of the longest question so far."""
    _unwritten: int = 0
    """Tokens of the texts that earlier steps have still to write for a record."""

    def calls(self, annotator: Annotator, results: int) -> int:
        """Answers, or pieces of work on this machine, for so many results."""
        times = sum(question.times for question in annotator.questions())
        return results * times * MOST_ANSWERS if times and self._asks(annotator) else results

    def usd(self, annotator: Annotator, results: int, rows: list[Row]) -> float | None:
        """The highest price of so many results; None when the model's price is not known.

        `rows` are some records that need one; the longest stands for all, and for those whose input is not
        known yet the longest question of earlier steps.
        """
        if not self._asks(annotator):
            self._unwritten += _LINES_TOKENS * (results > 0)
            return 0.0
        questions = annotator.questions()
        tokens_in = self._tokens_in(annotator, rows) + self._unwritten
        self._longest_in = max(self._longest_in, tokens_in)
        self._unwritten += sum(self._most_out(question) for question in questions) * (results > 0)
        prices = [provider_of(each).price() for each in self.context.llm.each_endpoint()]
        known = [price for price in prices if price is not None]
        if not questions or len(known) < len(prices):
            return None
        worst = max(
            sum(question.times * self._worst_usd(price, tokens_in, question) for question in questions)
            for price in known
        )
        run = self.context.run
        return results * worst * (self.context.llm.batch_price_factor if run.is_batch else 1.0)

    def _most_out(self, question: Asked, times: int = 2) -> int:
        """Tokens of the longest answer to a question that is asked with so many times its room."""
        return self.context.llm.most_answer_tokens(times * question.max_tokens)

    def _worst_usd(self, price: Price, tokens_in: int, question: Asked) -> float:
        """Of one question: cut off at its limit, asked with twice the room, not in its form, and repaired."""
        first, longer = self._most_out(question, 1), self._most_out(question)
        repaired = price.cost(tokens_in + longer + _REPAIR_TOKENS, longer)
        return price.cost(tokens_in, first) + price.cost(tokens_in, longer) + repaired

    def _asks(self, annotator: Annotator) -> bool:
        return annotator.asks_model and self.context.llm.resolved_provider() != "offline"

    def _tokens_in(self, annotator: Annotator, rows: list[Row]) -> int:
        context = self.context
        sources = sum(count(context.templates.source(name)) for name in annotator.templates())
        found = [self._longest_in, sources]
        providers = [provider_of(endpoint) for endpoint in context.llm.each_endpoint()]
        for row in rows:
            try:
                texts = count(str(annotator.key_fields(row, context)))
            except DatakitError:
                continue  # the build meets it too, and says so in its place
            paths = row.get("images") or ()
            pictures = (sum(picture_tokens(provider, path) for path in paths) for provider in providers)
            found.append(texts + max(pictures))
        return max(found) + _REPAIR_TOKENS
