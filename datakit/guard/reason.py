"""guard.reason: reasons that are worth training on: varied, in the right language, true to their label."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from datakit.core.answer import LABEL
from datakit.core.chat_columns import chat_columns
from datakit.core.errors import UserError
from datakit.core.record import DECLINED
from datakit.core.step_context import StepContext
from datakit.core.transform import Columns, Guard, Worker
from datakit.guard._findings import BY_LANGUAGE, Bounds
from datakit.guard._reason_rewriter import OWN, ReasonRewriter
from datakit.guard._reasons import Reasons, lines_of
from datakit.llm import author, offline


class Reason(Guard):
    """The same records, their reasons checked: a fault is marked, rejects the record, or is written again.

    Reasons that are too alike make a trained model repeat itself and its score collapse. Marked records carry
    `<column>_flags`, a list of the words below (empty for a good reason), and `<column>_similarity`, the
    Jaccard similarity of character 3-grams to the nearest reason of the same label (0 to 1; null where the
    reason is missing, or where in a label of over 300 records no near one was found).

    - reason_missing: null or blank
    - reason_too_short, reason_too_long: outside `min_chars` to `max_chars`
    - reason_language: the share of Chinese among its letters is below `min_chinese`, quotations and the
      labels' names, aliases and keywords left out
    - reason_contradicts: in Chinese or English it concludes another label, another beside its own
      (甲或乙), or that it is not its own. A neighbour told apart (不是, 而非, 不同于, unlike, rather
      than) may be named, and so may words in quotes, but for a label's name that is concluded in quotes
    - reason_concludes_first: it names or denies its label before any evidence (`这是退款页面，因为…`, or
      `Judging by the layout, this is a refund page`) and stands before the label in the answer. Not looked at
      where every answer of the recipe has the label first. Evidence is a quotation. Where one follows the
      name, only plenty of other words before it are evidence too (six characters that are not the label's,
      four words in English), whatever wording leads to it; where the reason quotes nothing, words that could
      not stand in any reason
    - reason_misquotes: a quotation, in any usual marks, does not stand in the record's OCR text
      (`quotes_in`), but for punctuation, white space, case and width. Where OCR gives a line a score below
      0.95 it may have misread it: there a likeness of 0.8 does, with the same digits and negations (不, 未,
      无, not; 七天 and 7天 are one), and with the number of what is counted. Scores are those of the lines
      (column `ocr` beside `ocr_text`); where there are none, 0.8 does for all. Where one has dots, its parts
      must have two characters and stand in their order on lines that follow each other. One that is never
      closed runs to the end of its sentence. What is said to be read without marks (`写着退款失败`,
      `（退款失败）`, `客服回复：已退款`, `有再次申请按钮`, `reads Refund closed`) counts too, but for what
      only says of which kind it is (`写着价格和销量`, `返回按钮`); so do amounts (`¥12.50`), times, dates
      and long numbers. What is denied (`没有“退货地址”字样`) must not stand there, letter by letter. A
      label's name in quotes that is concluded or told apart is none. Not looked at where records have no
      such column, nor where it is null
    - reason_repeated: another record has exactly these words
    - reason_too_similar: its similarity to another reason exceeds `max_similarity`
    - reason_opening: more than `max_equal_openings` of a label's reasons begin with the same `opening_chars`

    The language is that of the template that has the reasons written (annotate.reason), else of `template`.

    A record whose reason the model declined to give (`<column>_declined` of annotate.reason) has no fault.

    Of reasons that are alike, the one with the smallest id stands and the others are flagged. Compared are
    those of a label, and those of all labels with the labels' names masked. Up to 300 reasons are compared
    each with each, more by MinHash, which misses about one in a hundred pairs at the bound and fewer above.

    With `on_fail: rewrite` only the records with a fault are asked about again: the template tells the model
    what is wrong and which reasons (up to three) the new one must differ from. All are compared again with
    the new texts, and what still fails is asked again, up to `max_rewrites` times a record and within
    `budget_usd`; a reason that was written again gives way to one that was not. `then` says what becomes of
    those that fail to the end. `<column>_by` names the writer of what stands, `<column>_rewrites` counts.
    Answers are stored like those of annotate.reason: a run that was killed pays for none twice. Without an
    endpoint the offline writer composes another text.
    """

    version: ClassVar[int] = 6
    of_one_task: ClassVar[bool] = True
    compares: ClassVar[bool] = True

    column: str = "reason"
    """The column of texts."""
    max_similarity: float | None = Field(default=0.6, gt=0, le=1)
    """Highest similarity of two reasons of a label, and of two labels but for their names. null: any."""
    max_equal_openings: float | None = Field(default=0.3, gt=0, le=1)
    """Largest share of a label's reasons that may begin alike (three may always). null: any."""
    opening_chars: int | None = Field(default=None, ge=1)
    """Length of the beginning that is compared. null: by the language, 8 for Chinese, else 24."""
    consistent: bool = True
    """Whether a reason may not conclude another label of the closed set. Needs `labels:`."""
    quotes_in: str | None = "ocr_text"
    """Column with the text that quotations must stand in, where the records have it. null: not looked at."""
    min_chars: int | None = Field(default=None, ge=0)
    """Fewest characters. null: by the language, 12 for Chinese, else 30."""
    max_chars: int | None = Field(default=None, ge=1)
    """Most characters. null: by the language, 300 for Chinese, else 1000."""
    min_chinese: float | None = Field(default=None, ge=0, le=1)
    """Smallest share of Chinese characters among the letters. 0: any language. null: by the language, 0.5 for
    Chinese, else 0."""
    on_fail: Literal["mark", "reject", "rewrite"] = "mark"
    """`mark` keeps every record and adds the two columns; `reject` drops records with a fault; `rewrite` has
    their reasons written again."""
    then: Literal["mark", "reject"] = "mark"
    """With `rewrite`: what becomes of records that have a fault to the end."""
    rewrite_across: bool = False
    """With `rewrite` by a model: whether a reason whose one fault is its likeness to one of another label is
    written again. Otherwise `then` says what becomes of it, and none is paid for because of another label."""
    template: str = "ecom/rewrite_reason.j2"
    """With `rewrite`: template of the question. Beside the columns and the label it sees `candidate` (the
    reason as it is), `faults` (what is wrong, a list of sentences) and `neighbours` (a list of reasons)."""
    max_rewrites: int = Field(default=2, ge=1, le=10)
    """With `rewrite`: answers for each record."""
    budget_usd: float | None = Field(default=None, gt=0)
    """With `rewrite`: the most that all answers of this step may cost, those of earlier runs included. What
    does not fit is left to `then`. `run.budget_usd` holds besides."""
    temperature: float = Field(default=1.0, ge=0, le=2)
    """With `rewrite`: freedom of the model's wording."""
    max_tokens: int = Field(default=512, ge=16)
    """With `rewrite`: longest answer. Not part of the key."""

    @property
    def marks(self) -> bool:
        """Whether records that have a fault in the end are marked; else they are rejected."""
        return (self.then if self.on_fail == "rewrite" else self.on_fail) == "mark"

    @property
    def asks_model(self) -> bool:
        return self.on_fail == "rewrite"

    @property
    def is_paid(self) -> bool:
        return self.asks_model

    def templates(self) -> tuple[str, ...]:
        return (self.template,) if self.on_fail == "rewrite" else ()

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        own = {self.column, "label"}
        if self.quotes_in and "quotes_in" in self.model_fields_set:
            own.add(self.quotes_in)
        if self.on_fail == "rewrite":
            own.update(author.needed(self.template, context, given=OWN))
        return tuple(sorted(own))

    def optional(self, context: StepContext) -> tuple[str, ...]:
        quoted = (self.quotes_in, lines_of(self.quotes_in)) if self.quotes_in else ()
        written = (*offline.READS, f"{self.column}_by") if self.asks_model else ()
        return tuple(dict.fromkeys((*quoted, f"{self.column}{DECLINED}", *written)))

    def outputs(self, context: StepContext) -> Columns:
        name, columns = self.column, dict[str, Any]()
        if self.on_fail == "rewrite":
            columns |= {name: pl.String(), f"{name}_by": pl.String(), f"{name}_rewrites": pl.Int64()}
        if self.marks:
            columns |= {f"{name}_flags": pl.List(pl.String()), f"{name}_similarity": pl.Float64()}
        return columns

    def bounds(self, context: StepContext) -> Bounds:
        """The lengths and shares that are in force, those by the language among them."""
        own = (self.template,) if self.on_fail == "rewrite" else ()
        composed = author.is_offline(context) and (own or self.column in context.writers)
        spoken = offline.language if composed else type(context).language
        usual = BY_LANGUAGE[spoken(context, self.column, *own)]
        given = {name: getattr(self, name) for name in Bounds._fields}
        return usual._replace(**{name: value for name, value in given.items() if value is not None})

    def is_evidence_first(self, context: StepContext) -> bool:
        """Whether a reason stands before the label in some answer of the recipe, as far as one is known."""
        orders = [[field.source for field in contract.fields] for contract in chat_columns(context).contracts]
        both = [order for order in orders if self.column in order and LABEL in order]
        return not both or any(order.index(self.column) < order.index(LABEL) for order in both)

    def rewrites_across(self, context: StepContext) -> bool:
        """Whether a reason that is like one of another label is written again for it."""
        return self.rewrite_across or author.is_offline(context)

    def start(self, context: StepContext, frame: pl.LazyFrame) -> Worker:
        dtype = frame.collect_schema()[self.column]
        if dtype not in (pl.String, pl.Null):
            raise UserError(
                f"`{self.column}` holds {dtype}, no texts",
                remedy="Name a column of texts with `column:`, or write the numbers as texts in the source.",
            )
        rewrites = self.on_fail == "rewrite"
        return ReasonRewriter(self, context, frame) if rewrites else Reasons(self, context, frame)
