"""One question to a served model, turn by turn, and what its answer states.

Who carries the requests is left open: `serve.endpoint` here, a plain HTTP client in a bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from datakit.artifacts.predictions import REFUSED, THINKING_CUT, Prediction
from datakit.core.answer import LABEL, AnswerFormat
from datakit.core.answer import Answer as FormAnswer
from datakit.core.answer_forms import ContractFormat
from datakit.core.guided import FREE_CHARS, any_of, literal
from datakit.core.labels import LabelSet
from datakit.core.tokens import IMAGE
from datakit.llm.answer import Answer, parted_reply
from datakit.llm.thoughts import Parted, has_tag
from datakit.serving.confidence import label_probabilities, tokens_of

TOP_LOGPROBS = 20
"""Most that vLLM and OpenAI give by default."""
_THINKS = (
    "serve it without thinking (its chat template's enable_thinking: false), or give it more room "
    "(--max-answer-tokens, in Python max_answer_tokens of Classifier)"
)
_FREE = f"[^\\n]{{1,{FREE_CHARS}}}"
"""A free text of the answer: one line, as the templates' own form asks for."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the server."""

    text: str
    """As it came, with the thinking that stands in it."""
    finish_reason: str
    logprobs: Any
    """As the server gives them: JSON of any form."""
    tokens_in: int | None
    tokens_out: int | None
    seconds: float
    token_ids: tuple[int, ...] = ()
    """The prompt's token ids, when they were asked for and the server gives them."""
    thinking: str = ""
    """What the server hands over beside the text."""
    refusal: str = ""

    @classmethod
    def of(cls, answer: Answer, seconds: float) -> Reply:
        """The reply that an answer is."""
        return cls(
            text=answer.content,
            finish_reason=answer.finish_reason,
            logprobs=answer.logprobs,
            tokens_in=answer.tokens_in or None,
            tokens_out=answer.tokens_out or None,
            seconds=seconds,
            token_ids=answer.prompt_token_ids,
            thinking=answer.reasoning,
            refusal=answer.refusal,
        )

    def parted(self, form: AnswerFormat | None = None) -> Parted:
        """Answer and thinking; all of it is the answer where `form` has the tags of thinking in it."""
        if form is not None and any(has_tag(text) for text in form.turns[-1].constants):
            return Parted(self.text, self.thinking)
        return parted_reply(self.text, self.thinking, self.finish_reason)


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
        parted = self.reply.parted(form)
        answer = form.parse(parted.answer, labels)
        problem, detail = self._problem(parted, answer)
        probabilities = None
        if labels is not None:
            form = form.fitting(parted.answer)
            probabilities = label_probabilities(tokens_of(self.reply.logprobs), form, labels)
        label = answer.label
        if probabilities is not None and label is not None:
            probabilities = {name: round(value, 6) for name, value in probabilities.items()}
        true_label = labels.find(truth) if labels is not None and truth is not None else None
        return Prediction(
            id=self.id,
            label=true_label.name if true_label is not None else truth,
            predicted=label,
            values=dict(answer.values) if label is None and not problem else None,
            confidence=probabilities.get(label) if probabilities and label else None,
            probabilities=probabilities if label is not None else None,
            problem=problem,
            detail=detail,
            answer=parted.answer,
            thinking=parted.thinking,
            reason=answer.reason,
            images=images,
            model=model,
            tokens_in=self.tokens_in,
            tokens_out=self.tokens_out,
            seconds=self.seconds,
        )

    def _problem(self, parted: Parted, answer: FormAnswer) -> tuple[str, str]:
        """The word and the sentence for an answer that states nothing; "" and "" for one that does."""
        reply = self.reply
        if parted.cut:
            return THINKING_CUT, f"the model was still thinking{self._at}; {_THINKS}"
        if not parted.answer.strip() and reply.refusal.strip():
            return REFUSED, f"the model refused: {reply.refusal.strip()[:200]}"
        if not parted.answer.strip() and reply.finish_reason == "content_filter":
            return REFUSED, "the server's content filter withheld the answer"
        if answer.problem and reply.finish_reason == "length":
            return answer.problem, f"{answer.detail}; it was cut off{self._at}"
        return answer.problem, answer.detail

    @property
    def _at(self) -> str:
        return "" if self.tokens_out is None else f" at {self.tokens_out} tokens"


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
        pictures = list(self.pictures)
        tokens_in = tokens_out = 0
        seconds = 0.0
        for number, user in enumerate(self.users):
            messages.append({"role": "user", "content": _parts(user, pictures)})
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
            messages.append({"role": "assistant", "content": reply.parted().answer})
        return Asked(self.id, reply, tokens_in or None, tokens_out or None, round(seconds, 3))


def contents(messages: Sequence[Mapping[str, str]]) -> tuple[str | None, tuple[str, ...]]:
    """The system turn and the user turns of a rendered chat."""
    system = next((turn["content"] for turn in messages if turn["role"] == "system"), None)
    return system, tuple(turn["content"] for turn in messages if turn["role"] == "user")


def closed_form(form: AnswerFormat, names: Sequence[str]) -> dict[str, Any] | None:
    """vLLM's `structured_outputs` for the last turn: its constants, free texts, and one of the labels.

    Of several forms, which a split's prompts ask for, each is allowed. None where any text is an answer.
    """
    if isinstance(form, ContractFormat):
        return any_of([contract.guide(names) for contract in form.contracts])
    turn = form.turns[-1]
    if turn.variables == (LABEL,):
        return {"choice": [turn.render({LABEL: name}).strip() for name in names]}
    pieces = [literal(turn.constants[0].lstrip())]
    for at, name in enumerate(turn.variables):
        last = at == len(turn.variables) - 1
        after = turn.constants[at + 1]
        pieces.append(f"({'|'.join(literal(label) for label in names)})" if name == LABEL else _FREE)
        pieces.append(literal(after.rstrip() if last else after))
    return {"regex": "".join(pieces)}


def _parts(text: str, images: list[str]) -> str | list[dict[str, Any]]:
    """The turn as a server takes it: pictures where `<image>` stands. Takes them from `pictures`."""
    if IMAGE not in text:
        return text
    content: list[dict[str, Any]] = []
    first, *rest = text.split(IMAGE)
    if first:
        content.append({"type": "text", "text": first})
    for piece in rest:
        content.append({"type": "image_url", "image_url": {"url": images.pop(0)}})
        if piece:
            content.append({"type": "text", "text": piece})
    return content
