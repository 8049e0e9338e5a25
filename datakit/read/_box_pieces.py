"""Boxes as cells of a source have them -> pieces: four numbers each, and what the source says of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from datakit.core.box_forms import PARTS
from datakit.core.box_texts import LABEL_KEYS, SIDES_KEYS, TEXT_KEYS, in_thousandths, stated_boxes
from datakit.core.box_units import BoxUnits, own_units
from datakit.core.boxes import BoxFault
from datakit.read._dialogue import ROLES

_TURNS = ("rotation", "angle")
_IMAGE_KEYS = ("image", "image_id", "image_index")
_TURN_KEYS = (("role", "content"), ("from", "value"))


@dataclass(frozen=True)
class Piece:
    """One box as the source has it."""

    sides: Any
    units: BoxUnits
    image: int | None = 0
    """Number of the picture; None where boxes stand in a text, which says none."""
    label: str | None = None
    text: str | None = None
    rotation: float = 0.0
    """Degrees by which it is turned."""
    is_said: bool = True
    """Whether the recipe or the notation says what the numbers are."""


def pieces_of(cell: Any, units: BoxUnits | None) -> list[Piece]:
    """The boxes of one cell: a list of boxes or of objects, one of either, ms-swift's `objects`, a chat whose
    answers state boxes, or such a text. Raises BoxFault for what holds none."""
    value = _packed(cell) if isinstance(cell, str) else cell
    if value is None or value in ("", [], {}):
        return []
    if isinstance(value, str):
        pieces = _of_text(value, units)
        if not pieces:
            raise BoxFault("boxes_unreadable", f"the text states no box: {value[:60]}")
        return pieces
    if isinstance(value, Mapping):
        boxes = value.get("bbox")
        lists = isinstance(boxes, list) and (not boxes or isinstance(boxes[0], list))
        return _of_swift(value, units) if lists else [_of_object(value, 1, units)]
    if not isinstance(value, list):
        raise BoxFault("boxes_unreadable", f"the boxes are a {type(value).__name__}, not a list")
    if (answers := _answers(value)) is not None:
        return [piece for answer in answers for piece in _of_text(answer, units)]
    if not isinstance(value[0], list | Mapping):
        return [Piece(value, units or "pixels", is_said=units is not None)]
    return [
        _of_object(item, number, units)
        if isinstance(item, Mapping)
        else Piece(item, units or "pixels", is_said=units is not None)
        for number, item in enumerate(value, 1)
    ]


def _of_text(text: str, units: BoxUnits | None) -> list[Piece]:
    """The boxes of a text, in what its marks say where the recipe does not."""
    entries = stated_boxes(text)
    marked = units is None and in_thousandths(text)
    if marked:
        _check_thousandths([side for entry in entries for side in entry["bbox_2d"]], text)
    own: BoxUnits = units or ("thousandths" if marked else "pixels")
    is_said = marked or units is not None
    return [
        Piece(entry["bbox_2d"], own, None, _plain(entry.get("label")), is_said=is_said) for entry in entries
    ]


def _check_thousandths(sides: Sequence[float], text: str) -> None:
    """Raises BoxFault for numbers that are none, though the marks around them say so."""
    shown = f"marks of thousandths of the sides, and numbers that are none: {text.strip()[:60]}"
    if max(sides, default=0) > PARTS:
        raise BoxFault("boxes_unreadable", f"{shown}. If they are pixels, say `box_units: pixels`")
    if any(side % 1 for side in sides) and all(0 <= side <= 1 for side in sides):
        raise BoxFault("boxes_unreadable", f"{shown}. If they are shares, say `box_units: shares`")


def _packed(text: str) -> Any:
    """The JSON that a text is as a whole; else the text."""
    try:
        return orjson.loads(text) if text[:1] in ("[", "{") else text.strip()
    except orjson.JSONDecodeError:
        return text


def _of_object(item: Any, number: int, units: BoxUnits | None) -> Piece:
    if not isinstance(item, Mapping):
        raise BoxFault("boxes_unreadable", f"box {number} is a {type(item).__name__}, not an object")
    image = next((item[key] for key in _IMAGE_KEYS if item.get(key) is not None), 0)
    if not isinstance(image, int) or isinstance(image, bool):
        raise BoxFault("box_picture", f"box {number} is on picture {image!r}, which is no number from 0")
    label = next((item[key] for key in LABEL_KEYS if item.get(key) not in (None, "")), None)
    own, is_said = own_units(item, number, units)
    if own == "percent" and "x" in item:
        sides: Any = [item.get(key) for key in ("x", "y", "width", "height")]
    else:
        sides = next((item[key] for key in SIDES_KEYS if key in item), None)
    text = next((item[key] for key in TEXT_KEYS if item.get(key) not in (None, "")), None)
    return Piece(sides, own, image, _plain(label), _plain(text), _rotation(item, number), is_said)


def _rotation(item: Mapping[str, Any], number: int) -> float:
    """Degrees by which a box is turned, 0 for an upright one. Raises BoxFault for what is no number."""
    own = item.get("attributes")
    beside = own if isinstance(own, Mapping) else {}
    value = next((found for key in _TURNS for found in (item.get(key), beside.get(key)) if found), 0)
    with suppress(TypeError, ValueError):
        degrees = math.nan if isinstance(value, bool) else float(value)
        if math.isfinite(degrees):
            return degrees % 360
    raise BoxFault("boxes_unreadable", f"box {number} is turned by {value!r}, which is no number of degrees")


def _of_swift(objects: Mapping[str, Any], units: BoxUnits | None) -> list[Piece]:
    """ms-swift's `{ref, bbox, bbox_type, image_id}`; `bbox_type` is real (pixels, as without it) or norm1
    (shares)."""
    boxes, kind = objects["bbox"], objects.get("bbox_type") or "real"
    names, texts = (_names(objects, keys) for keys in (LABEL_KEYS, TEXT_KEYS))
    numbers = objects.get("image_id") or [0] * len(boxes)
    if kind not in ("real", "norm1"):
        raise BoxFault("objects_format", f"`bbox_type` is {kind!r}, neither real nor norm1")
    if len(numbers) != len(boxes) or any(not isinstance(number, int) for number in numbers):
        raise BoxFault("objects_format", f"{len(boxes)} boxes, but `image_id` is {numbers}")
    names = objects.get("ref") or names
    if len(names) == 1:
        names = names * len(boxes)  # the question names the object once, whatever the answer finds
    if (names and len(names) != len(boxes)) or (texts and len(texts) != len(boxes)):
        words = f"{len(boxes)} boxes, but {len(names)} names in `ref` or its like, and {len(texts)} texts"
        raise BoxFault("objects_format", words)
    nothing = [None] * len(boxes)
    own: BoxUnits = "shares"
    if kind == "real":
        own, _ = own_units({key: value for key, value in objects.items() if key != "bbox_type"}, 1, units)
    return [
        Piece(sides, own, number, _plain(name), _plain(text))
        for sides, number, name, text in zip(boxes, numbers, names or nothing, texts or nothing, strict=True)
    ]


def _names(objects: Mapping[str, Any], keys: Sequence[str]) -> list[Any]:
    """The list of texts under the first of these keys; numbers of classes are no names."""
    lists = (objects[key] for key in keys if isinstance(objects.get(key), list))
    return next((names for names in lists if names and all(isinstance(name, str) for name in names)), [])


def _answers(value: list[Any]) -> list[str] | None:
    """The answers of a chat; None for a list that is no chat."""
    for role, content in _TURN_KEYS:
        if all(isinstance(turn, Mapping) and role in turn and content in turn for turn in value):
            answers = (turn[content] for turn in value if ROLES.get(str(turn[role])) == "assistant")
            return [_answer_text(answer) for answer in answers]
    return None


def _answer_text(content: Any) -> str:
    """What an answer says, as a text or as OpenAI's list of parts."""
    if isinstance(content, list):
        parts = (part.get("text") if isinstance(part, Mapping) else part for part in content)
        return "\n".join(str(part) for part in parts if part is not None)
    return "" if content is None else str(content)


def _plain(value: Any) -> str | None:
    if isinstance(value, list):  # Label Studio writes lists of labels and of lines
        value = ", ".join(str(part) for part in value)
    text = "" if value is None else " ".join(str(value).split())
    return text or None
