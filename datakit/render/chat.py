"""render.chat: the messages that a model is trained on, and that a classifier sends, out of columns."""

from __future__ import annotations

from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from datakit.core.answer import LABEL, AnswerFormat
from datakit.core.errors import UserError, did_you_mean
from datakit.core.folded import Folded
from datakit.core.outcome import Batch, Reject, Rejected
from datakit.core.prompt import Prompt
from datakit.core.record import MESSAGES
from datakit.core.templates import escape_except_images
from datakit.core.tokens import DEFAULT_SYSTEM
from datakit.core.tools import Tools
from datakit.core.transform import Columns, FoldedWorker, PromptRenderer, Row, Worker
from datakit.core.writer import Prompted, Writer
from datakit.render._chats import Chats
from datakit.render._columns import PlainRecords

ANSWERS = {
    "label_only": ("answer/label_only.j2",),
    "reason_first": ("answer/reason_first.j2",),
    "label_first": ("answer/label_first.j2",),
    "describe_reason_label": ("answer/describe_reason_label.j2",),
    "two_turn": ("answer/two_turn_1.j2", "answer/two_turn_2.j2"),
}
"""Answers that have a name of their own."""
_OWN_LABEL = "label_info"
Size = tuple[int, int | None, int]
"""Characters and tokens of the prompt, and the rung of the ladder."""


