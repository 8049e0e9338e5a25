"""annotate.reason: why a record belongs to its label."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field, field_validator

from datakit.annotate._declines import SCHEMA, VARIABLE, Decline, may_be_told, reason_or_decline, rejected
from datakit.annotate._styles import has_style, styles_in
from datakit.core.errors import UserError
from datakit.core.labels import Label
from datakit.core.outcome import Outcome, Rejected
from datakit.core.record import BETTER, DECLINED, repeat_of
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

    With `may_decline` the template lets the model say that the picture does not support the label, and which
    it would give instead: `{"supported": false, "better": <label>, "reason": <why>}`. No reason is written
    then. `<into>_better` is that label in its canonical spelling, null where the model names none of the set;
    `<into>_declined` is what it says, null for records that have a reason. curate.suspects makes findings of
    them. The offline writer never declines.

    Stored and keyed as in annotate.describe; without `may_decline` the keys are those of recipes before it.

    Reasons of rejection: label_missing, label_unknown, findings_missing, reason_declined, refused,
    content_filter, image_refused, image_* of a broken file. To be tried again: as in annotate.describe.
    """

    of_one_task: ClassVar[bool] = True
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

    may_decline: bool = False
    """Whether the model may decline to give a reason for a label that the picture does not support. Only for
    templates that use the variable `may_decline`, as the shipped ones do."""
    on_decline: Literal["keep", "reject"] = "keep"
    """What becomes of a record whose label the model declines. `keep`: it goes on without a reason, so that
    curate.suspects can name it; render.chat rejects it (reason_declined) where its answer needs the reason,
    and writes the label alone where `reason` is `optional`. `reject` drops it at once, by the same word.
    Changing it pays for nothing."""

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
        needed = author.needed(self.template, context, given=(STYLE, VARIABLE))
        if self.may_decline and not may_be_told(context.templates, self.template):
            raise UserError(
                f"template `{self.template}` does not use the variable `{VARIABLE}`: the model is not told "
                "how to decline",
                remedy="Write `{% if may_decline %}…{% endif %}` into it, as ecom/reason.j2 does, or leave "
                "`may_decline` out.",
            )
        if not self.may_decline and "on_decline" in self.model_fields_set:
            raise UserError(
                "`on_decline` has no effect: the model may not decline",
                remedy="Set `may_decline: true`, or leave `on_decline` out.",
            )
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
        if self._has_style(context):
            columns[f"{self.into}_style"] = pl.String()
        if self.may_decline:
            columns |= {f"{self.into}{BETTER}": pl.String(), f"{self.into}{DECLINED}": pl.String()}
        return columns

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
        if self.may_decline:
            fields = {**fields, VARIABLE: True}  # answers have another form
        return {**fields, "repeat": number} if (number := _repeat(row)) else fields

    def start(self, context: StepContext) -> AsyncRowWorker:
        return _Reasoner(self, context)

    def columns(self, raw: Any, row: Row, context: StepContext) -> Row | Rejected:
        text = self._stated(raw, row, context)
        if isinstance(text, Rejected):
            return text
        style = None if raw["by"] == offline.NAME else self.style(row, context)
        own: Row = {f"{self.into}_by": raw["by"], f"{self.into}_style": style}
        if isinstance(text, Decline):
            declined = {f"{self.into}{BETTER}": text.better, f"{self.into}{DECLINED}": text.says}
            return rejected(text) if self.on_decline == "reject" else {self.into: None, **own, **declined}
        if not self.names_label:
            text = without_label(text, _known(row, context))
            if not text:
                return Rejected("findings_missing", "nothing but the label itself is stated in the findings")
        none = dict.fromkeys((f"{self.into}{BETTER}", f"{self.into}{DECLINED}")) if self.may_decline else {}
        return {self.into: text, **own, **none}

    def _stated(self, raw: Any, row: Row, context: StepContext) -> str | Decline | Rejected:
        """The reason of a stored result, or why the model declines to give one."""
        if not self.may_decline or "text" in raw:
            return author.text_of(raw, FIELD)
        values = author.values_of(raw, SCHEMA)
        if isinstance(values, Rejected):
            return values
        language = context.language(self.into, self.template)
        stated = reason_or_decline(values, _known(row, context), context.labels, language)
        return stated or Rejected(author.NOT_READ, "the answer supports the label and gives no reason")

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
        own = {STYLE: style, VARIABLE: self.may_decline}
        text = author.rendered(self.template, row, context, _known(row, context), **own)
        images, schema = tuple(row["images"] or ()), SCHEMA if self.may_decline else AnswerSchema.line(FIELD)
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
