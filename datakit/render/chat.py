"""render.chat: the messages that a model is trained on, and that a classifier sends, out of columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Self

import polars as pl
from pydantic import Field, model_validator

from datakit.core.answer import LABEL, AnswerFormat
from datakit.core.answer_forms import Assignment, ContractFormat
from datakit.core.box_forms import SeenPictures
from datakit.core.contract import FORMS, AnswerContract
from datakit.core.errors import UserError
from datakit.core.label_blocks import BlockForm
from datakit.core.language import Language
from datakit.core.outcome import Rejected
from datakit.core.prompt import Prompt
from datakit.core.record import DECLINED, MESSAGES
from datakit.core.step_context import StepContext
from datakit.core.templates import TrustedText
from datakit.core.tokens import DEFAULT_SYSTEM, TokenCounter
from datakit.core.transform import BatchWorker, Columns, PromptRenderer, Row, Worker
from datakit.core.writer import Prompted, Writer
from datakit.render import _answers, _model_boxes
from datakit.render._answers import ANSWER_FORMAT, AnswerForm
from datakit.render._batches import Batches, Forms
from datakit.render._kept_boxes import KeptBoxes, KeptUnits
from datakit.render._model_boxes import MadeOf, ModelBoxes
from datakit.render._prompt_checks import check_columns, check_shrink, columns_of, optional_columns
from datakit.render._rotation import NUMBER, Rotation

ANSWERS = {
    "label_only": ("answer/label_only.j2",),
    "reason_first": ("answer/reason_first.j2",),
    "label_first": ("answer/label_first.j2",),
    "describe_reason_label": ("answer/describe_reason_label.j2",),
    "two_turn": ("answer/two_turn_1.j2", "answer/two_turn_2.j2"),
}
"""Forms whose templates a prompt without `{{ answer_format }}` is answered by."""
CharBound = Annotated[int, Field(ge=1)]
FORM = "answer_form"
"""The column that says in which of several forms a record is answered."""


class Chat(PromptRenderer):
    """Records with `messages`: the rendered prompt as user, the rendered answer as assistant.

    Templates take the record's columns and, from the label file, `label_json`, `label_names` and `labels`.
    A column that need not be there is asked for first, `{% if ocr_text is defined and ocr_text %}`: records
    without it get the prompt without that part.

    Anything in the data that the trainer would take for a control token or a picture place is escaped; only
    the places `<image>` in `text` (a dialogue) are meant. The number of places must be that of the pictures.

    A prompt over `max_chars` or `max_tokens` is never cut blindly: the columns of `shrink` give way one after
    the other, each first cut at a line or sentence (a list of OCR lines loses those of lowest score), then
    dropped. `shrink_rung` tells how far that went: 0 untouched, 1 the first column cut, 2 dropped, 3 the
    second cut, and so on.

    The answer is a contract: its fields in order. From it come the prompt's own lines (`{{ answer_format }}`
    in the template, in Chinese or English as the template is), the answer, and how answers are read, decoded
    and scored (`answer.json` in the build). Named forms: `label_only`, `label_first`, `reason_first`,
    `short_reason` (at most 30 characters; a longer one rejects the record), `describe_then_label`,
    `describe_reason_label`, `cot` (evidence, exclusion, conclusion, label), `two_turn`, `multi_label`,
    `number`, `free_text`. With `answers` one data set holds several, and column `answer_form` says which.

    A field of kind `boxes` (`{fields: [label, boxes]}`) takes the column that readers of boxes or
    annotate.ocr give, and writes it in the form of the family that `train.model` names, as render.grounding
    does: Qwen2-VL's special tokens, Qwen2.5-VL's JSON in pixels of the picture as the model sees it,
    Qwen3-VL's JSON with 0 to 1000. What is answered stands as JSON in a further column, `answer_boxes` for
    `boxes`. Without such a model, boxes are written as they come.

    A field of kind `evidence` (`{fields: [{name: evidence, kind: evidence}, reason, label]}`) has the lines
    of OCR that the reason quotes, with their boxes in the same form; a quotation is a line, or a part of it,
    at a likeness of 0.8. A reason that quotes none rejects the record (answer_incomplete), unless the field
    is optional.

    A prompt that states another order or form by hand than the answer has is an error, with its line. An
    answer template (Jinja) must be constant text around variables, because it is read backwards.

    Reasons of rejection: prompt_too_long (with both numbers), label_missing, label_unknown,
    answer_incomplete, answer_too_long, answer_unreadable, answer_tokens, number_unreadable, boxes_unreadable,
    box_empty, box_outside, box_picture, images_too_many (boxes do not say on which picture they are),
    image_too_long, image_places, and those of a picture whose size boxes are counted in.
    """

    version: ClassVar[int] = 4

    prompt: str | tuple[str, ...]
    """Template of the user turn, such as `ecom/classify.j2`; a list of one template per user turn for a
    dialogue (`[ecom/ask_description.j2, ecom/ask_label.j2]` with `answer: two_turn`)."""
    answer: str | tuple[str, ...] | AnswerForm | None = None
    """A named form, such as `reason_first`; `{fields: [description, {name: reason, max_chars: 30}, label]}`;
    or the answer's template, such as `ecom/reason_then_label.j2` (a list of one per turn for a dialogue)."""
    answers: tuple[AnswerForm, ...] | None = None
    """Instead of `answer`, several forms in one data set, so that one model serves them all: `[{form:
    reason_first}, {form: label_only, share: 0.3, instruction: 只回答类别名称。}]`. The first is served by
    default. Which record has which form depends on its id and the seed alone."""
    label_block: BlockForm | tuple[BlockForm, ...] | None = None
    """Form of the label block, in place of that of the prompt's variable (`label_json` is `json`,
    `label_names` is `names`): `json` (an object of names and descriptions), `pairs` (lines
    `label:{name}, description:{description}`), `lines` (`name：description`), `short` (lines of each label's
    short description and the labels that it is confused with), `brackets` (`["name",…]`) or `names` (a name a
    line). A list (`[json, short]`) gives the repeats that balance.resample makes of a record each the next of
    its forms; the first is that of all other records, and served."""
    system: str | None = DEFAULT_SYSTEM
    """The system turn. Written out, because trainer and server disagree about a default; null for none."""
    max_chars: CharBound | dict[Language, CharBound] | None = 2500
    """Most characters of the user turns together; longer prompts make models repeat themselves. `{zh: 2400,
    en: 2700}` bounds prompts by the language of their templates: English says the same in more characters.
    null: no bound."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of the system and user turns with those of `train.model`'s chat template, without pictures.
    Counting costs about 0.1 ms a record."""
    shrink: tuple[str, ...] = ()
    """Columns that give way when the prompt is too long, the least important first."""
    count_tokens: bool = False
    """Whether `prompt_tokens` is given although there is no `max_tokens`."""
    kept_boxes: KeptUnits | None = None
    """What the numbers of boxes and points in kept chats are: `pixels` of the upright picture, or
    `thousandths` of its sides. They are written anew, in their notation, in the numbers of the model that
    `train.model` names, which for Qwen2.5-VL are pixels after all resizing. Without it they stay as they
    are."""
    keep_messages: bool = False
    """Whether records that already have messages (read from a chat data set) keep them. They are escaped and
    checked like the others, but never shortened."""

    @model_validator(mode="after")
    def _has_an_answer(self) -> Self:
        if (self.answer is None) == (self.answers is None):
            raise ValueError("give either `answer` or `answers`")
        if self._rotates and (self.answers is not None or len({*self._blocks}) < len(self._blocks)):
            raise ValueError("`label_block` lists different forms, beside one `answer`")
        if self.kept_boxes is not None and not self.keep_messages:
            raise ValueError("`kept_boxes` belongs to `keep_messages: true`")
        if self.answers is not None:
            if not self.answers:
                raise ValueError("`answers` names no form")
            _answers.shares_of(self.answers)
        elif isinstance(self.answer, AnswerForm) and self.answer.share is not None:
            raise ValueError("`share` belongs to the forms of `answers`")
        return self

    @property
    def compares(self) -> bool:
        return self.answers is not None  # the shares are those of all records

    def templates(self) -> tuple[str, ...]:
        return (*self._prompts, *self._answers)

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        self._kept_boxes(context)  # told before anything is read
        self._most_chars(context)
        columns: dict[str, None] = {"images": None}
        form = self.answer_format(context)
        if len(self._prompts) != len(form.turns):
            raise UserError(
                f"{len(self._prompts)} prompt templates, but {len(form.turns)} answer templates",
                remedy="Give as many user turns as the answer has turns: `prompt: [first.j2, second.j2]`.",
            )
        for name in self._prompts:
            columns |= dict.fromkeys(self._prompt_columns(name, form, context))
        if isinstance(form, ContractFormat):
            _answers.check_stated(self._prompts, context.templates)
        _answers.check_agreement(self._prompts, form, context.templates)
        self._label_variables(context)  # whose faults are the recipe's
        check_shrink(self.shrink, {*columns, *optional_columns(self._prompts, context)})
        if self._rotates:
            columns[NUMBER] = None
        made = self._made(context)
        for answer_form in self._forms(form):
            for name in answer_form.columns.values():
                columns |= dict.fromkeys(filter(None, made.get(name, (name,))))
        if self.keep_messages:
            columns["messages"] = None
        return tuple(columns)

    def optional(self, context: StepContext) -> tuple[str, ...]:
        """Columns that prompts ask for first, `{% if ocr_text is defined %}`, and those of declined texts."""
        forms = self._forms(self.answer_format(context))
        written = {name: None for form in forms for name in form.columns.values() if name != LABEL}
        declined = [f"{name}{DECLINED}" for name in written]
        return tuple(dict.fromkeys((*optional_columns(self._prompts, context), *declined)))

    def outputs(self, context: StepContext) -> Columns:
        columns: dict[str, Any] = {"messages": MESSAGES, "prompt_chars": pl.UInt32()}
        if self._counts:
            columns["prompt_tokens"] = pl.UInt32()
        columns["shrink_rung"] = pl.UInt8()
        columns = {**dict.fromkeys(self._made(context), pl.String()), **columns}
        return columns if self.answers is None else {**columns, FORM: pl.String()}

    def start(self, context: StepContext, frame: pl.LazyFrame) -> Worker:
        columns = frame.collect_schema()
        check_columns(self._prompts, list(columns), context)
        boxes, seen = self._made(context), context.pictures.seen()
        if not boxes or seen is None:
            return self._worker(context, frame)
        _model_boxes.check_new(boxes, list(columns))
        counted = frame.with_columns(pl.lit(None, pl.String).alias(name) for name in boxes)
        return ModelBoxes(self._worker(context, counted), boxes, seen, keep=self.keep_messages)

    def _worker(self, context: StepContext, frame: pl.LazyFrame) -> BatchWorker:
        """The rendering of records that have the columns of their boxes."""
        schema = frame.collect_schema()
        texts = [name for name, dtype in schema.items() if dtype == pl.String]
        form = self.answer_format(context)
        used = (name for own in self._forms(form) for name in own.columns.values())
        there = (name for name in self.optional(context) if name in schema)
        # a prompt may name the id too
        needed = tuple(dict.fromkeys(("id", *self.inputs(context), *there, *used)))
        if self._rotates:
            steps = {block: self.model_copy(update={"label_block": block}) for block in self._blocks}
            return Rotation({str(b): s._batches(form, needed, context, texts) for b, s in steps.items()})
        if self.answers is None:
            return self._batches(form, needed, context, texts)
        assert isinstance(form, ContractFormat)  # `answers` are contracts
        ids = frame.select("id").collect()["id"].to_list()
        batches = [self._batches(answer_form, needed, context, texts) for answer_form in self._forms(form)]
        workers = dict(zip((answer_form.form for answer_form in form.contracts), batches, strict=True))
        return Forms(workers, Assignment.of(ids, form.shares, context.seed), FORM)

    def answer_format(self, context: StepContext) -> AnswerFormat:
        """How the answers are written and read back. Raises UserError for a template that cannot be."""
        if not self._has_contract(context):
            return AnswerFormat.of(self._answers, context.templates)
        language = _answers.language_of(self._prompts, context.templates)
        if self.answers is not None:
            shares = _answers.shares_of(self.answers)
            return _counted([form.contract(language) for form in self.answers], shares, context)
        form = self.answer if isinstance(self.answer, AnswerForm) else AnswerForm(form=str(self.answer))
        return _counted([form.contract(language)], (), context)

    def source_columns(self, context: StepContext) -> dict[str, str]:
        return {name: made.quoted_in or made.boxes for name, made in self._made(context).items()}

    def checking_columns(self, context: StepContext) -> tuple[str, ...]:
        return tuple(made.boxes for made in self._made(context).values() if made.quoted_in)

    def _made(self, context: StepContext) -> dict[str, MadeOf]:
        """The columns of boxes in the model's numbers, and what they are made of."""
        form = self.answer_format(context)
        if not isinstance(form, ContractFormat) or form.seen is None:
            return {}
        return _model_boxes.sources_of(form.contracts)

    def for_form(self, form: str | None, context: StepContext) -> Chat:
        """The same prompts in one of the forms of `answers`. Raises UserError for another."""
        self.answer_format(context).named(form)
        if self.answers is None:
            return self
        chosen = next(
            (answer_form for answer_form in self.answers if form in (None, answer_form.form or "own")), None
        )
        assert chosen is not None  # `named` refuses it
        return self.model_copy(update={"answers": None, "answer": chosen.model_copy(update={"share": None})})

    def prompt_columns(self, context: StepContext) -> tuple[str, ...]:
        """The columns that the prompts alone take, without those of the answer."""
        form = self.answer_format(context)
        names = (name for template in self._prompts for name in self._prompt_columns(template, form, context))
        return tuple(dict.fromkeys(names))

    def writer(self, context: StepContext) -> Writer:
        """What writes prompts for records given as dicts, for serving: the very code that training uses.

        Of several forms it writes the first; see `for_form`.
        """
        return self._writer(self._forms(self.answer_format(context))[0], context, ())

    def prompt_for(self, record: Row, context: StepContext) -> Prompted | Rejected:
        """The prompt of one record, the same as in training. For many records keep a `writer`."""
        return self.writer(context).prompt({"images": [], **record})

    @property
    def _prompts(self) -> tuple[str, ...]:
        return (self.prompt,) if isinstance(self.prompt, str) else self.prompt

    @property
    def _answers(self) -> tuple[str, ...]:
        """The answer's templates; none where a contract can only be meant."""
        if isinstance(self.answer, tuple):
            return self.answer
        if not isinstance(self.answer, str) or (self.answer in FORMS and self.answer not in ANSWERS):
            return ()
        return ANSWERS.get(self.answer, (self.answer,))

    def _has_contract(self, context: StepContext) -> bool:
        """Whether the answer is a contract: not a template, nor a form that the prompt states by hand."""
        if not self._answers:
            return True
        uses = (ANSWER_FORMAT in context.templates.variables(name) for name in self._prompts)
        return isinstance(self.answer, str) and self.answer in ANSWERS and any(uses)

    @staticmethod
    def _forms(form: AnswerFormat) -> list[AnswerFormat]:
        """Each form on its own."""
        if not isinstance(form, ContractFormat):
            return [form]
        return [form.of_contracts([contract], seen=form.seen) for contract in form.contracts]

    @property
    def _counts(self) -> bool:
        return self.count_tokens or self.max_tokens is not None

    def _batches(
        self, form: AnswerFormat, needed: tuple[str, ...], context: StepContext, texts: list[str]
    ) -> Batches:
        absent = frozenset(self.optional(context)) - {*needed}
        writer = self._writer(form, context, texts, absent)
        kept = self._kept_boxes(context)
        return Batches(
            writer, needed, set(texts), keep=self.keep_messages, counts=self._counts, kept_boxes=kept
        )

    @property
    def _rotates(self) -> bool:
        return isinstance(self.label_block, tuple) and len(self.label_block) > 1

    @property
    def _blocks(self) -> tuple[BlockForm, ...]:
        return (
            self.label_block
            if isinstance(self.label_block, tuple)
            else tuple(filter(None, [self.label_block]))
        )

    def _most_chars(self, context: StepContext) -> int | None:
        return _answers.max_chars_of(self.max_chars, self._prompts, context.templates)

    def _label_variables(self, context: StepContext) -> dict[str, Any]:
        first, *others = self._blocks or (None,)
        for form in others:  # whose faults are the recipe's too
            _answers.label_variables(form, self._prompts, context)
        return _answers.label_variables(first, self._prompts, context)

    def _kept_boxes(self, context: StepContext) -> KeptBoxes | None:
        """How boxes of kept chats are written anew. Raises UserError where no model says how."""
        if self.kept_boxes is None:
            self._check_kept(context)
            return None
        seen = context.pictures.seen()
        if seen is None:
            raise UserError(
                "`kept_boxes` writes boxes for the model that is trained, and the recipe names no Qwen-VL",
                remedy="Name it: `train: {model: Qwen/Qwen2.5-VL-7B-Instruct}`.",
            )
        return KeptBoxes(self.kept_boxes, seen)

    def _check_kept(self, context: StepContext) -> None:
        """Raises UserError where boxes of kept chats would be moved beside others that are counted."""
        pictures = context.pictures
        if pictures.form == "qwen2_5_vl" and self.keep_messages and self.source_columns(context):
            raise UserError(
                "pictures are scaled down (by the trainer at least), and nothing says what the numbers of "
                "boxes in kept chats are",
                remedy="Say it: `kept_boxes: pixels`, or `kept_boxes: thousandths`.",
            )

    def _writer(
        self,
        form: AnswerFormat,
        context: StepContext,
        texts: Sequence[str],
        absent: frozenset[str] = frozenset(),
    ) -> Writer:
        format_texts = [
            {name: TrustedText(text) for name, text in _answers.prompt_lines(form, turn, context).items()}
            for turn in range(1, len(self._prompts) + 1)
        ]
        return Writer(
            prompts=tuple(
                Prompt(name, context.templates, {**self._label_variables(context), **lines}, texts, absent)
                for name, lines in zip(self._prompts, format_texts, strict=True)
            ),
            form=form,
            labels=context.labels,
            system=self.system or None,
            max_chars=self._most_chars(context),
            max_tokens=self.max_tokens,
            shrink=self.shrink,
            count_tokens=self.count_tokens,
            counter=TokenCounter(template=context.chat_layout),
        )

    def _prompt_columns(self, name: str, form: AnswerFormat, context: StepContext) -> list[str]:
        """The columns that a prompt takes. Raises UserError where it would give the answer away."""
        if not isinstance(form, ContractFormat):
            answered = {"reason"} & set(form.variables)
            return columns_of(name, answered, context, has_contract=False)
        answered = {column for own in self._forms(form) for column in own.columns.values()}
        answered |= set(self.source_columns(context).values())
        return columns_of(name, answered, context, has_contract=True)


def _counted(
    contracts: list[AnswerContract], shares: tuple[float, ...], context: StepContext
) -> ContractFormat:
    """The format of these forms, their boxes in the numbers of the model if the recipe trains one."""
    seen: SeenPictures | None = None
    fields = [field for contract in contracts for field in contract.fields]
    if any(field.is_placed for field in fields):
        seen = context.pictures.seen()
    if seen is None and any(field.kind == "evidence" for field in fields):
        raise UserError(
            "evidence has boxes for the model that is trained, and the recipe names no Qwen-VL",
            remedy="Name it: `train: {model: Qwen/Qwen2.5-VL-7B-Instruct}`.",
        )
    if seen is not None:
        contracts = [_model_boxes.placed(contract, seen.form) for contract in contracts]
    return ContractFormat.of_contracts(contracts, shares, seen)