class Chat(PromptRenderer):
    """Records with `messages`: the rendered prompt as user, the rendered answer as assistant.

    Templates take the record's columns and, from the label file, `label_json`, `label_names` and `labels`.
    Anything in the data that the trainer would take for a control token or a picture place is escaped; only
    the places `<image>` in `text` (a dialogue) are meant. The number of places must be that of the pictures.

    A prompt over `max_chars` or `max_tokens` is never cut blindly: the columns of `shrink` give way one after
    the other, each first cut at a line or sentence (a list of OCR lines loses those of lowest score), then
    dropped. `shrink_rung` tells how far that went: 0 untouched, 1 the first column cut, 2 dropped, 3 the
    second cut, and so on.

    Reasons of rejection: prompt_too_long (with both numbers), label_missing, label_unknown,
    answer_incomplete, answer_unreadable, image_places. The answer template is read backwards when models are
    scored (`answer.json` in the build), so it must be constant text around variables.
    """

    version: ClassVar[int] = 1

    prompt: str | tuple[str, ...]
    """Template of the user turn, such as `ecom/classify.j2`; a list of one template per user turn for a
    dialogue (`[ecom/ask_description.j2, ecom/ask_label.j2]` with `answer: two_turn`)."""
    answer: str | tuple[str, ...]
    """`label_only`, `reason_first`, `label_first`, `describe_reason_label`, `two_turn`, or the answer's
    template, such as `ecom/reason_then_label.j2` (a list of one per turn for a dialogue)."""
    system: str | None = DEFAULT_SYSTEM
    """The system turn. Written out, because trainer and server disagree about a default; null for none."""
    max_chars: int | None = Field(default=2500, ge=1)
    """Most characters of the user turns together; longer prompts make models repeat themselves. null: no
    bound."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of the system and user turns with the chat template's own, without pictures. Counting costs
    about 0.1 ms a record."""
    shrink: tuple[str, ...] = ()
    """Columns that give way when the prompt is too long, the least important first."""
    count_tokens: bool = False
    """Whether `prompt_tokens` is given although there is no `max_tokens`."""
    keep_messages: bool = False
    """Whether records that already have messages (read from a chat data set) keep them. They are escaped and
    checked like the others, but never shortened."""

    def templates(self) -> tuple[str, ...]:
        return (*self._prompts, *self._answers)

    def needs(self, tools: Tools) -> tuple[str, ...]:
        wanted: dict[str, None] = {"images": None}
        form = self.answer_format(tools)
        if len(self._prompts) != len(form.turns):
            raise UserError(
                f"{len(self._prompts)} prompt templates, but {len(form.turns)} answer templates",
                remedy="Give as many user turns as the answer has turns: `prompt: [first.j2, second.j2]`.",
            )
        for name in self._prompts:
            wanted |= dict.fromkeys(self._prompt_columns(name, form, tools))
        self._check_shrink(wanted)
        wanted |= dict.fromkeys(form.variables)
        if self.keep_messages:
            wanted["messages"] = None
        return tuple(wanted)

    def gives(self, tools: Tools) -> Columns:
        columns: dict[str, Any] = {"messages": MESSAGES, "prompt_chars": pl.UInt32()}
        if self._counts:
            columns["prompt_tokens"] = pl.UInt32()
        return {**columns, "shrink_rung": pl.UInt8()}

    def start(self, tools: Tools, frame: pl.LazyFrame) -> Worker:
        columns = frame.collect_schema()
        self._check_columns(list(columns), tools)
        texts = [name for name, dtype in columns.items() if dtype == pl.String]
        return _Batches(self, self._writer(tools, texts), ("id", *self.needs(tools)), set(texts))

    def answer_format(self, tools: Tools) -> AnswerFormat:
        """How the answers are written and read back. Raises UserError for a template that cannot be."""
        return AnswerFormat.of(self._answers, tools.templates)

    def prompt_columns(self, tools: Tools) -> tuple[str, ...]:
        """The columns that the prompts alone take, without those of the answer."""
        form = self.answer_format(tools)
        taken = (name for template in self._prompts for name in self._prompt_columns(template, form, tools))
        return tuple(dict.fromkeys(taken))

    def writer(self, tools: Tools) -> Writer:
        """What writes prompts for records given as dicts, for serving: the very code that training uses."""
        return self._writer(tools, ())

    def prompt_for(self, record: Row, tools: Tools) -> Prompted | Rejected:
        """The prompt of one record, the same as in training. For many records keep a `writer`."""
        return self.writer(tools).prompt({"images": [], **record})

    @property
    def _prompts(self) -> tuple[str, ...]:
        return (self.prompt,) if isinstance(self.prompt, str) else self.prompt

    @property
    def _answers(self) -> tuple[str, ...]:
        return ANSWERS.get(self.answer, (self.answer,)) if isinstance(self.answer, str) else self.answer

    @property
    def _counts(self) -> bool:
        return self.count_tokens or self.max_tokens is not None

    def _writer(self, tools: Tools, texts: tuple[str, ...] | list[str]) -> Writer:
        return Writer(
            prompts=tuple(
                Prompt(name, tools.templates, tools.label_variables, texts) for name in self._prompts
            ),
            form=self.answer_format(tools),
            labels=tools.labels,
            system=self.system or None,
            max_chars=self.max_chars,
            max_tokens=self.max_tokens,
            shrink=self.shrink,
            count_tokens=self.count_tokens,
        )

    def _prompt_columns(self, name: str, form: AnswerFormat, tools: Tools) -> list[str]:
        """The columns that a prompt takes. Raises UserError where it would give the answer away."""
        taken = tools.templates.variables(name)
        told = sorted(taken & {LABEL, _OWN_LABEL, *({"reason"} & set(form.variables))})
        if told:
            raise UserError(
                f"the prompt uses `{told[0]}`, which gives the answer away",
                remedy="Prompts may use `labels`, `label_json` and `label_names`.",
                where=tools.templates.place(name, told[0]),
            )
        unknown = sorted(taken & {"label_json", "label_names", "labels"} - tools.label_variables.keys())
        if unknown:
            raise UserError(
                f"the prompt uses `{unknown[0]}`, but the recipe has no `labels:`",
                remedy="Name the label file: `labels: ../templates/ecom/labels.yaml`.",
                where=tools.templates.place(name, unknown[0]),
            )
        return sorted(taken - tools.label_variables.keys())

    def _check_shrink(self, columns: dict[str, None]) -> None:
        for column in self.shrink:
            if column not in columns or column == "images":
                known = [name for name in columns if name != "images"]
                hint = did_you_mean(column, known) or f"It uses {', '.join(known) or 'none'}."
                raise UserError(f"`shrink` names `{column}`, which the prompt does not use", remedy=hint)

    def _check_columns(self, columns: list[str], tools: Tools) -> None:
        for name in self._prompts:
            for column in sorted(tools.templates.variables(name) - tools.label_variables.keys()):
                if column not in columns:
                    raise UserError(
                        f"template {name} uses `{column}`, which is no column here",
                        remedy=did_you_mean(column, columns) or f"Columns: {', '.join(columns)}.",
                        where=tools.templates.place(name, column),
                    )


