"""render.grounding: questions about the boxes of a picture, answered in the form of the model's family."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Self

import polars as pl
from pydantic import Field, model_validator

from datakit.core.answer import AnswerFormat
from datakit.core.answer_forms import ContractFormat
from datakit.core.box_forms import BoxForm, SeenPictures
from datakit.core.boxes import BOXES
from datakit.core.contract import AnswerContract, AnswerField
from datakit.core.contract_words import Language
from datakit.core.errors import UserError, did_you_mean
from datakit.core.outcome import Batch, Reject, Rejected
from datakit.core.prompt import Prompt
from datakit.core.record import MESSAGES
from datakit.core.step_context import StepContext
from datakit.core.templates import TrustedText
from datakit.core.tokens import DEFAULT_SYSTEM, TokenCounter
from datakit.core.transform import BatchWorker, Columns, PromptRenderer, Row, Worker
from datakit.core.writer import Writer
from datakit.render._answers import ANSWER_FORMAT, prompt_lines
from datakit.render._batches import Batches, Forms
from datakit.render._legible import LeftOut, apart_from
from datakit.render._questions import (
    ANSWER_BOXES,
    ANSWER_TEXT,
    COLUMNS,
    TEXT_TASKS,
    Question,
    Questions,
    Task,
)

FORM = "answer_form"
APART_FROM = "apart_from"
"""The variable of prompt templates that says what a question does not ask for."""
_HINTS: dict[tuple[Task, Language], str] = {
    ("lines", "zh"): '一个 JSON 数组，每行文字一项：[{"bbox_2d": [左, 上, 右, 下], "label": "该行文字"}]',
    (
        "lines",
        "en",
    ): 'a JSON array, one item a line: [{"bbox_2d": [left, top, right, bottom], "label": "text"}]',
}
"""What the prompt says is to be answered, where that is not what boxes are usually asked for by."""


class Grounding(PromptRenderer):
    """Records with `messages`: a question about the boxes of the picture, and its answer.

    | task | question | answer |
    |---|---|---|
    | `lines` | every line of text | all boxes with a text in their order, each with its text |
    | `locate` | where a name is | every box of that name: its label, else its text |
    | `read` | what is in a box | its text |

    A box without a text (a COCO file has none, only categories) is no answer to `lines` and `read`: its label
    is not what is written there. A record without any text is asked `locate` where that is among the tasks,
    and rejected where it is not; both are counted in the report.

    Of OCR, what it is not sure of is not trained, and no answer silently lacks it. A phone's status bar and
    texts of a single sign are left out, as the question for `lines` says (`leave_out`); arrows and frames
    that stand beside a text as signs are taken off. A picture with a text below `min_score`, or with an
    amount run together with the number beside it (`¥60.90500+`), is asked another task than `lines`, and
    never for a name that may stand there; the report counts them.

    The numbers are those of the family that `train.model` names: Qwen2-VL's special tokens with 0 to 1000,
    Qwen2.5-VL's JSON in pixels of the picture as the model sees it (after emit.llamafactory's resize, the
    trainer's to `train.image_max_pixels` and the processor's), Qwen3-VL's JSON with 0 to 1000. They are
    within half a step of the true place.

    Each record is asked one question; which one depends on its id, the seed and whether it has texts. Columns
    `ask_name` and `ask_box` hold what is asked for, `answer_boxes` (JSON) and `answer_text` what is answered,
    `answer_form` the task. A box that hangs over the edge of its picture is clipped, and counted in the
    report.

    Reasons of rejection: boxes_missing (none, or none with the text or the name that is needed),
    boxes_none_left (no text on the picture that can be asked about: dropped by name and counted, but not
    against `run.max_reject_rate`), boxes_doubtful (none of the tasks can be answered in full),
    boxes_too_many, images_too_many (a record has one picture here), box_empty, box_outside, box_picture,
    boxes_unreadable, image_too_long, answer_tokens, answer_unreadable, prompt_too_long, and those of a
    picture that cannot be read.
    """

    version: ClassVar[int] = 6

    boxes: str = BOXES
    """Column of the boxes: `boxes` as readers give it, or that of annotate.ocr."""
    tasks: tuple[Task, ...] = Field(default=("lines", "locate", "read"), min_length=1)
    """What is asked, each of about as many records as the others. The first is served and scored."""
    form: BoxForm | None = None
    """`qwen2_vl`, `qwen2_5_vl` or `qwen3_vl`; that of `train.model` when not given."""
    language: Language | None = None
    """Language of the shipped prompts and of what they ask for; the recipe's `language` when not given."""
    prompts: dict[Task, str] = Field(default_factory=dict)
    """Task -> template of its prompt, in place of the shipped one."""
    min_score: float = Field(default=0.8, ge=0, le=1)
    """Confidence that a box of OCR needs to be asked about, or to be in an answer. Of the texts of drawn
    screens that RapidOCR gives at least 0.8, 2.4% are misread, at least 0.9, 1.2%; but more pictures have one
    below, and are not asked for every line."""
    leave_out: tuple[LeftOut, ...] = ("status_bar", "single_signs")
    """Texts that are neither asked about nor answered: `status_bar` (clock, battery, network and carrier of a
    phone, as prompts leave them out) and `single_signs` (one character alone that OCR has read: of drawn
    screens every second one is an icon). Single signs that people wrote down stay; `[]` for every text."""
    max_boxes: int = Field(default=60, ge=1)
    """Most boxes of an answer: each takes about 30 tokens. A record with more is rejected, never cut."""
    label_is_text: bool = False
    """Whether the label of a box without a text is what is written there, as in data sets of OCR that have
    the lines under `label`. Boxes of things have labels that stand nowhere on the picture."""
    system: str | None = DEFAULT_SYSTEM
    """The system turn; null for none."""
    max_chars: int | None = Field(default=2500, ge=1)
    """Most characters of the prompt. null: no bound."""

    @model_validator(mode="after")
    def _tasks_are_different(self) -> Self:
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError("a task stands twice")
        return self

    def templates(self) -> tuple[str, ...]:
        """Those of both notations: which one is rendered rests on the model."""
        names = (self._template(task, form) for task in self.tasks for form in self._forms)
        return tuple(dict.fromkeys(names))

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        self.seen(context)  # told before anything is read
        for task in self.tasks:
            self._check_template(self._template(task, self.seen(context).form), context)
        return ("images", self.boxes, *self._own_columns(context))

    def outputs(self, context: StepContext) -> Columns:
        columns = {name: pl.String() for name in COLUMNS}
        sizes = {"prompt_chars": pl.UInt32(), "shrink_rung": pl.UInt8()}
        return {**columns, "messages": MESSAGES, **sizes, FORM: pl.String()}

    def start(self, context: StepContext, frame: pl.LazyFrame) -> Worker:
        names = frame.collect_schema().names()
        texts = [*COLUMNS, *(name for name in self._own_columns(context) if name in names)]
        needed = ("id", "images", *dict.fromkeys(texts))
        workers = {
            str(task): Batches(
                self._writer(task, context, tuple(texts)), needed, set(texts), keep=False, counts=False
            )
            for task in self.tasks
        }
        seen = self.seen(context)
        questions = Questions(
            self.boxes, seen, self.min_score, self.max_boxes, self.label_is_text, self.leave_out
        )
        draw = partial(_task_of, context, len(self.tasks))
        return _Asking(self.tasks, questions, draw, workers, context)

    def answer_format(self, context: StepContext) -> ContractFormat:
        """How answers are written and read back: a form for each task."""
        contracts = [self._contract(task, context) for task in self.tasks]
        return ContractFormat.of_contracts(contracts, seen=self.seen(context))

    def for_form(self, form: str | None, context: StepContext) -> Grounding:
        """The questions of one task. Raises UserError for another."""
        self.answer_format(context).named(form)
        chosen = next(task for task in self.tasks if form in (None, task))
        return self.model_copy(update={"tasks": (chosen,)})

    def prompt_columns(self, context: StepContext) -> tuple[str, ...]:
        """The columns that the prompts take: whoever asks a served model gives `ask_name` or `ask_box`."""
        form = self.seen(context).form
        names = (context.templates.variables(self._template(task, form)) for task in self.tasks)
        used = {name for variables in names for name in variables} - {ANSWER_FORMAT}
        return tuple(sorted(used - context.label_variables.keys() - {APART_FROM}))

    def writer(self, context: StepContext) -> Writer:
        """What writes prompts of the first task for records given as dicts; see `for_form`."""
        return self._writer(self.tasks[0], context, ())

    @property
    def _forms(self) -> tuple[BoxForm, ...]:
        return (self.form,) if self.form is not None else ("qwen2_vl", "qwen2_5_vl")

    def _template(self, task: Task, form: BoxForm) -> str:
        tokens = "_tokens" if task == "read" and form == "qwen2_vl" else ""
        language = f"_{self.language}" if self.language else ""
        return self.prompts.get(task) or f"grounding/{task}{tokens}{language}.j2"

    def seen(self, context: StepContext) -> SeenPictures:
        """How the model sees pictures: what boxes are counted by. Raises UserError where nothing says it."""
        seen = context.pictures.seen(self.form)
        if seen is None:
            raise UserError(
                "no Qwen-VL model says in which form boxes are written",
                remedy="Name it (`train: {model: Qwen/Qwen2.5-VL-7B-Instruct}`), or give `form: qwen2_5_vl`.",
            )
        return seen

    def _own_columns(self, context: StepContext) -> tuple[str, ...]:
        """Columns that templates of one's own take besides."""
        return tuple(name for name in self.prompt_columns(context) if name not in ("images", "id", *COLUMNS))

    def _check_template(self, name: str, context: StepContext) -> None:
        variables = context.templates.variables(name)
        for column in (ANSWER_BOXES, ANSWER_TEXT, self.boxes):
            if column in variables:
                raise UserError(
                    f"the prompt uses `{column}`, which gives the answer away",
                    remedy="Prompts may use `ask_name`, `ask_box` and further columns.",
                    where=context.templates.place(name, column),
                )
        if ANSWER_FORMAT not in variables:
            raise UserError(
                f"the prompt {name} does not ask for the answer's form",
                remedy=did_you_mean(ANSWER_FORMAT, variables) or "Put {{ answer_format }} at its end.",
            )

    def _not_asked(self, context: StepContext) -> tuple[LeftOut, ...]:
        """What the questions say that they do not ask for: single signs only where OCR gives the boxes."""
        is_read = self.boxes != BOXES or any(getattr(step, "into", None) == BOXES for step in context.steps)
        return tuple(name for name in self.leave_out if is_read or name != "single_signs")

    def _contract(self, task: Task, context: StepContext) -> AnswerContract:
        form, language = self.seen(context).form, self.language or context.default_language or "zh"
        if task == "read":
            field = AnswerField(name="answer", kind="line", column=ANSWER_TEXT)
        else:
            tokens = form == "qwen2_vl"
            field = AnswerField(
                name="boxes",
                kind="boxes",
                column=ANSWER_BOXES,
                hint="" if tokens else _HINTS.get((task, language), ""),
                notation="tokens" if tokens else "json",
            )
        return AnswerContract(form=task, fields=(field,), language=language, marked=True)

    def _writer(self, task: Task, context: StepContext, texts: tuple[str, ...]) -> Writer:
        contract = self._contract(task, context)
        form: AnswerFormat = ContractFormat.of_contracts([contract])
        said = {APART_FROM: apart_from(self._not_asked(context), contract.language)}
        said |= prompt_lines(form, 1, context)
        lines = {name: TrustedText(text) for name, text in said.items()}
        name = self._template(task, self.seen(context).form)
        return Writer(
            prompts=(Prompt(name, context.templates, {**context.label_variables, **lines}, texts),),
            form=form,
            labels=context.labels,
            system=self.system or None,
            max_chars=self.max_chars,
            max_tokens=None,
            shrink=(),
            count_tokens=False,
            counter=TokenCounter(template=context.chat_layout),
        )


