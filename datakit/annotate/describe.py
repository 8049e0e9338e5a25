"""annotate.describe: an objective description of a record's pictures."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from datakit.core.outcome import Done, Outcome, Rejected
from datakit.core.tools import Tools
from datakit.core.transform import Annotator, Columns, Row
from datakit.llm import author, json_answer, offline
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.request import Request

FIELD = "description"


class Describe(Annotator):
    """Column `<into>` with a description of the pictures, and `<into>_by` with the name of its writer.

    The template is rendered for each record and sent with its pictures, scaled down to
    `llm.max_image_pixels`; the answer is a JSON object with the one text `description`. Records without
    pictures get null and cost nothing. Without an endpoint (`llm.provider`) the built-in offline writer
    composes the text from OCR lines, layout and light; it never looks at the label, and `<into>_by` says
    `offline-writer`.

    An answer is stored as it came, under a key of the rendered text, the pictures' content, the model and
    the temperature: another timeout, address or concurrency pays for nothing again, nor does a change of
    the template that leaves the rendered text as it was.

    Reasons of rejection: refused, content_filter, context_too_long, image_refused, image_* of a broken file.
    To be tried again: rate_limited, server_error, timed_out, connection_lost, answer_malformed,
    answer_truncated, answer_empty.
    """

    keyed: ClassVar[tuple[str, ...]] = ("temperature",)
    reading: ClassVar[int] = json_answer.VERSION
    executor: ClassVar[Literal["process", "async", "inline"]] = "async"
    optional: ClassVar[tuple[str, ...]] = offline.READS

    template: str = "ecom/describe.j2"
    """Template of the question. Its variables are the records' columns and those of the label file."""
    into: str = Field(default="description", pattern=r"^[A-Za-z_]\w*$")
    """Name of the column."""
    temperature: float = Field(default=0.3, ge=0, le=2)
    """Freedom of the model's wording; low, because a description should keep to what is seen."""
    max_tokens: int = Field(default=512, ge=16)
    """Longest answer. A longer one is asked for once more with twice the room. Not part of the key."""

    def templates(self) -> tuple[str, ...]:
        return (self.template,)

    def needs(self, tools: Tools) -> tuple[str, ...]:
        return author.needed(self.template, tools)

    def gives(self, tools: Tools) -> Columns:
        return {self.into: pl.String(), f"{self.into}_by": pl.String()}

    def key_settings(self, tools: Tools) -> Row:
        return author.key_settings(tools, FIELD, super().key_settings(tools))

    def key_fields(self, row: Row, tools: Tools) -> Any:
        if not row["images"]:
            return None
        return author.key_fields(self.template, row, tools, self._label(row, tools))

    def start(self, tools: Tools) -> Any:
        return _Describer(self, tools)

    def columns(self, raw: Any, row: Row, tools: Tools) -> Row | Rejected:
        if raw is None:
            return {self.into: None, f"{self.into}_by": None}
        text = author.text_of(raw, FIELD)
        return text if isinstance(text, Rejected) else {self.into: text, f"{self.into}_by": raw["by"]}

    def request(self, row: Row, tools: Tools) -> Request:
        """What is sent for a record."""
        text = author.rendered(self.template, row, tools, self._label(row, tools))
        return Request(
            text, tuple(row["images"]), AnswerSchema.line(FIELD), self.temperature, self.max_tokens
        )

    def _label(self, row: Row, tools: Tools) -> Any:
        """The label, when the template asks for it; the offline writer is never told."""
        if author.is_offline(tools) or "label_info" not in tools.templates.variables(self.template):
            return None
        found = author.label_of(row, tools)
        return None if isinstance(found, Rejected) else found


class _Describer(author.Author):
    def __init__(self, step: Describe, tools: Tools) -> None:
        super().__init__(tools)
        self._step, self._tools = step, tools

    async def answer(self, row: Row) -> Outcome:
        if not row["images"]:
            return Done(None)
        return await self.write(
            ask=lambda: self._step.request(row, self._tools),
            compose=lambda: offline.describe(row, self._tools.rng("annotate.describe", row["id"])),
        )