class _Batches(FoldedWorker):
    """Renders batch by batch: plain records column by column, the others one by one."""

    def __init__(self, chat: Chat, writer: Writer, columns: tuple[str, ...], texts: set[str]) -> None:
        self.writer, self.columns = writer, columns
        self.keep, self.counts = chat.keep_messages, chat.count_tokens or chat.max_tokens is not None
        self.plain = None if self.keep else PlainRecords.of(writer, texts)

    def folded(self, records: Folded) -> tuple[Folded, list[Reject]]:
        frame = records.unfolded()
        if self.plain is None or frame.is_empty():
            batch = self._each(frame)[0]
            return Folded(batch.frame), batch.rejects
        made = self.plain.make(frame)
        done = (frame if made.done.all() else frame.filter(made.done)).with_columns(
            made.messages,
            made.chars.alias("prompt_chars"),
            pl.lit(0, dtype=pl.UInt8).alias("shrink_rung"),
        )
        if done.height == frame.height:
            return Folded(done, made.shared), []
        done = Folded(done, made.shared).unfolded()
        rest, kept = self._each(frame.filter(~made.done))
        places = pl.concat([made.done.arg_true(), (~made.done).arg_true().gather(kept)])
        return Folded(pl.concat([done, rest.frame])[places.arg_sort()]), rest.rejects

    def _each(self, frame: pl.DataFrame) -> tuple[Batch, list[int]]:
        """The records made one by one, and the places of those that go on."""
        chats, sizes = Chats(self.writer.system), list[Size]()
        rejected: dict[int, Rejected] = {}
        for at, values in enumerate(frame.select(self.columns).iter_rows()):
            record = dict(zip(self.columns, values, strict=True))
            record["images"] = record["images"] or []
            found = self._one(record, chats)
            if isinstance(found, Rejected):
                rejected[at] = found
            else:
                sizes.append(found)
        chars, tokens, rungs = zip(*sizes, strict=True) if sizes else ((), (), ())
        added = [chats.series(), pl.Series("prompt_chars", chars, dtype=pl.UInt32)]
        if self.counts:
            added.append(pl.Series("prompt_tokens", tokens, dtype=pl.UInt32))
        added.append(pl.Series("shrink_rung", rungs, dtype=pl.UInt8))
        kept = [at for at in range(frame.height) if at not in rejected]
        going = frame[kept] if rejected else frame
        return Batch(going.with_columns(added), _rejects(frame, rejected)), kept

    def _one(self, record: dict[str, Any], chats: Chats) -> Size | Rejected:
        if self.keep and record["messages"]:
            given = [
                (turn["role"], escape_except_images(turn["content"] or "")) for turn in record["messages"]
            ]
            size = self.writer.given(given, len(record["images"]))
            if not isinstance(size, Rejected):
                chats.add_given(given)
            return size
        answers = self.writer.answers(record)
        if isinstance(answers, Rejected):
            return answers
        prompted = self.writer.prompt(record)
        if isinstance(prompted, Rejected):
            return prompted
        chats.add(prompted.turns, answers)
        return prompted.chars, prompted.tokens, prompted.rung


def _rejects(frame: pl.DataFrame, rejected: dict[int, Rejected]) -> list[Reject]:
    places = frame[list(rejected)].select("id", "source_file", "source_line").rows()
    return [
        Reject(id_, found.reason, found.detail, file or "", line)
        for (id_, file, line), found in zip(places, rejected.values(), strict=True)
    ]
