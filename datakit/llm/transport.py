"""How questions travel: by calls (`calls.py`) or as lines of batch files (`batch/client.py`)."""

from __future__ import annotations

from typing import Any, Protocol

from datakit.core.errors import DatakitError
from datakit.core.image import ImageProblem, read_header
from datakit.core.settings import LlmSettings
from datakit.core.tokens import TokenCounter
from datakit.llm._faults import Fault
from datakit.llm._judge import Spent
from datakit.llm.answer import Answer
from datakit.llm.provider import Provider
from datakit.llm.request import Request, Turn

_TURN_TOKENS = 16
"""Of the chat's own frame around a question, at most."""


class Transport(Protocol):
    """Gets answers to single questions. Knows nothing of what an answer is worth."""

    settings: LlmSettings
    tokens: RequestTokens
    notes: dict[str, Any]
    """What the report must say about it."""
    marks: dict[str, Any]
    """What every outcome's account must say besides."""

    async def ask(self, request: Request, further: tuple[Turn, ...], spent: Spent) -> Answer | Fault:
        """One answer to a request with further turns, after as many tries as the settings allow.

        Raises StopProvider, BudgetSpent, UserError and ImageProblem.
        """
        ...

    def halt(self, error: DatakitError) -> None:
        """No call can succeed any more, or none can be paid: those that wait end with `error`."""
        ...

    async def close(self) -> None:
        """Gives connections back."""
        ...


class RequestTokens:
    """Input tokens of requests: Qwen's count of the texts, and each picture by its provider's rule."""

    def __init__(self, provider: Provider) -> None:
        self._provider, self._counter = provider, TokenCounter()

    def of(self, request: Request, further: tuple[Turn, ...] = ()) -> int:
        """Of one request with further turns."""
        texts = [request.system or "", request.text, *(turn["content"] for turn in further)]
        total = sum(self._counter.count(text) + _TURN_TOKENS for text in texts if text)
        return total + sum(picture_tokens(self._provider, path) for path in request.images)


def picture_tokens(provider: Provider, path: str) -> int:
    """Input tokens of a picture as it is sent; none for a broken one, which its step rejects."""
    try:
        header = read_header(path)
    except ImageProblem:
        return 0
    pixels = provider.settings.max_image_pixels
    scale = min(1.0, (pixels / (header.width * header.height)) ** 0.5)
    wide, high = max(1, round(header.width * scale)), max(1, round(header.height * scale))
    return provider.image_tokens(wide, high)
