"""Columns of training data that mean something to a trainer beyond the chat and its pictures: the one list.

Readers count them, emitters say which of them they carry, and a build stops where one would be lost.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

LOSS = "turn_loss"
"""Column of records: for each turn of `messages` whether it is trained on; null where data does not say."""
TOOLS = "tools"
"""Column of records: the tools that the model may call, as JSON."""
OBJECTS = "objects"
"""Column of records: boxes and names that a chat refers to, as JSON of `bbox`, `ref` and more (ms-swift)."""

_MASKS = ("masked", "is_masked")
WEIGHTS = ("loss", "weight", "train", "trainable", "loss_scale", "loss_weight", "loss_mask", *_MASKS)
"""Keys of turns that say whether they are trained on. Loss masks are 1 where so; masked turns are not."""


@dataclass(frozen=True)
class TrainingColumn:
    """What data means by a column, or by a key of its turns."""

    names: tuple[str, ...]
    """What the field calls it, the most usual name first."""
    meaning: str
    """What would be lost, as the end of a sentence that begins with "holds"."""
    remedy: str = ""
    """What else can be done than to drop it or to choose another emitter."""
    only_chats: bool = True
    """Whether it means so beside chats only. Elsewhere a column of this name may be anything."""


_PREFERENCE = (
    "This is preference data; datakit makes data for supervised training: name the answers to learn."
)

_MARKED = (
    "This is preference data; datakit makes data for supervised training. Without the column the wanted "
    "answers are learnt, and the unwanted ones rejected (answer_unwanted)."
)
MARKS = TrainingColumn(("kto_tag",), "marks of wanted and unwanted answers", _MARKED, only_chats=False)
WANTED = TrainingColumn(("desirable", "is_desirable"), "marks of wanted and unwanted answers", _MARKED)

COLUMNS = (
    TrainingColumn(("videos",), "videos", only_chats=False),
    TrainingColumn(("video",), "a video"),
    TrainingColumn(("audios",), "sound", only_chats=False),
    TrainingColumn(("audio",), "sound"),
    TrainingColumn(("tools", "functions"), "the tools that the model may call"),
    TrainingColumn(("objects",), "boxes and names of objects", only_chats=False),
    TrainingColumn(("bbox", "bboxes"), "boxes"),
    TrainingColumn(
        ("chosen", "chosen_response", "chosen_messages"), "preferred answers", _PREFERENCE, only_chats=False
    ),
    TrainingColumn(
        ("rejected", "rejected_response", "rejected_messages"),
        "answers that others are preferred to",
        _PREFERENCE,
        only_chats=False,
    ),
    MARKS,
    WANTED,
    TrainingColumn(
        ("reward", "rewards", "reward_score"),
        "how good the answers are",
        "This is reward data; datakit makes data for supervised training, which learns every answer.",
    ),
    TrainingColumn((LOSS,), "which answers are trained on"),
    TrainingColumn(("loss", "weight", "weights", "loss_scale"), "how much a record weighs in training"),
    TrainingColumn(
        ("reasoning_content", "reasoning", "thinking"),
        "the model's thoughts",
        "Or write the thoughts into the answers, as <think>…</think>.",
    ),
    TrainingColumn(("function_call", "tool_calls"), "a call of a tool"),
    TrainingColumn(("system",), "the system's text"),
    TrainingColumn(("history",), "earlier turns"),
)
KTO = TrainingColumn(("label",), "marks of wanted and unwanted answers", _MARKED)
"""What a label that is true or false means beside a chat."""
TURN_KEYS = (
    TrainingColumn(WEIGHTS, "which answers are trained on"),
    TrainingColumn(
        ("reasoning_content", "reasoning", "thinking"),
        "the model's thoughts",
        "Or write the thoughts into the answers, as <think>…</think>.",
    ),
    TrainingColumn(("name",), "the name of who speaks"),
    TrainingColumn(("audio",), "sound"),
    TrainingColumn(("videos", "video"), "videos"),
    TrainingColumn(("refusal",), "a refusal"),
)
"""Keys of turns besides their role, their content and calls of tools, which become turns."""


MARK_NAMES = frozenset({*MARKS.names, *WANTED.names})
"""Columns that are marks of answers whatever else they hold; a `label` may be a class."""


def mark_of(value: Any) -> bool | None:
    """Whether a value says that an answer is wanted: true, 1 and their texts; None for what is no mark."""
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().casefold())
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else None


def is_trained(key: str, value: Any) -> bool | None:
    """Whether a turn is trained on, by one of the keys WEIGHTS; None for a value that says neither."""
    mark = mark_of(value)
    return mark if mark is None or key not in _MASKS else not mark


def are_marks(values: Collection[Any]) -> bool:
    """Whether the different values of a `label` beside chats are marks: none but true and false, 0 and 1.

    Texts are marks where both stand there: a class may be called "false".
    """
    marks = {mark_of(value) for value in values}
    texts = any(isinstance(value, str) for value in values)
    return marks == {True, False} or (not texts and None not in marks)


def plain_name(name: str) -> str:
    """A column's name without differences of case, width, spaces, `_` and `-`."""
    return re.sub(r"[\s_\-]+", "", unicodedata.normalize("NFKC", name).casefold())


_BY_COLUMN = {plain_name(name): column for column in COLUMNS for name in column.names}
_BY_TURN_KEY = {name: column for column in TURN_KEYS for name in column.names}

TURN_NAMES = frozenset(_BY_TURN_KEY)


def column_meaning(name: str, *, chats: bool) -> TrainingColumn | None:
    """What a column of the source means to a trainer; None for one that is the user's own."""
    column = _BY_COLUMN.get(plain_name(name))
    return column if column is not None and (chats or not column.only_chats) else None


def turn_meaning(key: str) -> TrainingColumn | None:
    """What a key of a turn means to a trainer."""
    return _BY_TURN_KEY.get(key)


@dataclass(frozen=True)
class SourceColumn:
    """A column, or a key of turns, that means something to a trainer, as a source has it."""

    name: str
    """As the source writes it."""
    records: int
    """How many records have a value."""
    meaning: TrainingColumn
    column: str
    """The column of the records that holds it; "" for a key of turns that records do not hold."""
    of_turns: bool = False