_MOVED = {
    "boxes_missing": "records asked `{task}` because none of their boxes has a text",
    "boxes_none_left": "records asked `{task}` because none of their texts can be asked about",
    "boxes_doubtful": "records asked `{task}` because OCR is not sure of all their texts",
}


def _task_of(context: StepContext, tasks: int, id_: str) -> int:
    """The number of the task of a record. Other records do not move it."""
    return context.rng("render.grounding", "task", id_).randrange(tasks)


class _Asking(BatchWorker):
    """Draws a question for each record, and has it rendered in the form of its task."""

    def __init__(
        self,
        tasks: tuple[Task, ...],
        questions: Questions,
        draw: Callable[[str], int],
        workers: dict[str, Batches],
        context: StepContext,
    ) -> None:
        self.tasks, self.questions, self.draw, self.context = tasks, questions, draw, context
        self.numbers: dict[str, int] = {}
        """Id of a record of the batch -> the number of its task."""
        self.forms = Forms(workers, self.numbers.__getitem__, FORM)
        self.counts: Counter[str] = Counter()

    def __call__(self, frame: pl.DataFrame) -> Batch:
        asked: list[Question] = []
        rejects: list[Reject] = []
        kept: list[int] = []
        self.numbers.clear()
        columns = ["id", "source_file", "source_line", "images", self.questions.column]
        for at, row in enumerate(frame.select(columns).iter_rows(named=True)):
            question = self._question(row)
            if isinstance(question, Rejected):
                rejects.append(Reject.of(row, question.reason, question.detail))
            else:
                asked.append(question)
                kept.append(at)
                self._count(question)
        added = [
            pl.Series(name, [getattr(question, name) for question in asked], dtype=pl.String)
            for name in COLUMNS
        ]
        batch = self.forms(frame[kept].with_columns(added))
        order = {id_: at for at, id_ in enumerate(frame["id"])}
        every = sorted([*rejects, *batch.rejects], key=lambda reject: order[reject.id])
        return Batch(batch.frame, every)

    def _question(self, row: Row) -> Question | Rejected:
        """The question of the task that the record drew, else of one that its boxes can answer."""
        drawn = self.draw(row["id"])
        question = self._of(row, drawn)
        if not isinstance(question, Rejected):
            return question
        for number in self._instead(row["id"], drawn, question.reason):
            other = self._of(row, number)
            if not isinstance(other, Rejected):
                self.counts[_MOVED[question.reason].format(task=self.tasks[number])] += 1
                return other
        return question

    def _of(self, row: Row, number: int) -> Question | Rejected:
        self.numbers[row["id"]] = number
        return self.questions.of(row, self.tasks[number], self.context.rng("render.grounding", row["id"]))

    def _instead(self, id_: str, drawn: int, reason: str) -> list[int]:
        """The tasks that a record may be asked in place of the one that it drew."""
        if reason in ("boxes_missing", "boxes_none_left"):  # its boxes have labels and no texts
            is_text = self.tasks[drawn] in TEXT_TASKS
            return [at for at, task in enumerate(self.tasks) if is_text and task == "locate"]
        others = [at for at, _ in enumerate(self.tasks) if at != drawn and reason == "boxes_doubtful"]
        self.context.rng("render.grounding", "instead", id_).shuffle(others)
        return others

    def _count(self, question: Question) -> None:
        self.counts["boxes clipped to their picture"] += question.clipped
        self.counts["boxes without a text, left out of answers that list texts"] += question.textless
        self.counts["texts that `leave_out` names"] += question.left_out

    @property
    def notes(self) -> dict[str, Any]:
        return {**self.forms.notes, **{words: count for words, count in self.counts.items() if count}}
