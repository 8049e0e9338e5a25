"""Prompts and answers of a whole batch made column by column, for the records that need nothing special."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl

from datakit.core.answer import LABEL, AnswerFormat, TurnFormat
from datakit.core.answer_forms import ContractFormat
from datakit.core.factored_chats import SharedAffixes, uncut
from datakit.core.prompt import Prompt, Shape
from datakit.core.template_filters import Chain, filtered
from datakit.core.templates import BREAKING, UNFINISHED, is_unfinished
from datakit.core.writer import Writer
from datakit.render._chats import joined, woven

_WHITE = "".join(char for char in map(chr, range(0x3001)) if char.isspace())
"""What Python strips; polars knows a few characters less."""
_UNEVEN = "[" + "".join(re.escape(char) for char in _WHITE if char != " ") + "]|  "
"""White space that a contract's line writes as one space."""


@dataclass(frozen=True)
class Plain:
    """What was made of a batch."""

    done: pl.Series
    """Which records were made; the others are for the writer, one by one."""
    messages: pl.Series
    """Of those made, in order, folded."""
    shared: tuple[SharedAffixes, ...]
    """What the messages lack."""
    chars: pl.Series


class PlainRecords:
    """Makes what the writer makes, ten times quicker, of records that fit and are complete."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer

    @classmethod
    def of(cls, writer: Writer, texts: set[str]) -> PlainRecords | None:
        """None where a template must be rendered record by record, or tokens be counted."""
        counted = writer.count_tokens or writer.max_tokens is not None
        simple = all(prompt.texts is not None for prompt in writer.prompts) and _plain_answer(writer.form)
        return cls(writer) if simple and not counted and set(writer.form.columns.values()) <= texts else None

    def make(self, frame: pl.DataFrame) -> Plain:
        """The records of a batch that are plain."""
        images = frame["images"].list.len().fill_null(0).cast(pl.Int64).alias("images")
        done = pl.repeat(True, frame.height, dtype=pl.Boolean, eager=True)
        chars = pl.zeros(frame.height, dtype=pl.Int64, eager=True)
        turns: list[pl.Series] = []
        shared = [] if self.writer.system is None else [SharedAffixes(self.writer.system)]
        answers = self._answers(frame)
        for number, (prompt, form) in enumerate(
            zip(self.writer.prompts, self.writer.form.turns, strict=True)
        ):
            user, places, around = _user_turn(prompt, frame, images)
            done &= places == (images if number == 0 else 0)
            chars += user.str.len_chars() + len(around.start) + len(around.end)
            shared += [around, SharedAffixes()]
            answer = _answer_turn(form, answers)
            done &= _readable(form, answers)
            turns += [user, answer]
        done &= answers.select(pl.all_horizontal(pl.all().str.len_bytes() > 0)).to_series().fill_null(False)
        done &= _as_they_are(self.writer.form, answers)
        if self.writer.max_chars is not None:
            done &= chars <= self.writer.max_chars
        every = bool(done.all())
        return Plain(
            done,
            woven(
                [turn if every else turn.filter(done) for turn in turns],
                None if self.writer.system is None else "",
            ),
            tuple(shared),
            (chars if every else chars.filter(done)).cast(pl.UInt32),
        )

    def _answers(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The answers' values, stripped; the label in its canonical spelling, null for a stranger."""
        names = self.writer.form.variables
        columns = self.writer.form.columns
        values = frame.select(pl.col(columns[name]).str.strip_chars(_WHITE).alias(name) for name in names)
        labels = self.writer.labels
        if labels is None or LABEL not in names:
            return values
        spelt = {
            text: label.name
            for text in values[LABEL].unique().drop_nulls()
            if (label := labels.find(text)) is not None
        }
        return values.with_columns(pl.col(LABEL).replace_strict(spelt, default=None, return_dtype=pl.String))


def _user_turn(
    prompt: Prompt, frame: pl.DataFrame, images: pl.Series
) -> tuple[pl.Series, pl.Series, SharedAffixes]:
    """The turn's texts, how many `<image>` places each has, and what goes around all the texts."""
    assert prompt.texts is not None  # see `PlainRecords.of`
    columns = [frame[name] for name in prompt.texts]
    key = images
    for texts in columns:
        key = key * 3 + (texts.str.len_bytes().clip(0, 1) + 1).fill_null(0).cast(pl.Int64)
    known: dict[tuple[str, Chain], pl.Series] = {}
    for name, chain in prompt.tests:
        behind = frame[name].map_elements(partial(filtered, chain=chain), return_dtype=pl.String)
        key = key * 2 + (behind.str.len_bytes() > 0).fill_null(False).cast(pl.Int64)
        known[name, chain] = behind
    slots = _Slots(prompt, frame, known)
    kinds = key.unique().to_list()
    parts, places, orders, around = [], [], [], SharedAffixes()
    for value in kinds:
        rows = (key == value).arg_true()
        shape = prompt.shape([""] * images[rows[0]], [texts[rows[0]] for texts in columns])
        whole = [slots.written(place) for place in shape.places]
        chosen = whole if len(kinds) == 1 else [texts.gather(rows) for texts in whole]
        constants = shape.constants
        if len(kinds) == 1 and len(constants) > 1:
            around, first, last = uncut(constants[0], constants[-1])
            constants = (first, *constants[1:-1], last)
        parts.append(joined(constants, chosen, len(rows)))
        places.append(_image_places(shape, chosen, len(rows)))
        orders.append(rows)
    if len(parts) == 1:
        return parts[0], places[0], around
    order = pl.concat(orders).arg_sort()
    return pl.concat(parts).gather(order), pl.concat(places).gather(order), around


