"""guard.prompt_length: no prompt or text beyond a number of characters or tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import polars as pl
from pydantic import Field, model_validator

from datakit.core.errors import UserError
from datakit.core.factored_chats import FactoredChats, SharedAffixes, expanded, roles_of
from datakit.core.outcome import Reject, reject_rows
from datakit.core.record import MESSAGES
from datakit.core.step_context import StepContext
from datakit.core.tokens import Template, TokenCounter, upper_bound
from datakit.core.transform import FactoredChatsWorker, Guard, Worker

MESSAGES_COLUMN = "messages"
_FRAME = 16
"""More tokens than the chat template puts around one turn, and than its default system turn has."""


class PromptLength(Guard):
    """The same records without those whose prompt is longer than allowed.

    Looks at rendered or read `messages`, or at another column of texts. Where `render.chat` makes the
    messages, it shortens and bounds them itself; this guard is for chats that came with the data, for mixed
    general data and for bounds on single columns. Nothing is cut: a record passes or is rejected.

    Reasons of rejection: prompt_too_long (the detail has both numbers), prompt_missing.
    """

    max_chars: int | None = Field(default=2500, ge=1)
    """Most characters, of the user turns together or of the column. null: no bound."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of Qwen-VL, without pictures: of all turns but the last answer, chat template included
    (`part: prompt`), or of all turns (`part: all`), or of the column's text alone."""
    part: Literal["prompt", "all"] = "prompt"
    """Which turns count: `prompt` leaves out the answers' characters and the last answer's tokens; `all` is
    what the trainer's `cutoff_len` cuts."""
    column: str = MESSAGES_COLUMN
    """The column looked at: `messages`, or a column of texts."""

    @model_validator(mode="after")
    def _has_a_bound(self) -> PromptLength:
        if self.max_chars is None and self.max_tokens is None:
            raise ValueError(
                "give `max_chars` or `max_tokens`: without either the guard lets everything pass"
            )
        return self

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return (self.column,)

    def start(self, context: StepContext, frame: pl.LazyFrame) -> Worker:
        dtype = frame.collect_schema()[self.column]
        if dtype not in (MESSAGES, pl.String):
            raise UserError(
                f"`{self.column}` holds {dtype}, neither messages nor texts",
                remedy="Name a column of texts with `column:`.",
            )
        return _Check(self, dtype == MESSAGES, context.chat_layout)


class _Check(FactoredChatsWorker):
    def __init__(self, guard: PromptLength, chats: bool, layout: Template) -> None:
        self.guard, self.chats = guard, chats
        self.counter = TokenCounter(template=layout)

    def factored(self, records: FactoredChats) -> tuple[FactoredChats, list[Reject]]:
        frame, column = records.frame, records.frame[self.guard.column]
        faults: dict[int, str] = {}
        chars = self._chars(column, records.shared)
        if self.guard.max_chars is not None:
            for at, size in enumerate(chars):
                if size is not None and size > self.guard.max_chars:
                    faults[at] = f"{size:,} characters, max_chars allows {self.guard.max_chars:,}"
        if self.guard.max_tokens is not None:
            whole = expanded(column, records.shared) if self.chats else column
            self._count_tokens(whole, faults, self.guard.max_tokens)
        missing = {at for at, size in enumerate(chars) if size is None}
        dropped = sorted(missing | faults.keys())
        if not dropped:
            return records, []
        rejects = [
            _missing(reject, self.guard.column) if at in missing else reject
            for at, reject in zip(dropped, self._rejects(frame[dropped], dropped, faults), strict=True)
        ]
        kept = frame.filter(~pl.int_range(frame.height, eager=True).is_in(dropped))
        return FactoredChats(kept, records.shared), rejects

    def _rejects(self, frame: pl.DataFrame, dropped: list[int], faults: dict[int, str]) -> list[Reject]:
        what = "the prompt" if self.chats else f"`{self.guard.column}`"
        return reject_rows(frame, "prompt_too_long", [f"{what} has {faults.get(at, '')}" for at in dropped])

    def _chars(self, column: pl.Series, shared: Sequence[SharedAffixes]) -> list[int | None]:
        """Characters of each record, null where there is nothing to look at."""
        if not self.chats:
            return column.str.len_chars().to_list()
        counted = pl.element().struct.field("content")
        if self.guard.part == "prompt":
            counted = counted.filter(pl.element().struct.field("role") == "user")
        sizes = pl.col("chat").list.eval(counted.str.len_chars()).list.sum()
        if shared and len(column):
            sizes += sum(
                len(start) + len(end)
                for role, (start, end) in zip(roles_of(column), shared, strict=True)
                if self.guard.part == "all" or role == "user"
            )
        sizes = pl.when(pl.col("chat").list.len() > 0).then(sizes)
        return column.alias("chat").to_frame().select(sizes).to_series().to_list()

    def _count_tokens(self, column: pl.Series, over: dict[int, str], most: int) -> None:
        """Adds records over the bound; one whose bytes rule that out is not encoded."""
        for at, value in enumerate(column.to_list()):
            if not value or self._most_tokens(value) <= most:
                continue
            tokens = self._tokens(value)
            if tokens > most:
                words = f"{tokens:,} tokens, max_tokens allows {most:,}"
                over[at] = f"{over[at]} and {words}" if at in over else words

    def _tokens(self, value: Any) -> int:
        if not self.chats:
            return self.counter.count(value)
        size = self.counter.chat(value)
        return size.prompt if self.guard.part == "prompt" else size.total

    def _most_tokens(self, value: Any) -> int:
        if not self.chats:
            return upper_bound(value)
        return sum(upper_bound(turn["content"]) + _FRAME for turn in value) + _FRAME


def _missing(reject: Reject, column: str) -> Reject:
    return replace(reject, reason="prompt_missing", detail=f"the record has no `{column}`")
