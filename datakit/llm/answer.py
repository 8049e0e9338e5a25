"""What a model said, as every provider's decoding gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datakit.llm.thoughts import Parted, parted

HOLDS_KEY = "answer_holds_key"
"""The `finish_reason` of an answer whose words were taken out, because a credential of ours stood in them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer that arrived whole."""

    content: str
    """As it came, with the thinking that stands in it."""
    refusal: str = ""
    finish_reason: str = "stop"
    """`stop`, `length` for one that was cut off, `content_filter` for one that was withheld, `tool_calls`;
    else the server's own word in small letters."""
    model: str = ""
    """The model, as the server names it."""
    tokens_in: int = 0
    """0 where the server does not count."""
    tokens_out: int = 0
    cached: int = 0
    """Of `tokens_in`, those from the provider's prefix cache."""
    reasoning: str = ""
    """Thinking that the server hands over beside the content."""
    logprobs: Any = None
    """Log-probabilities of the content's tokens, as the server gives them: JSON of any form."""
    prompt_token_ids: tuple[int, ...] = ()
    """The prompt's token ids, when they were asked for and the server gives them."""

    @property
    def is_withheld(self) -> bool:
        """Whether a filter, or the model itself, refused to answer."""
        return self.finish_reason == "content_filter" or bool(self.refusal.strip())

    @property
    def parted(self) -> Parted:
        """Answer and thinking."""
        return parted_reply(self.content, self.reasoning, self.finish_reason)


def parted_reply(content: str, reasoning: str = "", finish_reason: str = "stop") -> Parted:
    """Answer and thinking of one reply; thinking that used up all tokens was cut."""
    reply = parted(content)
    thinking = "\n".join(text for text in (reasoning.strip(), reply.thinking) if text)
    cut = reply.cut or bool(thinking and not reply.answer and finish_reason == "length")
    return Parted(reply.answer, thinking, cut)
