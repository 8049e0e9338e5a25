"""What stands beside a chat and belongs to it, tools and boxes: whether a trainer can read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import orjson
import polars as pl

from datakit.core.training_columns import KTO, MARK_NAMES, OBJECTS, TOOLS, mark_of, plain_name
from datakit.read._kinds import JSON_TEXT

_OWN_NAMES = frozenset(map(plain_name, MARK_NAMES))
_LABELS = frozenset(map(plain_name, KTO.names))
"""Columns that may say of an answer whether it is wanted. Whoever drops one still learns no unwanted one."""
_PLACES = ("<bbox>", "<ref-object>", "<video>", "<audio>")
"""Signs of other trainers at which they put what stands in a column beside the chat."""


class UnfilledPlaces:
    """Counts the chats with places for boxes, films or sounds that no column fills."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, int] = {}

    def look_into(
        self,
        extra: Mapping[str, tuple[str, Any]],
        columns: Mapping[str, Sequence[Any]],
        chats: Sequence[list[dict[str, str]] | None],
        lines: Sequence[int],
        faults: Collection[int],
    ) -> None:
        """Notes the places of the chats of a block without faults, by the lines that they stand in."""
        objects = columns.get(extra.get(OBJECTS, ("", None))[0]) or [None] * len(chats)
        for at, turns in enumerate(chats):
            texts = [turn["content"] for turn in turns or () if "<" in turn["content"]]
            if not texts or at in faults:
                continue
            for sign in _PLACES[2:] if objects[at] else _PLACES:
                if any(sign in text for text in texts):
                    self._counts[sign] += 1
                    self._first.setdefault(sign, lines[at])

    def warnings(self) -> list[str]:
        """One line for each sign."""
        return [
            f"{count:,} chat{'s hold' if count > 1 else ' holds'} {sign} and nothing that belongs there, "
            f"such as line {self._first[sign]}: the sign is taken for text"
            for sign, count in self._counts.items()
        ]


def faults_beside_chats(
    extra: Mapping[str, tuple[str, Any]],
    columns: Mapping[str, Sequence[Any]],
    chats: Sequence[list[dict[str, str]] | None],
    images: Sequence[list[str]],
    marks: Collection[str] = (),
) -> Iterator[tuple[int, str, str]]:
    """Number of a row, reason and sentence, for each row that a trainer would stop at, or learn what is bad.

    `extra` are the further columns of the records: name -> name in the source and kind. `marks` are the
    labels that hold nothing else than marks in the whole source; of others only a plain false is one.
    """
    for name, values in columns.items():
        if not is_mark(name):
            continue
        certain = plain_name(name) in _OWN_NAMES or name in marks
        for at, value in enumerate(values):
            if (value is False or (certain and mark_of(value) is False)) and chats[at]:
                shown = "false" if value is False else repr(value)
                words = f"`{name}` is {shown}: the answer is marked as unwanted"
                if value is not False and may_be_class(name):
                    words += f" (where it is a class, name it: `label: {name}` or `keep: [{name}]`)"
                yield at, "answer_unwanted", words
    for name in (TOOLS, OBJECTS):
        source, kind = extra.get(name, ("", None))
        if kind not in (JSON_TEXT, pl.String()):
            continue
        for at, value in enumerate(columns.get(source, ())):
            turns = chats[at]
            if value is None or value == "" or not turns:
                continue
            if name == OBJECTS and (fault := objects_fault(value, turns, len(images[at]))):
                yield at, "objects_format", fault
            elif name == TOOLS and not are_tools(value):
                yield at, "tools_format", f"`{source}` is no list of functions, nor the JSON of one"


def is_mark(name: str) -> bool:
    """Whether a column of this name may say of answers whether they are wanted."""
    return plain_name(name) in _OWN_NAMES | _LABELS


def may_be_class(name: str) -> bool:
    """Whether it may as well hold the class of a picture or a chat."""
    return plain_name(name) in _LABELS


def are_tools(value: Any) -> bool:
    """Whether a value is a list of functions that the model may call, or its JSON."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return False
    return isinstance(value, list) and all(isinstance(tool, dict) for tool in value)


def objects_fault(value: Any, turns: list[dict[str, str]], pictures: int) -> str:
    """Why boxes beside a chat cannot be placed; "" when they can."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            return f"`objects` is no JSON: {error}"
    boxes = value.get("bbox", []) if isinstance(value, dict) else None
    if not isinstance(boxes, list) or not all(map(_is_box, boxes)):
        return "`objects` is no object whose `bbox` is a list of boxes"
    numbers = value.get("image_id") or [0] * len(boxes)
    places = sum(turn["content"].count("<bbox>") for turn in turns)
    if places not in (0, len(boxes)):
        return f"the chat has {places} <bbox> places for {len(boxes)} boxes"
    if len(numbers) != len(boxes) or any(number not in range(max(pictures, 1)) for number in numbers):
        return f"`image_id` does not say for each box which of {pictures} pictures it is in"
    return ""


def _is_box(box: Any) -> bool:
    numbers = isinstance(box, list) and all(isinstance(side, int | float) for side in box)
    return numbers and len(box) % 2 == 0
