"""annotate.ask: any question to a model, answered into one column or several."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

import polars as pl
from pydantic import BeforeValidator, Field, model_validator

from datakit.core.errors import did_you_mean
from datakit.core.outcome import Outcome, Rejected
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Asked, AsyncRowWorker, Columns, Executor, Row
from datakit.llm import author, json_answer
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.request import Request

_DTYPES: dict[str, Any] = {
    "text": pl.String(),
    "line": pl.String(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "list": pl.List(pl.String()),
}
_PLACES = frozenset({"id", "source_file", "source_line", "images"})


def _type(value: Any) -> Any:
    """Says in words what is no type; pydantic would report each part of the union."""
    if isinstance(value, list | tuple):
        return tuple(value)
    if value in _DTYPES:
        return value
    hint = did_you_mean(str(value), _DTYPES)
    types = ", ".join(_DTYPES)
    raise ValueError(f"{value!r} is no type. {hint} Types: {types}, or a list of texts to choose from.")


ColumnName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
ColumnType = Annotated[
    Literal["text", "line", "number", "boolean", "list"] | tuple[str, ...], BeforeValidator(_type)
]


class Ask(Annotator):
    """The columns of `answer`, or the one text column `into`, as a model answers the template's question.

    The template is rendered for each record and sent with its pictures, scaled down to
    `llm.max_image_pixels`; the model answers with a JSON object that has a value for each column. The
    template should name them: what servers without JSON schemas know of the form, they know from it.

    Types of `answer`: `text`; `line` (a text without line breaks); `number` (float); `boolean`; `list` (of
    texts, maybe empty); or a list of texts, of which the answer must be one. An answer of another form is
    asked for once more, then left to the next run.

    Answers are stored as they came, under a key of the rendered text, the pictures' content, the model, the
    temperature, `system` and the form that was asked for. There is no answer without a model: with the
    offline writer the recipe is refused before anything runs.

    Reasons of rejection and of another try: as in annotate.describe.
    """

    keyed: ClassVar[tuple[str, ...]] = ("temperature", "image_first")
    reading: ClassVar[int] = json_answer.VERSION
    example: ClassVar[Row | None] = {
        "template": "ecom/judge_picture.j2",
        "answer": {"kind": ["手机界面", "相机照片", "设计图"], "legible": "boolean", "doubt": "line"},
    }
    executor: ClassVar[Executor] = "event_loop"

    template: str
    """Template of the question. Its variables are the records' columns and those of the label file."""
    into: ColumnName | None = None
    """Name of the one column, a text. Several or other types: `answer`."""
    answer: dict[ColumnName, ColumnType] | None = Field(default=None, min_length=1)
    """Column -> its type: text, line, number, boolean, list, or a list of the texts to choose from."""
    system: str | None = Field(default=None, min_length=1)
    """Constant words in a system turn, in front of the question."""
    images: bool = True
    """Whether the record's pictures are sent. Without them a question costs a fraction, and the template
    sees none."""
    image_first: bool = False
    """Pictures in front of the text: several questions about one picture then share its cached prefix."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    """Freedom of the model's wording; none, because most questions have one answer."""
    max_tokens: int = Field(default=512, ge=16)
    """Longest answer. A longer one is asked for once more with twice the room. Not part of the key."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.into is None) == (self.answer is None):
            raise ValueError("give either `into` (the name of one text column) or `answer` (column: type)")
        clashes = sorted(_PLACES & set(self.form.names))
        if clashes:
            raise ValueError(f"the column `{clashes[0]}` says where a record comes from; choose another name")
        for name, kind in self.form.values:
            if isinstance(kind, tuple) and (len(set(kind)) < 2 or not all(map(str.strip, kind))):
                raise ValueError(f"`answer.{name}` needs at least two texts to choose from, none blank")
        return self

    @property
    def form(self) -> AnswerSchema:
        """The form of the answer."""
        return AnswerSchema.of(self.answer if self.answer is not None else {str(self.into): "text"})

    @property
    def asks_model(self) -> bool:
        return True

    def templates(self) -> tuple[str, ...]:
        return (self.template,)

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        author.need_model(self.name(), "answer questions", context)
        return author.needed(self.template, context)

    def outputs(self, context: StepContext) -> Columns:
        return {
            name: pl.String() if isinstance(kind, tuple) else _DTYPES[kind] for name, kind in self.form.values
        }

    def questions(self) -> tuple[Asked, ...]:
        return (Asked(1, self.max_tokens),)

    def key_settings(self, context: StepContext) -> Row:
        form = [[name, kind] for name, kind in self.form.values]
        pixels = context.llm.max_image_pixels
        own = {"writer": context.llm.model, "answer": form, "pixels": pixels}
        return {**super().key_settings(context), **context.llm.key_settings(), **own}

    def key_fields(self, row: Row, context: StepContext) -> Any:
        label = self._label(row, context)
        if isinstance(label, Rejected):
            return {"no_label": row["label"], "labels": context.labels.digest if context.labels else ""}
        return author.asked_fields(row, context, lambda: self.request(row, context))

    def start(self, context: StepContext) -> AsyncRowWorker:
        return _Asker(self, context)

    def columns(self, raw: Any, row: Row, context: StepContext) -> Row | Rejected:
        return author.values_of(raw, self.form)

    def request(self, row: Row, context: StepContext) -> Request:
        """What is sent for a record."""
        label = self._label(row, context)
        seen = row if self.images else {**row, "images": []}
        return Request(
            author.rendered(self.template, seen, context, None if isinstance(label, Rejected) else label),
            tuple(seen["images"] or ()),
            self.form,
            self.temperature,
            self.max_tokens,
            self.system,
            self.image_first,
        )

    def _label(self, row: Row, context: StepContext) -> Any:
        """The label, or why there is none; None when the template does not ask for it."""
        asks = "label_info" in context.templates.variables(self.template)
        return author.label_of(row, context) if asks else None


class _Asker(author.TextGenerator):
    def __init__(self, step: Ask, context: StepContext) -> None:
        super().__init__(context)
        self._step, self._context = step, context

    async def answer(self, row: Row) -> Outcome:
        label = self._step._label(row, self._context)
        if isinstance(label, Rejected):
            return label
        return await self.write(lambda: self._step.request(row, self._context))
