"""guard.personal_data: records whose texts name nobody: numbers, addresses and names are masked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Literal, Self

import polars as pl
from pydantic import field_validator, model_validator

from datakit.core.blocks import Section, Table, Text
from datakit.core.blur import BLUR, BLUR_COLUMN
from datakit.core.chat_columns import chat_columns
from datakit.core.errors import UserError, did_you_mean
from datakit.core.factored_chats import CHATS
from datakit.core.outcome import Batch, reject_rows
from datakit.core.personal import LEFT_UNSEEN, PERSONAL, WORDS
from datakit.core.record import MESSAGES
from datakit.core.step_account import StepAccount
from datakit.core.step_context import StepContext
from datakit.core.transform import (
    Annotator,
    BatchWorker,
    Columns,
    Guard,
    Reader,
    Renderer,
    Row,
    Transform,
    Worker,
)
from datakit.core.wording import later, t
from datakit.guard._personal_record import TEXT_KEYS, Found, RecordMasker
from datakit.personal.spans import KINDS, Kind

_LINE = pl.Struct({"text": pl.String, "score": pl.Float64, "box": pl.List(pl.Float64), "image": pl.UInt32})
_BOXES = pl.List(
    pl.Struct({"image": pl.UInt32, "box": pl.List(pl.Float64), "label": pl.String, "text": pl.String})
)
_USUAL = {"ocr": pl.List(_LINE), "boxes": _BOXES, "messages": MESSAGES}
"""Columns of a usual name that hold other than texts."""
_DONE = {
    "mask": later("{records:,} of {all:,} records hold some; masked in the texts."),
    "report": later("{records:,} of {all:,} records hold some; left as they are."),
    "reject": later("{records:,} of {all:,} records hold some; reasons of rejection."),
}
_BESIDE = ("_by", "_style", "_better")
"""Endings of columns that annotators give beside a text and that hold none."""


class PersonalData(Guard):
    """The same records, the personal data in their texts masked, told, or a reason for rejection.

    Found are, in Chinese texts first and in what OCR makes of them (full-width signs, O for 0, l for 1,
    spaces in numbers, an address over two lines):

    - phone: mobile, landline, numbers of other countries; 138****5678. Service numbers (400…) stay
    - id_number: 18 digits with the check digit of GB 11643, 15 where words name them; 1****************4
    - bank_card: 15 to 19 digits that begin as banks' do and pass Luhn's check; 6222***********0128
    - courier: a carrier's letters with their digits (SF…), or digits behind 快递单号; SF****0123
    - email: z***@qq.com
    - plate: licence plates, those of new-energy vehicles too; 京A****
    - address: from a district's street down to a room; 浙江省杭州市西湖区****
    - name: behind words that announce one (收件人), before a title (先生), beside a telephone number; 张*

    What is masked already is found no more, so the guard may stand twice. A number behind 订单, 编号, 条码
    and the like is none of a person, and neither are prices, dates and time stamps. A name or a number that
    one column names is masked in all later columns of `fields` too, so that reason and OCR agree; the lines
    that OCR read and their text count as one. Boxes stay where they are.

    Records carry `personal_data`, the kinds that were found (empty for none). With `mode: mask` a served
    record is masked in the same way before its prompt is written. Put the guard behind the last step that
    writes texts and before the renderer: models that write them read the pictures as they are.

    Reasons of rejection: personal_data (`mode: reject`).
    """

    example: ClassVar[dict[str, Any]] = {"fields": ["ocr", "ocr_text", "description", "reason"], "blur": True}

    find: tuple[Kind, ...] = KINDS
    """The kinds that are looked for."""
    fields: tuple[str, ...] | None = None
    """Columns of texts, of OCR's lines, of boxes with texts, or `messages`; each hands what it names to those
    behind it. null: `text`, and the columns that earlier steps read or wrote. Columns of prompts and answers
    that nobody looks at are told."""
    mode: Literal["mask", "report", "reject"] = "mask"
    """`mask` puts stars in the place of what is found, `report` leaves it and counts, `reject` drops the
    record."""
    blur: bool = False
    """With `mask`: emitters write the pictures with the lines of OCR blurred that hold some. The originals
    stay as they are, and so do pictures that are served later."""

    @field_validator("find", "fields")
    @classmethod
    def _names_something(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is not None and not names:
            raise ValueError("an empty list finds nothing: leave the step out")
        return names

    @model_validator(mode="after")
    def _blur_belongs_to_mask(self) -> Self:
        if self.blur and self.mode != "mask":
            raise ValueError(f"`blur` belongs to `mode: mask`, not to `{self.mode}`")
        return self

    def optional(self, context: StepContext) -> tuple[str, ...]:
        return ("images", *self._fields(context))

    def outputs(self, context: StepContext) -> Columns:
        own: dict[str, Any] = {PERSONAL: pl.List(pl.String())}
        if self.mode == "mask":
            own |= self._fields(context)
        return {**own, BLUR: BLUR_COLUMN} if self.blur else own

    def check_columns(self, columns: Columns, context: StepContext) -> None:
        fields = self._fields(context)
        for name, dtype in fields.items():
            if name not in columns:
                listing = f"Columns at this step: {', '.join(columns)}."
                raise UserError(
                    f"`fields` names the column `{name}`, which is given by no earlier step",
                    remedy=f"{did_you_mean(name, columns)} {listing}".strip(),
                )
            if columns[name] != dtype:
                raise UserError(
                    f"`fields` names the column `{name}`, which holds {columns[name]}, no texts",
                    remedy="Name columns of texts, of OCR's lines, of boxes with texts, or `messages`.",
                )
        if CHATS in fields and any(isinstance(step, Renderer) for step in self._before(context)):
            raise UserError(
                "`messages` are rendered already, and what is served would not be masked as they were",
                remedy="Put guard.personal_data before the renderer and name the columns of its prompt.",
            )
        if self.blur and not any(
            isinstance(dtype, pl.List) and dtype != MESSAGES for dtype in fields.values()
        ):
            raise UserError(
                "`blur` has no boxes to go by: no column of `fields` holds the lines of OCR",
                remedy="Put annotate.ocr before it and name its column: `fields: [ocr, ocr_text, …]`.",
            )

    def start(self, context: StepContext, frame: pl.LazyFrame) -> Worker:
        return _Masking(self, tuple(self._fields(context)), self._unseen(context, frame))

    def served(self, context: StepContext) -> Callable[[Row], Row] | None:
        if self.mode != "mask":
            return None
        masked = RecordMasker(tuple(self._fields(context)), self.find)
        return lambda row: masked(row).values

    def card_sections(self, account: StepAccount) -> Sequence[Section]:
        notes = account.notes
        if "found" not in notes:
            return []
        words = [t(_DONE[self.mode], records=notes["records"], all=account.records_in)]
        if self.mode == "mask":
            pictures = (
                t("{blurred:,} have lines of their pictures blurred.", blurred=notes["blurred"])
                if self.blur
                else t("Pictures are as they were.")
            )
            words += [pictures, t("Served records are masked as well, their pictures are not blurred.")]
        if unseen := notes.get(LEFT_UNSEEN):
            names = ", ".join(unseen)
            words.append(t("Not looked at, though prompts or answers hold them: {names}.", names=names))
        table = Table(
            [t("kind"), t("different in a record")],
            [[t(WORDS[kind]), notes["found"].get(kind, 0)] for kind in self.find],
        )
        return [Section(t("Personal data"), [Text(t(" ").join(words)), table])]

    def _fields(self, context: StepContext) -> dict[str, Any]:
        """The columns that are looked at, with their dtypes."""
        made = dict[str, Any]()
        for step in self._before(context):
            if isinstance(step, Annotator):
                made |= _texts_of(step, context)
        if self.fields is None:
            return {**made, "text": pl.String()}
        usual = _USUAL | (self._read(context) if {*self.fields} - made.keys() - {"text"} else {})
        return {name: made.get(name, usual.get(name, pl.String())) for name in self.fields}

    def _read(self, context: StepContext) -> dict[str, Any]:
        """The columns of texts that the sources bring."""
        read = dict[str, Any]()
        for step in self._before(context):
            if isinstance(step, Reader):
                with suppress(UserError):  # told as the reader's own
                    read |= step.columns(context.for_step(step))
        return {name: dtype for name, dtype in read.items() if _holds_texts(dtype)}

    def _before(self, context: StepContext) -> Sequence[Transform]:
        """The recipe's steps before this one."""
        at = next((at for at, step in enumerate(context.steps) if step is self), len(context.steps))
        return context.steps[:at]

    def _unseen(self, context: StepContext, frame: pl.LazyFrame) -> list[str]:
        """Columns of texts that prompts and answers are made of, and that are not looked at: those that are
        there, and those that later steps write."""
        fields, schema = self._fields(context), frame.collect_schema()
        asked = set(chat_columns(context).names) - {"label"}
        there = {name for name in asked & set(schema) if schema[name] in (pl.String, MESSAGES)}
        if chat_columns(context).messages == "never":
            there.discard(CHATS)
        later = context.steps[len(self._before(context)) + 1 :]
        written = {
            name
            for step in later
            if isinstance(step, Annotator)
            for name in _texts_of(step, context)
            if name in _rendered(context)
        }
        return sorted((there | written) - set(fields))


