"""What a model said, as every provider's decoding gives it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer that arrived whole."""

    content: str
    refusal: str = ""
    finish_reason: str = "stop"
    """`stop`, `length` for one that was cut off, `content_filter` for one that was withheld."""
    model: str = ""
    """The model, as the server names it."""
    tokens_in: int = 0
    tokens_out: int = 0
    cached: int = 0
    """Of `tokens_in`, those from the provider's prefix cache."""
