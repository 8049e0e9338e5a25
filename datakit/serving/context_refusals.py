"""What a server says of the context when it refuses a request: how many tokens it has left for the answer.

The words are those of vLLM 0.4 to 0.32 and of SGLang, which differ by version. Newer vLLM shortens the answer
by itself where it refuses nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CONTEXT = re.compile(r"context length (?:is|of) (?:only )?(\d+)")
_PROMPT = re.compile(
    r"\((\d+) in the messages|(?:has|passed|contains) (\d+) input tokens|(\d+) tokens from the input messages"
)
_AT_LEAST = re.compile(r"contains at least (\d+) input tokens|contains \d+ characters \(more than")


@dataclass(frozen=True)
class Refusal:
    """A prompt and an answer that do not fit together."""

    context: int
    """Tokens that the server takes."""
    prompt: int | None
    """Tokens of the prompt; None where the server stopped counting before its end."""

    @property
    def room(self) -> int | None:
        """Tokens that are left for an answer; 0 and less where the prompt alone is too long."""
        return None if self.prompt is None else self.context - self.prompt


def read_refusal(detail: str) -> Refusal | None:
    """What a refusal says; None for one that gives no figures."""
    context = _CONTEXT.search(detail)
    if context is None:
        return None
    prompt = _PROMPT.search(detail)
    if prompt is not None:
        return Refusal(int(context[1]), int(next(filter(None, prompt.groups()))))
    least = _AT_LEAST.search(detail)
    if least is None or int(least[1] or 0) > int(context[1]):
        return None
    return Refusal(int(context[1]), None)