def _rendered(context: StepContext) -> set[str]:
    """The columns that the last renderer reads."""
    renderers = [step for step in context.steps if isinstance(step, Renderer)]
    return set(renderers[-1].reads(context.for_step(renderers[-1]))) if renderers else set()


def _texts_of(step: Annotator, context: StepContext) -> dict[str, Any]:
    """The columns of an annotator that hold texts or lines: of OCR, and what models wrote."""
    outputs = step.outputs(context.for_step(step))
    lines = {name: dtype for name, dtype in outputs.items() if dtype != pl.String and _holds_texts(dtype)}
    texts = {name: dtype for name, dtype in outputs.items() if dtype == pl.String}
    if lines or step.asks_model:
        return lines | {name: dtype for name, dtype in texts.items() if not name.endswith(_BESIDE)}
    return {}


def _holds_texts(dtype: Any) -> bool:
    """Whether a column holds texts, or a list of lines, boxes or turns with texts."""
    if isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct):
        return any(field.name in TEXT_KEYS and field.dtype == pl.String for field in dtype.inner.fields)
    return bool(dtype == pl.String)


class _Masking(BatchWorker):
    def __init__(self, guard: PersonalData, fields: tuple[str, ...], unseen: list[str]) -> None:
        self.guard, self.fields, self.unseen = guard, fields, unseen
        self._masked = RecordMasker(fields, guard.find)
        self._counts: Counter[Kind] = Counter()
        self._records = self._blurred = 0

    def __call__(self, frame: pl.DataFrame) -> Batch:
        there = [name for name in self.fields if name in frame.columns]
        columns = {name: frame[name].to_list() for name in there}
        found = [self._masked({name: columns[name][at] for name in there}) for at in range(frame.height)]
        holds = pl.Series([bool(each.counts) for each in found], dtype=pl.Boolean)
        self._count(found)
        if self.guard.mode == "reject":
            details = [f"{each.first}" for each in found if each.counts]
            rejects = reject_rows(frame.filter(holds), PERSONAL, details)
            kept = frame.filter(~holds)
            return Batch(kept.with_columns(pl.lit([], pl.List(pl.String)).alias(PERSONAL)), rejects)
        kinds = [[kind for kind in KINDS if kind in each.counts] for each in found]
        changed = [pl.Series(PERSONAL, kinds, dtype=pl.List(pl.String))]
        if self.guard.mode == "mask":
            for name in there:
                values = [each.values.get(name, old) for each, old in zip(found, columns[name], strict=True)]
                changed.append(pl.Series(name, values, dtype=frame.schema[name]))
        if self.guard.blur:
            changed.append(pl.Series(BLUR, [each.boxes for each in found], dtype=BLUR_COLUMN))
        return Batch(frame.with_columns(changed))

    @property
    def notes(self) -> dict[str, Any]:
        """Facts for the report and the card."""
        notes = {
            "mode": self.guard.mode,
            "found": {kind: self._counts[kind] for kind in KINDS if self._counts[kind]},
            "records": self._records,
            "blurred": self._blurred,
        }
        return {**notes, LEFT_UNSEEN: self.unseen} if self.unseen else notes

    def _count(self, found: Sequence[Found]) -> None:
        for each in found:
            self._counts.update(each.counts)
            self._records += bool(each.counts)
            self._blurred += bool(each.boxes) and self.guard.blur
