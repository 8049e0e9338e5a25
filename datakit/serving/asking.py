"""One question to a served model, turn by turn, and what its answer states.

Who carries the requests is left open: `serve.endpoint` here, a plain HTTP client in a bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from datakit.artifacts.predictions import CUT, REFUSED, THINKING_CUT, Prediction, Turn
from datakit.core.answer import Answer as FormAnswer
from datakit.core.answer import AnswerFormat
from datakit.core.boxes import Box, Size
from datakit.core.labels import LabelSet
from datakit.core.tokens import IMAGE
from datakit.llm.answer import Answer, parted_reply
from datakit.llm.thoughts import Parted, has_tag
from datakit.serving.closed import ClosedForm
from datakit.serving.closed import closed_form as closed_form
from datakit.serving.confidence import label_probabilities, tokens_of
from datakit.serving.located import boxes_of, evidence_of, states_places

TOP_LOGPROBS = 20
"""Most that vLLM and OpenAI give by default."""
_THINKS = (
    "serve it without thinking (its chat template's enable_thinking: false), or give it more room "
    "(--max-answer-tokens, in Python max_answer_tokens of Classifier)"
)
RoomOf = Callable[[int, int], int]
"""A turn, counted from 0, and the tokens that the answers before it took -> tokens that it may take."""


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
    turns: tuple[Turn, ...] = ()
    """What each turn took."""
    size: Size | None = None
    """Of the upright picture that was asked about, at its own size; None for several or none."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Columns of the record, among them what OCR read."""

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
            tokens = tokens_of(self.reply.logprobs, parted.answer)
            probabilities = label_probabilities(tokens, form.fitting(parted.answer), labels)
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
            boxes=self._boxes(answer, form),
            evidence=self._evidence(answer, form),
            images=images,
            model=model,
            tokens_in=self.tokens_in,
            tokens_out=self.tokens_out,
            turns=self.turns,
            seconds=self.seconds,
        )

    def _boxes(self, answer: FormAnswer, form: AnswerFormat) -> list[dict[str, Any]] | None:
        """The boxes that an answer states, in pixels of its picture; None where answers have none."""
        if self.size is None or not states_places(form):
            return None
        return [_rounded(box).entry() for box in boxes_of(answer.values, form, self.size)] or None

    def _evidence(self, answer: FormAnswer, form: AnswerFormat) -> list[dict[str, Any]] | None:
        """The lines that an answer cites, and whether they hold; None where answers cite none."""
        if self.size is None or not states_places(form):
            return None
        lines = evidence_of(answer.values, form, self.size, self.columns)
        return [{**_rounded(line.box).entry(), "holds": line.holds} for line in lines] or None

    def _problem(self, parted: Parted, answer: FormAnswer) -> tuple[str, str]:
        """The word for an answer that states nothing, or ""; and a sentence, which tells of cut turns too."""
        problem, detail, last_is_told = self._of_last(parted, answer)
        words = [
            f"turn {number} of {len(self.turns)} was cut off at its {turn.room} tokens"
            for number, turn in enumerate(self.turns, 1)
            if turn.finish == CUT and not (last_is_told and number == len(self.turns))
        ]
        return problem, "; ".join(filter(None, (detail.rstrip(".") if words else detail, *words)))

    def _of_last(self, parted: Parted, answer: FormAnswer) -> tuple[str, str, bool]:
        """What the last turn's answer lacks, and whether the sentence says that it was cut."""
        reply = self.reply
        if parted.cut:
            return THINKING_CUT, f"the model was still thinking{self._at}; {_THINKS}", True
        if not parted.answer.strip() and reply.refusal.strip():
            return REFUSED, f"the model refused: {reply.refusal.strip()[:200]}", False
        if not parted.answer.strip() and reply.finish_reason == "content_filter":
            return REFUSED, "the server's content filter withheld the answer", False
        if answer.problem and reply.finish_reason == CUT:
            return answer.problem, f"{answer.detail.rstrip('.')}; it was cut off{self._at}", True
        return answer.problem, answer.detail, False

    @property
    def _at(self) -> str:
        """After how many tokens the last turn ended."""
        tokens = self.turns[-1].tokens_out if self.turns else self.tokens_out
        return "" if tokens is None else f" at {tokens} tokens"


def _rounded(box: Box) -> Box:
    """A box in hundredths of a pixel, for a file that people read."""
    left, top, right, bottom = (round(side, 2) for side in box.sides)
    return box._replace(sides=(left, top, right, bottom))


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
        max_tokens: int | RoomOf,
        structured: dict[str, Any] | ClosedForm | None,
    ) -> Asked:
        """The answer to the last turn. Raises what the server raises: NoAnswer, StopProvider.

        `max_tokens` is the same for each turn, or tells each turn's own.
        """
        messages: list[dict[str, Any]] = []
        if self.system:
            messages.append({"role": "system", "content": self.system})
        pictures = list(self.pictures)
        turns: list[Turn] = []
        seconds = 0.0
        for number, user in enumerate(self.users):
            messages.append({"role": "user", "content": _parts(user, pictures)})
            spent = sum(turn.tokens_out or turn.room for turn in turns)
            room = max_tokens if isinstance(max_tokens, int) else max_tokens(number, spent)
            body = self._body(model, messages, room, structured, last=number == len(self.users) - 1)
            reply = await server.chat(body)
            turns.append(
                Turn(
                    room=body["max_tokens"],  # less where the server had no more
                    tokens_in=reply.tokens_in,
                    tokens_out=reply.tokens_out,
                    finish=reply.finish_reason,
                )
            )
            seconds += reply.seconds
            messages.append({"role": "assistant", "content": reply.parted().answer})
        tokens_in = sum(turn.tokens_in or 0 for turn in turns)
        tokens_out = sum(turn.tokens_out or 0 for turn in turns)
        return Asked(self.id, reply, tokens_in or None, tokens_out or None, round(seconds, 3), tuple(turns))

    @staticmethod
    def _body(
        model: str,
        messages: list[dict[str, Any]],
        room: int,
        structured: dict[str, Any] | ClosedForm | None,
        *,
        last: bool,
    ) -> dict[str, Any]:
        """The request for the answer of a turn."""
        body: dict[str, Any] = {"model": model, "messages": messages, "temperature": 0, "max_tokens": room}
        if last:
            body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
            guide = structured.within(room) if isinstance(structured, ClosedForm) else structured
            if guide is not None:
                body["structured_outputs"] = guide
        return body


def contents(messages: Sequence[Mapping[str, str]]) -> tuple[str | None, tuple[str, ...]]:
    """The system turn and the user turns of a rendered chat."""
    system = next((turn["content"] for turn in messages if turn["role"] == "system"), None)
    return system, tuple(turn["content"] for turn in messages if turn["role"] == "user")


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
