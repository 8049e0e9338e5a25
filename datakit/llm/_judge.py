"""What the body of an answer is worth: a completion, a reject, or something to try again.

Used for answers that come by call and for those that come in batch files.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from datakit.core.language import language_of
from datakit.core.outcome import Rejected, Retry
from datakit.llm.answer import HOLDS_KEY, Answer
from datakit.llm.json_answer import read
from datakit.llm.prices import Price
from datakit.llm.request import Completion, Request, Turn

_REPAIR = "上面的回答不是要求的格式。请把同样的内容只写成一个 JSON 对象：{example}，不要输出其他文字。"
_REPAIR_EN = (
    "That answer is not in the form that was asked for. Write the same content as one JSON object, "
    "with nothing around it: {example}"
)
_SHOWN_CHARS = 500


@dataclass
class Spent:
    """Tokens, money and calls on the way to one answer: a repair or a repeat costs too."""

    model: str
    tokens_in: int = 0
    tokens_out: int = 0
    cached: int = 0
    cost_usd: float | None = 0.0
    """None when the price of the model is not known."""
    answers: int = 0
    calls: int = 0
    """Requests that were sent, answered or not."""
    began: float = field(default_factory=time.perf_counter)

    def add(self, answer: Answer, price: Price | None) -> float:
        """Counts an answer; its price."""
        self.answers += 1
        self.tokens_in += answer.tokens_in
        self.tokens_out += answer.tokens_out
        self.cached += answer.cached
        cost = price.cost(answer.tokens_in, answer.tokens_out, answer.cached) if price else 0.0
        self.cost_usd = None if price is None or self.cost_usd is None else self.cost_usd + cost
        return cost

    def meta(self) -> dict[str, Any]:
        """For the store and for `datakit why`."""
        return {
            "model": self.model,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "tokens_cached": self.cached,
            "cost_usd": self.cost_usd,
            "seconds": round(time.perf_counter() - self.began, 3),
            "requests": self.calls,
        }


def judge(answer: Answer, request: Request, spent: Spent) -> Completion | Rejected | Retry:
    """What an answer that arrived whole is worth."""
    meta = spent.meta()
    if answer.finish_reason == HOLDS_KEY:
        words = "the answer repeats the key that the question was sent with, or a piece of it; it is not kept"
        return Rejected("answer_holds_key", words, meta)
    if answer.finish_reason == "content_filter":
        return Rejected("content_filter", "the provider's content filter withheld the answer", meta)
    if answer.refusal.strip():
        return Rejected("refused", f"the model refused: {answer.refusal[:200]}", meta)
    parted = answer.parted
    if parted.cut and answer.finish_reason == "length":
        detail = (
            f"the model was still thinking at {request.max_tokens} tokens; raise max_tokens of the step, "
        )
        detail += "or set llm.thinking: disabled"
        return Retry("thinking_cut", detail, {**meta, "raw": answer.content or answer.reasoning})
    if answer.finish_reason == "length":
        detail = f"still cut off at {request.max_tokens} tokens; raise max_tokens of the step. "
        detail += f"It began: {answer.content[:_SHOWN_CHARS]}"
        return Retry("answer_truncated", detail, {**meta, "raw": answer.content})
    if not answer.content.strip():
        return Retry("answer_empty", _nothing(answer), meta)
    values = read(answer.content, request.schema, request.text)
    if values is None:
        detail = f"no JSON like {request.schema.example()} in: {answer.content[:200]}"
        return Retry("answer_malformed", detail, {**meta, "raw": answer.content})
    return Completion(
        raw=answer.content,
        values=values,
        model=answer.model or spent.model,
        finish_reason=answer.finish_reason,
        tokens_in=spent.tokens_in,
        tokens_out=spent.tokens_out,
        tokens_cached=spent.cached,
        cost_usd=spent.cost_usd,
        seconds=meta["seconds"],
        calls=spent.answers,
    )


def _nothing(answer: Answer) -> str:
    """What an answer without words says of itself."""
    if answer.reasoning:
        return "the model thought and wrote nothing; set llm.thinking: disabled"
    ended = "" if answer.finish_reason == "stop" else f" (finish_reason {answer.finish_reason})"
    return f"the model wrote nothing{ended}"


def repair_turns(answer: Answer, request: Request) -> tuple[Turn, ...]:
    """The turns that ask once more for the same content in the right form."""
    repair = _REPAIR_EN if language_of([request.text]) == "en" else _REPAIR
    words = repair.format(example=request.schema.example())
    return {"role": "assistant", "content": answer.content}, {"role": "user", "content": words}
