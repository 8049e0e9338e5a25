"""What records ask and what they answer, as texts that are equal where a model could not tell them apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import orjson
import polars as pl

from datakit.core import contract_values as values
from datakit.core.chat_columns import ChatColumns
from datakit.core.contract import AnswerContract, AnswerField
from datakit.core.contract_words import BETWEEN, Language
from datakit.core.factored_chats import CHATS
from datakit.core.json_texts import json_digests
from datakit.core.labels import LabelSet, normal_form
from datakit.core.outcome import Rejected
from datakit.core.templates import PROMPT_ROLES
from datakit.core.training_columns import LOSS, OBJECTS, TOOLS

COMPARED = {"question": pl.String(), "answer": pl.String(), "whole": pl.String(), "closed": pl.Boolean()}
KEYS = {
    "question": pl.UInt64(),
    "question_text": pl.String(),
    "answer": pl.UInt64(),
    "answer_text": pl.String(),
}
CHAT = "chat"
"""Column beside those of KEYS where records bring chats that are trained on: core.judged.chat_digest of the
chat as it was read; null without."""
BROUGHT = "brought"
"""Column beside those where records have more of the source's own that is asked or answered, such as a title:
core.judged.brought_digest of that and the chat; null without."""
BROUGHT_COLUMNS = "brought_columns"
"""Column beside that: core.judged.column_digests of them."""
_BETWEEN = "\x1f"
_SHOWN_CHARS = 80
_REMEMBERED = 100_000
_AROUND = " .。!！…"


def compared(
    records: pl.DataFrame, columns: ChatColumns, labels: LabelSet | None, given: pl.Series | None = None
) -> pl.DataFrame:
    """Columns of COMPARED, a line per record, out of those columns of `columns` that are there.

    - `question`: what is asked; places of pictures and white space make no difference. Never null.
    - `answer`: the value that is learnt and scored (the label, labels, number or boxes; else the last text;
      of a chat that a record brings, what it states in the answer's form, else all its answers); null for
      none. Texts are equal without regard to width, case, white space and the stop at the end.
    - `whole`: all that is answered.
    - `closed`: whether only one answer can be right, as it is a label, labels, a number or boxes; of texts
      several may be.

    `given` says which records bring a chat of their own; those that have messages when it is not there.
    """
    chats = _chats(records, columns, given)
    asks = [_text(records[name]) for name in columns.question if name in records.columns]
    question = _joined(asks, records.height)
    target, fields = _answers(records, columns, labels)
    closed = pl.repeat(columns.target.is_closed, records.height, dtype=pl.Boolean, eager=True)
    whole = _joined(fields, records.height)
    if chats is not None:
        question, target, whole, closed = _with_chats(
            (question, target, whole, closed), chats, columns, labels
        )
    plain = question.str.replace_all(r"<image>|\s", "")
    return pl.DataFrame(
        {
            "question": plain.set(plain.str.strip_chars(_BETWEEN) == "", ""),
            "answer": target,
            "whole": whole,
            "closed": closed,
        },
        schema=COMPARED,
    )


def compared_keys(
    records: pl.DataFrame, columns: ChatColumns, labels: LabelSet | None, given: pl.Series | None = None
) -> pl.DataFrame:
    """Columns `id` and those of KEYS: digests of `question` and `answer`, and for people the answer's
    beginning. `question_text` is there for records without pictures, which are their text."""
    chats = compared(records, columns, labels, given)
    alone = (records["images"].list.len().fill_null(0) == 0) & (chats["question"] != "")
    return records.select("id").hstack(
        chats.select(
            _digests(chats["question"]),
            pl.when(alone).then("question").alias("question_text"),
            _digests(chats["answer"]),
            pl.col("answer").str.slice(0, _SHOWN_CHARS).alias("answer_text"),
        )
    )


def _digests(texts: pl.Series) -> pl.Series:
    """64 bits of each text's digest."""
    digests = pl.Series(texts.name, json_digests(texts, 8), dtype=pl.Binary)
    return digests.bin.reinterpret(dtype=pl.UInt64, endianness="big")


def _chats(records: pl.DataFrame, columns: ChatColumns, given: pl.Series | None) -> pl.DataFrame | None:
    """Per record what is said in the chat that it brings: `asked`, `said`, `last`, `beside`; null without."""
    if columns.messages == "never" or CHATS not in records.columns:
        return None
    has = pl.col(CHATS).list.len().fill_null(0) > 0
    if given is not None:
        records = records.with_columns(pl.when(given).then(CHATS).alias(CHATS))
    tools = [_text(records[name]) for name in (TOOLS,) if name in records.columns]
    beside = [_text(records[name]) for name in (LOSS, OBJECTS) if name in records.columns]
    frame = records.select(
        asked=pl.when(has).then(_turns(asked=True)),
        said=pl.when(has).then(_turns(asked=False)),
        last=pl.when(has).then(pl.col(CHATS).list.last().struct.field("content")),
    )
    if frame["asked"].null_count() == frame.height:
        return None
    asked = [frame["asked"], *tools]
    return frame.with_columns(
        asked=pl.when(pl.col("asked").is_not_null()).then(_joined(asked, records.height)),
        beside=_joined(beside, records.height),
    )


def _turns(*, asked: bool) -> pl.Expr:
    """The turns that are read, or those that are learnt, as one text."""
    reads = pl.element().struct.field("role").is_in(PROMPT_ROLES)
    turns = pl.element().filter(reads if asked else ~reads).struct.field("content")
    return pl.col(CHATS).list.eval(turns).list.join(_BETWEEN).fill_null("")


def _with_chats(
    plain: tuple[pl.Series, pl.Series, pl.Series, pl.Series],
    chats: pl.DataFrame,
    columns: ChatColumns,
    labels: LabelSet | None,
) -> tuple[pl.Series, pl.Series, pl.Series, pl.Series]:
    """The same, with what the chats of records say in place of (or beside) their columns."""
    question, target, whole, closed = plain
    rows = chats.with_columns(question=question, target=target, whole=whole, closed=closed)
    chat = pl.col("asked").is_not_null()
    if columns.messages == "beside":
        rows = rows.with_columns(
            asked=pl.concat_str("question", "asked", separator=_BETWEEN),
            said=pl.concat_str("whole", "said", separator=_BETWEEN),
            stated="target",
            reply=rows["said"],
        )
    else:
        stated = _mapped(rows["last"], lambda text: _stated(text, columns, labels))
        rows = rows.with_columns(stated=stated, reply=pl.col("said"))
    reply = _mapped(rows["reply"], _plain)
    answer = pl.coalesce("stated", reply)
    rows = rows.with_columns(
        question=pl.when(chat).then("asked").otherwise("question"),
        target=pl.when(chat).then(answer).otherwise("target"),
        whole=pl.when(chat).then(pl.concat_str("said", "beside", separator=_BETWEEN)).otherwise("whole"),
        closed=pl.when(chat).then(pl.col("stated").is_not_null() & pl.col("closed")).otherwise("closed"),
    )
    return rows["question"], rows["target"], rows["whole"], rows["closed"]


def _stated(text: str, columns: ChatColumns, labels: LabelSet | None) -> str | None:
    """The target's value that an answer in the form of a contract states to the letter; None for others."""
    for contract in columns.contracts:
        field = contract.target
        if field.is_closed and (field.kind != "label" or labels is not None or len(contract.fields) > 1):
            answer = contract.read(text, labels)
            if answer.exact and not answer.problem:
                return _same_order(field, answer.values.get(field.name, ""), contract.language)
    return None


def _answers(
    records: pl.DataFrame, columns: ChatColumns, labels: LabelSet | None
) -> tuple[pl.Series, list[pl.Series]]:
    """The target's value, and those of all fields, as answers write them."""
    target = pl.Series("answer", [None] * records.height, dtype=pl.String)
    every = []
    for column, field in columns.fields.items():
        if column not in records.columns:
            continue
        texts = _written(records[column], field, columns.contracts[0], labels)
        every.append(texts)
        if column == columns.target.source:
            target = texts if field.is_closed else _mapped(texts, _plain)
    return target, [*every, *(_text(records[name]) for name in columns.behind if name in records.columns)]


def _written(
    column: pl.Series, field: AnswerField, contract: AnswerContract, labels: LabelSet | None
) -> pl.Series:
    """The text that stands for each value; null where there is none."""
    unbounded = field.model_copy(update={"max_chars": None})

    def text(value: Any) -> str | None:
        spelt = values.written(unbounded, value, contract.language, labels)
        if isinstance(spelt, Rejected):  # an unknown label, or what is no number: as it stands
            return None if value is None else (str(value).strip() or None)
        return _same_order(field, spelt, contract.language) or None

    if column.dtype == pl.String:
        known = _mapped(column, text)
        return known if not field.optional else known.fill_null(text(None) or "")
    return pl.Series([text(value) for value in column.to_list()], dtype=pl.String)


def _same_order(field: AnswerField, text: str, language: Language) -> str:
    """Several labels, and boxes, sorted: their order says nothing."""
    if field.kind == "boxes" and text.startswith("["):
        boxes = (orjson.dumps(box, option=orjson.OPT_SORT_KEYS).decode() for box in orjson.loads(text))
        return f"[{','.join(sorted(boxes))}]"
    if field.kind == "labels":
        return BETWEEN[language].join(sorted(text.split(BETWEEN[language])))
    return text


@lru_cache(_REMEMBERED)
def _plain(text: str) -> str | None:
    """A text as it is compared; None for an empty one."""
    return normal_form(text).strip(_AROUND) or None


def _text(column: pl.Series) -> pl.Series:
    """A column of any type as texts; null and an empty list are nothing."""
    if column.dtype == pl.String:
        return column
    if not column.dtype.is_nested():
        return column.cast(pl.String)
    texts = [orjson.dumps(value, default=str).decode() if value else None for value in column.to_list()]
    return pl.Series(column.name, texts, dtype=pl.String)


def _joined(texts: list[pl.Series], height: int) -> pl.Series:
    if not texts:
        return pl.repeat("", height, dtype=pl.String, eager=True)
    frame = pl.DataFrame([text.fill_null("").alias(str(at)) for at, text in enumerate(texts)])
    return frame.select(pl.concat_str(pl.all(), separator=_BETWEEN)).to_series()


def _mapped(texts: pl.Series, change: Callable[[str], str | None]) -> pl.Series:
    """Each text changed; equal ones once."""
    distinct = texts.drop_nulls().unique().to_list()
    known: Mapping[str, str | None] = {text: change(text) for text in distinct}
    if not known:
        return pl.Series(texts.name, [None] * len(texts), dtype=pl.String)
    return texts.replace_strict(known, default=None, return_dtype=pl.String)
