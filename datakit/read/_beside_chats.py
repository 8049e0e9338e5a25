"""What stands beside a chat and belongs to it, tools and boxes: whether a trainer can read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import polars as pl

from datakit.core.training_columns import KTO, MARKS, OBJECTS, TOOLS, plain_name
from datakit.read._kinds import JSON_TEXT

_OWN_NAMES = frozenset(map(plain_name, MARKS.names))
_MARKS = _OWN_NAMES | frozenset(map(plain_name, KTO.names))
"""Columns that say of an answer whether it is wanted. Whoever drops one still learns no unwanted one."""


def faults_beside_chats(
    extra: Mapping[str, tuple[str, Any]],
    columns: Mapping[str, Sequence[Any]],
    chats: Sequence[list[dict[str, str]] | None],
    images: Sequence[list[str]],
) -> Iterator[tuple[int, str, str]]:
    """Number of a row, reason and sentence, for each row that a trainer would stop at, or learn what is bad.

    `extra` are the further columns of the records: name -> name in the source and kind.
    """
    for name, values in columns.items():
        if (plain := plain_name(name)) in _MARKS:
            texts = ("false", "False") if plain in _OWN_NAMES else ()  # tables of text have no other false
            for at, value in enumerate(values):
                if (value is False or value in texts) and chats[at]:
                    yield at, "answer_unwanted", f"`{name}` is false: the answer is marked as unwanted"
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
