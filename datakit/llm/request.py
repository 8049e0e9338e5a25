"""What is asked of a model, and what came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from datakit.core.outcome import Rejected, Retry
from datakit.llm.answer_schema import AnswerSchema

IMAGE_PLACE = "<image>"

Turn = dict[str, Any]
"""A message of a chat: `role` and `content`."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question with its pictures. The pictures are read when the request is sent, not before."""

    text: str
    """The question. Pictures stand where `<image>` stands, else behind the text, so that requests that
    begin alike share the provider's prefix cache; before it with `image_first`."""
    images: tuple[str, ...]
    """Absolute paths."""
    schema: AnswerSchema
    """The answer is a JSON object of this form."""
    temperature: float
    max_tokens: int
    system: str | None = None
    """A system turn in front: constant text belongs here, where caches keep it."""
    image_first: bool = False
    """Pictures in front of the text: several questions about one picture then share its cached prefix."""
    sample: int = 0
    """Tells apart the answers that are wanted to one and the same question: each is asked for on its own."""
    body: Mapping[str, Any] = field(default_factory=dict)
    """Fields that are sent as they are, in place of turns made of text and pictures and of the wish for JSON:
    `messages`, `logprobs`. For a model that is asked as its training asked; text and pictures then serve to
    count what goes in."""


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer that was read."""

    raw: str
    """What the model wrote."""
    values: dict[str, Any]
    """The values that the schema names."""
    model: str
    """The model, as the server names it."""
    finish_reason: str
    tokens_in: int
    """Of all calls that led to the answer: a repair or a repeat costs too."""
    tokens_out: int
    tokens_cached: int
    cost_usd: float | None
    """None when the price of the model is not known."""
    seconds: float
    calls: int
    """Requests that the server answered."""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The first value as text."""
        return str(next(iter(self.values.values())))


class ModelClient(Protocol):
    """Something that answers requests."""

    @property
    def notes(self) -> dict[str, Any]:
        """What the report must say about it."""
        ...

    async def complete(self, request: Request) -> Completion | Rejected | Retry:
        """The answer, or why there is none. Raises StopProvider when no further call can succeed."""
        ...

    async def close(self) -> None:
        """Gives connections back."""
        ...


Part = str | int
"""A piece of text, or the number of a picture."""


def parts_of(request: Request) -> Sequence[Part]:
    """Text and pictures in the order in which they are sent.

    A text with one `<image>` for each picture says where they stand; otherwise the places are dropped and the
    pictures follow the text, or precede it when the request says so.
    """
    pieces = request.text.split(IMAGE_PLACE)
    if len(pieces) - 1 != len(request.images) or not request.images:
        images, text = range(len(request.images)), "".join(pieces)
        return [*images, text] if request.image_first else [text, *images]
    parts: list[Part] = []
    for number, piece in enumerate(pieces):
        if piece:
            parts.append(piece)
        if number < len(request.images):
            parts.append(number)
    return parts