def _image_places(shape: Shape, texts: Sequence[pl.Series], height: int) -> pl.Series:
    """How many `<image>` places each turn has; -1, never as many as the pictures, where what follows a part
    could make a token of its end."""
    counts = pl.repeat(shape.images, height, dtype=pl.Int64, eager=True)
    split = pl.repeat(any(map(is_unfinished, shape.constants[:-1])), height, dtype=pl.Boolean, eager=True)
    for text in texts:
        counts += text.str.count_matches("<image>", literal=True).cast(pl.Int64)
        split |= text.str.contains(UNFINISHED + "$")
    return counts.set(split, -1)


class _Slots:
    """The texts of a batch as they are written into the prompt, each kind made once."""

    def __init__(
        self, prompt: Prompt, frame: pl.DataFrame, known: Mapping[tuple[str, Chain], pl.Series]
    ) -> None:
        """`known`: column and filters -> the texts behind them, as far as the template asks for these."""
        self._prompt, self._frame, self._known = prompt, frame, known
        self._written: dict[int, pl.Series] = {}

    def written(self, place: int) -> pl.Series:
        """Those of one slot."""
        if place not in self._written:
            slot = self._prompt.slot(place)
            column = (self._prompt.texts or ())[slot.column]
            behind = max(
                (n for n in range(len(slot.chain) + 1) if (column, slot.chain[:n]) in self._known), default=0
            )
            texts = self._known.get((column, slot.chain[:behind]), self._frame[column])
            write = partial(slot.write, behind=behind)
            self._written[place] = _changed(texts, write, every=behind < len(slot.chain))
        return self._written[place]


def _answer_turn(form: TurnFormat, values: pl.DataFrame) -> pl.Series:
    return joined(form.constants, [values[name] for name in form.variables], values.height)


def _readable(form: TurnFormat, values: pl.DataFrame) -> pl.Series:
    """Whether no value holds a separator of the turn, or a token that breaks the trainer."""
    held = [pl.col(name).str.contains(BREAKING).fill_null(False) for name in form.variables]
    held += [
        pl.col(name).str.contains(separator, literal=True).fill_null(False)
        for name in form.variables
        for separator in form.separators
    ]
    if not held:
        return pl.repeat(True, values.height, dtype=pl.Boolean, eager=True)
    return values.select(~pl.any_horizontal(held)).to_series()


def _plain_answer(form: AnswerFormat) -> bool:
    """Whether the answer holds texts only, and each of them always."""
    if not isinstance(form, ContractFormat):
        return True
    fields = form.contract.fields
    return all(field.kind in ("text", "line", "label") and not field.optional for field in fields)


def _as_they_are(form: AnswerFormat, values: pl.DataFrame) -> pl.Series:
    """Which records' values a contract takes as they are: lines that are one line, and not too long."""
    fits = [pl.lit(True)]
    for field in form.contract.fields if isinstance(form, ContractFormat) else ():
        if field.kind != "text":
            fits.append(~pl.col(field.name).str.contains(_UNEVEN).fill_null(False))
        if field.max_chars is not None:
            fits.append((pl.col(field.name).str.len_chars() <= field.max_chars).fill_null(False))
    even = values.select(pl.all_horizontal(fits).alias("even")).to_series()
    return even if len(even) == values.height else pl.repeat(bool(even[0]), values.height, eager=True)


def _changed(texts: pl.Series, write: Callable[[str], str], *, every: bool) -> pl.Series:
    """The texts as they are written: `every` one by its filters, else those escaped that need it, as only
    what holds a bracket can."""
    risky = texts.is_not_null() if every else texts.str.contains(r"<|\{\{").fill_null(False)
    if not risky.any():
        return texts
    changed = pl.Series([str(write(text)) for text in texts.filter(risky)], dtype=pl.String)
    return texts.clone().scatter(risky.arg_true(), changed)
