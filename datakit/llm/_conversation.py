"""From a question to its outcome, whichever way it travels: by a call, or as a line of a batch file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from datakit.core.image import ImageProblem, read_header
from datakit.core.outcome import Rejected, Retry
from datakit.core.settings import LlmSettings
from datakit.core.tokens import TokenCounter
from datakit.llm._faults import Fault
from datakit.llm._judge import Answer, Spent, judge, repair_turns
from datakit.llm._payload import Turn
from datakit.llm.image_tokens import picture_tokens
from datakit.llm.request import Completion, Request

_TURN_TOKENS = 16
"""Of the chat's own frame around a question, at most."""

Ask = Callable[[Request, tuple[Turn, ...], Spent], Awaitable[Answer | Fault]]
"""One answer to a request with further turns, after as many tries as the settings allow."""


@dataclass(frozen=True)
class Conversation:
    """The questions that one request may take: once more when cut off, once more for the right form."""

    settings: LlmSettings
    ask: Ask
    _counter: TokenCounter = field(default_factory=TokenCounter)

    async def run(self, request: Request, spent: Spent) -> Completion | Rejected | Retry:
        """The answer, or why there is none. Passes on what `ask` raises."""
        answer = await self.ask(request, (), spent)
        if isinstance(answer, Answer) and answer.finish_reason == "length":
            request = replace(request, max_tokens=2 * request.max_tokens)
            answer = await self.ask(request, (), spent)
        if isinstance(answer, Fault):
            return self._given_up(answer, request, spent)
        outcome = judge(answer, request, spent)
        if not isinstance(outcome, Retry) or outcome.reason != "answer_malformed":
            return outcome
        answer = await self.ask(request, repair_turns(answer, request), spent)
        if isinstance(answer, Fault):
            return self._given_up(answer, request, spent)
        outcome = judge(answer, request, spent)
        if isinstance(outcome, Completion):
            outcome.facts["repaired"] = True
        return outcome

    def tokens(self, request: Request, further: tuple[Turn, ...]) -> int:
        """Input tokens of a request: Qwen's count of the texts, and each picture by its provider's rule."""
        texts = [request.system or "", request.text, *(turn["content"] for turn in further)]
        total = sum(self._counter.count(text) + _TURN_TOKENS for text in texts if text)
        return total + sum(
            _picture(self.settings.model, path, self.settings.max_image_pixels) for path in request.images
        )

    def _given_up(self, fault: Fault, request: Request, spent: Spent) -> Rejected | Retry:
        if fault.fate == "reject":
            detail = fault.detail
            if fault.reason == "context_too_long":
                count = self.tokens(request, ())
                detail += f" (about {count:,} tokens were sent, with room for {request.max_tokens:,} more)"
            return Rejected(fault.reason, detail, spent.meta())
        return Retry(fault.reason, fault.detail, spent.meta())


def _picture(model: str, path: str, max_pixels: int) -> int:
    try:
        header = read_header(path)
    except ImageProblem:
        return 0  # found again, and rejected, when the body is made
    scale = min(1.0, (max_pixels / (header.width * header.height)) ** 0.5)
    return picture_tokens(model, round(header.width * scale), round(header.height * scale))
