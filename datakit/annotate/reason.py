"""annotate.reason: why a record belongs to its label."""

from __future__ import annotations

from typing import Any, ClassVar

import polars as pl
from pydantic import Field, field_validator

from datakit.annotate._styles import has_style, styles_in
from datakit.core.errors import UserError
from datakit.core.labels import Label
from datakit.core.outcome import Outcome, Rejected
from datakit.core.record import repeat_of
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Asked, AsyncRowWorker, Columns, Executor, Row
from datakit.core.without_label import without_label
from datakit.llm import author, json_answer, offline
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.request import Request

FIELD = "reason"
STYLE = "style"


class Reason(Annotator):
    """Column `<into>` with the reason for the record's label, and `<into>_by` with the name of its writer.

    The template sees the record's own label as `label_info` (name, description, confusable_with) and is sent
    with the pictures; the answer is a JSON object with the one text `reason`. Without an endpoint
    (`llm.provider`) the built-in offline writer cites a line of OCR that holds one of the label's `keywords`,
    and a neighbour's keyword that stands nowhere; where there is none it says that no text decides. It words
    each record differently, in the language of the labels; `<into>_by` says `offline-writer`.

    A template that uses the variable `style` gets one of `styles`, a short instruction how to write, drawn
    by the recipe's seed and the record's id: reasons that are worded alike spoil training. Column
    `<into>_style` says which (null for the offline writer, which follows none). The style is part of the
    rendered text, so another list asks again for the records that get another style.

    Where balance.resample stands before this step, each repeat of a record is asked about on its own and gets
    another reason, in the next of the `styles`.

    Stored and keyed as in annotate.describe.

    Reasons of rejection: label_missing, label_unknown, findings_missing, refused, content_filter,
    image_refused, image_* of a broken file. To be tried again: as in annotate.describe.
    """

    keyed: ClassVar[tuple[str, ...]] = ("temperature",)
    reading: ClassVar[int] = json_answer.VERSION
    executor: ClassVar[Executor] = "event_loop"

    template: str = "ecom/reason.j2"
    """Template of the question. Its variables are the records' columns and those of the label file."""
    into: str = Field(default="reason", pattern=r"^[A-Za-z_]\w*$")
    """Name of the column."""
    temperature: float = Field(default=0.9, ge=0, le=2)
    """Freedom of the model's wording; high, because reasons that are too alike spoil training."""
    max_tokens: int = Field(default=512, ge=16)
    """Longest answer. A longer one is asked for once more with twice the room. Not part of the key."""
    names_label: bool = True
    """Whether the text may name its label. `false` is for findings in front of an impression: clauses with
    the label's name, or an alias of four characters or more, are left out of the stored answer, and a record
    of whose text nothing is left is rejected. Changing it pays for nothing."""
    styles: str | tuple[str, ...] = "ecom/styles.yaml"
    """Ways to write, of which each record gets one: a list, or the name of a YAML file among the templates
    with a list `styles:`. Only for templates that use the variable `style`."""

    @field_validator("styles")
    @classmethod
    def _some(cls, styles: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not styles or not all(map(str.strip, styles if isinstance(styles, tuple) else [styles])):
            raise ValueError("needs at least one style, none blank")
        return styles

    @property
    def asks_model(self) -> bool:
        return True

    def templates(self) -> tuple[str, ...]:
        return (self.template, self.styles) if isinstance(self.styles, str) else (self.template,)

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        needed = author.needed(self.template, context, given=(STYLE,))
        if self._has_style(context):
            self._all_styles(context)
        elif "styles" in self.model_fields_set:
            raise UserError(
                f"template `{self.template}` does not use the variable `style`, so `styles` has no effect",
                remedy="Write {{ style }} into the template, as ecom/reason.j2 does, or leave `styles` out.",
            )
        return tuple(sorted({"label", *needed}))

    def optional(self, context: StepContext) -> tuple[str, ...]:
        return offline.READS

    def outputs(self, context: StepContext) -> Columns:
        columns = {self.into: pl.String(), f"{self.into}_by": pl.String()}
        return {**columns, f"{self.into}_style": pl.String()} if self._has_style(context) else columns

    def questions(self) -> tuple[Asked, ...]:
        return (Asked(1, self.max_tokens),)

    def key_settings(self, context: StepContext) -> Row:
        return author.key_settings(context, FIELD, super().key_settings(context))

    def key_fields(self, row: Row, context: StepContext) -> Any:
        label = author.label_of(row, context)
        if isinstance(label, Rejected):
            labels_digest = context.labels.digest if context.labels else ""
            return {"no_label": row["label"], "labels": labels_digest}
        language = offline.language(context, self.into, self.template)
        fields = author.key_fields(row, context, label, lambda: self.request(row, context), language)
        return {**fields, "repeat": number} if (number := _repeat(row)) else fields

    def start(self, context: StepContext) -> AsyncRowWorker:
        return _Reasoner(self, context)

    def columns(self, raw: Any, row: Row, context: StepContext) -> Row | Rejected:
        text = author.text_of(raw, FIELD)
        if isinstance(text, Rejected):
            return text
        if not self.names_label:
            text = without_label(text, _known(row, context))
            if not text:
                return Rejected("findings_missing", "nothing but the label itself is stated in the findings")
        style = None if raw["by"] == offline.NAME else self.style(row, context)
        return {self.into: text, f"{self.into}_by": raw["by"], f"{self.into}_style": style}

    def style(self, row: Row, context: StepContext) -> str | None:
        """How the record's reason is to be written; None when the template does not ask."""
        if not self._has_style(context):
            return None
        styles = self._all_styles(context)
        first = context.rng("annotate.reason", STYLE, repeat_of(row["id"])[0]).choice(styles)
        return styles[(styles.index(first) + _repeat(row)) % len(styles)]

    def _has_style(self, context: StepContext) -> bool:
        return has_style(context.templates, self.template)

    def _all_styles(self, context: StepContext) -> tuple[str, ...]:
        is_template = isinstance(self.styles, str)
        return styles_in(context.templates, str(self.styles)) if is_template else tuple(self.styles)

    def request(self, row: Row, context: StepContext) -> Request:
        """What is sent for a record."""
        style = self.style(row, context)
        text = author.rendered(self.template, row, context, _known(row, context), style=style)
        images, schema = tuple(row["images"] or ()), AnswerSchema.line(FIELD)
        return Request(text, images, schema, self.temperature, self.max_tokens, sample=_repeat(row))


class _Reasoner(author.TextGenerator):
    def __init__(self, step: Reason, context: StepContext) -> None:
        super().__init__(context)
        self._step, self._context = step, context

    async def answer(self, row: Row) -> Outcome:
        label = author.label_of(row, self._context)
        if isinstance(label, Rejected):
            return label
        return await self.write(
            ask=lambda: self._step.request(row, self._context),
            compose=lambda: offline.reason(
                row,
                label,
                self._context.rng("annotate.reason", row["id"]),
                offline.neighbours(label, self._context.labels),
                offline.language(self._context, self._step.into, self._step.template),
            ),
        )


def _repeat(row: Row) -> int:
    """Which repeat of its record a row is; 0 for the first."""
    return repeat_of(row["id"])[1] - 1


def _known(row: Row, context: StepContext) -> Label:
    label = author.label_of(row, context)
    assert isinstance(label, Label)  # `answer` turned the others away
    return label
