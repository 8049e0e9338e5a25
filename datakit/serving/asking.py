"""One question to a served model, turn by turn, and what its answer states.

Who carries the requests is left open: `serve.endpoint` here, a plain HTTP client in a bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from datakit.artifacts.predictions import Prediction
from datakit.core.answer import LABEL, AnswerFormat
from datakit.core.answer_forms import ContractFormat
from datakit.core.guided import FREE_CHARS, literal
from datakit.core.labels import LabelSet
from datakit.core.tokens import IMAGE
from datakit.serving.confidence import label_probabilities, tokens_of

TOP_LOGPROBS = 20
"""Most that vLLM and OpenAI give by default."""
_FREE = f"[^\\n]{{1,{FREE_CHARS}}}"
"""A free text of the answer: one line, as the templates' own form asks for."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the server."""

    text: str
    finish_reason: str
    logprobs: dict[str, Any] | None
    tokens_in: int | None
    tokens_out: int | None
    seconds: float
    token_ids: tuple[int, ...] = ()
    """The prompt's token ids, when they were asked for and the server gives them."""


class ChatServer(Protocol):
    """What answers a request."""

    async def chat(self, body: dict[str, Any]) -> Reply:
        """The answer to one request."""
        ...


@dataclass(frozen=True)
class Asked:
    """A question that was answered."""

    id: str
    reply: Reply
    """Of the last turn."""
    tokens_in: int | None
    """Of all turns together."""
    tokens_out: int | None
    seconds: float

    def prediction(
        self,
        form: AnswerFormat,
        labels: LabelSet | None,
        truth: str | None,
        images: tuple[str, ...],
        model: str,
    ) -> Prediction:
        """What the answer states, with the label's probability where the server gave log-probabilities."""
        answer = form.parse(self.reply.text, labels)
        probabilities = None
        if labels is not None:
            form = form.fitting(self.reply.text)
            probabilities = label_probabilities(tokens_of(self.reply.logprobs), form, labels)
        label = answer.label
        detail = answer.detail
        if answer.problem and self.reply.finish_reason == "length":
            detail = f"{detail}; it was cut off at {self.tokens_out} tokens"
        if probabilities is not None and label is not None:
            probabilities = {name: round(value, 6) for name, value in probabilities.items()}
        known = labels.find(truth) if labels is not None and truth is not None else None
        return Prediction(
            id=self.id,
            label=known.name if known is not None else truth,
            predicted=label,
            confidence=probabilities.get(label) if probabilities and label else None,
            probabilities=probabilities if label is not None else None,
            problem=answer.problem,
            detail=detail,
            answer=self.reply.text,
            reason=answer.reason,
            images=images,
            model=model,
            tokens_in=self.tokens_in,
            tokens_out=self.tokens_out,
            seconds=self.seconds,
        )


@dataclass(frozen=True)
class Question:
    """A prompt with its pictures."""

    id: str
    system: str | None
    users: tuple[str, ...]
    """The user turns; each but the last is answered before the next is asked."""
    pictures: tuple[str, ...]
    """Data addresses, in the order of the `<image>` places."""

    async def ask(
        self,
        server: ChatServer,
        model: str,
        max_tokens: int,
        structured: dict[str, Any] | None,
    ) -> Asked:
        """The answer to the last turn. Raises what the server raises: NoAnswer, StopProvider."""
        messages: list[dict[str, Any]] = []
        if self.system:
            messages.append({"role": "system", "content": self.system})
        left = list(self.pictures)
        tokens_in = tokens_out = 0
        seconds = 0.0
        for number, user in enumerate(self.users):
            messages.append({"role": "user", "content": _parts(user, left)})
            last = number == len(self.users) - 1
            body: dict[str, Any] = {
                "model": model,
                "messages": messages,
                "temperature": 0,
                "max_tokens": max_tokens,
            }
            if last:
                body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
                if structured is not None:
                    body["structured_outputs"] = structured
            reply = await server.chat(body)
            tokens_in += reply.tokens_in or 0
            tokens_out += reply.tokens_out or 0
            seconds += reply.seconds
            messages.append({"role": "assistant", "content": reply.text})
        return Asked(self.id, reply, tokens_in or None, tokens_out or None, round(seconds, 3))


def contents(messages: Sequence[Mapping[str, str]]) -> tuple[str | None, tuple[str, ...]]:
    """The system turn and the user turns of a rendered chat."""
    system = next((turn["content"] for turn in messages if turn["role"] == "system"), None)
    return system, tuple(turn["content"] for turn in messages if turn["role"] == "user")


def closed_form(form: AnswerFormat, names: Sequence[str]) -> dict[str, Any] | None:
    """vLLM's `structured_outputs` for the last turn: its constants, free texts, and one of the labels.

    None where any text is an answer.
    """
    if isinstance(form, ContractFormat):
        return form.contract.guide(names)
    turn = form.turns[-1]
    if turn.variables == (LABEL,):
        return {"choice": [turn.render({LABEL: name}).strip() for name in names]}
    parts = [literal(turn.constants[0].lstrip())]
    for at, name in enumerate(turn.variables):
        last = at == len(turn.variables) - 1
        after = turn.constants[at + 1]
        parts.append(f"({'|'.join(literal(label) for label in names)})" if name == LABEL else _FREE)
        parts.append(literal(after.rstrip() if last else after))
    return {"regex": "".join(parts)}


def _parts(text: str, pictures: list[str]) -> str | list[dict[str, Any]]:
    """The turn as a server takes it: pictures where `<image>` stands. Takes them from `pictures`."""
    if IMAGE not in text:
        return text
    parts: list[dict[str, Any]] = []
    first, *rest = text.split(IMAGE)
    if first:
        parts.append({"type": "text", "text": first})
    for piece in rest:
        parts.append({"type": "image_url", "image_url": {"url": pictures.pop(0)}})
        if piece:
            parts.append({"type": "text", "text": piece})
    return parts
