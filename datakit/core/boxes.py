"""Boxes on pictures as records hold them: in pixels of the upright picture, checked in one place.

The column is a list of `{image, box, label, text}`: the number of the picture in `images` from 0; the box
`[x1, y1, x2, y2]` in pixels of the picture after its EXIF rotation, edges between pixels, so that
`[0, 0, width, height]` is the whole picture; what stands there (`label`) and what is written there (`text`),
either of which may be null. annotate.ocr's column is one of this kind, with a `score`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

BOXES = "boxes"
"""The column that readers of boxes give."""
UNCLEAR = "unclear boxes"
"""The note of a step that says of which boxes nothing says what they are: a list of {what, count, shown}."""
LEAST_WITHIN = 0.5
"""Least part of a box's area within its picture. Such a box is clipped to the picture, and counted; one with
less of it within was drawn on another picture, or at another size."""

Size = tuple[int, int]
"""Width and height in pixels."""
Sides = tuple[float, float, float, float]
"""Left, top, right and bottom."""


class Box(NamedTuple):
    """One box of a record."""

    image: int
    """Number of the picture, from 0."""
    sides: Sides
    """Left, top, right and bottom in pixels of the upright picture."""
    label: str | None = None
    """What stands there."""
    text: str | None = None
    """What is written there."""

    @property
    def name(self) -> str:
        """What the box is called in questions and answers: its label, else its text; "" for neither."""
        return self.label or self.text or ""

    def scaled(self, size: Size, other: Size) -> Box:
        """The box of a picture of one size on the same picture at another."""
        across, down = other[0] / size[0], other[1] / size[1]
        left, top, right, bottom = self.sides
        return self._replace(sides=(left * across, top * down, right * across, bottom * down))

    def entry(self) -> dict[str, Any]:
        """The box as the column holds it."""
        return {"image": self.image, "box": list(self.sides), "label": self.label, "text": self.text}


class BoxFault(Exception):
    """Boxes that cannot be used: the reason of rejection and the sentence for it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def checked(boxes: Sequence[Box], sizes: Sequence[Size]) -> tuple[list[Box], int]:
    """The boxes within the pictures of these sizes, and how many were clipped to them.

    Raises BoxFault for numbers that are not finite, a box without an area, one on a picture that the record
    does not have, and one of which less than half lies within its picture.
    """
    within = [_within(box, number, sizes) for number, box in enumerate(boxes, 1)]
    clipped = sum(box.sides != before.sides for box, before in zip(within, boxes, strict=True))
    return within, clipped


def of_column(value: Any) -> list[Box]:
    """The boxes of a record's column, unchecked. Raises BoxFault for what is no list of boxes."""
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise BoxFault("boxes_unreadable", f"the boxes are a {type(value).__name__}, not a list")
    return [_of_entry(entry, number) for number, entry in enumerate(value, 1)]


def _of_entry(entry: Any, number: int) -> Box:
    if not isinstance(entry, Mapping):
        raise BoxFault("boxes_unreadable", f"box {number} is a {type(entry).__name__}, not an object")
    image = entry.get("image") or 0
    if not isinstance(image, int) or isinstance(image, bool):
        raise BoxFault("box_picture", f"box {number} is on picture {image!r}, which is no number")
    return Box(image, four(entry.get("box"), number), _text(entry.get("label")), _text(entry.get("text")))


def four(value: Any, number: int) -> Sides:
    """Four numbers. Raises BoxFault for anything else; `number` is that of the box, from 1."""
    if not isinstance(value, list | tuple) or len(value) != 4 or not all(map(is_number, value)):
        raise BoxFault("boxes_unreadable", f"box {number} is not four finite numbers: {str(value)[:60]}")
    left, top, right, bottom = map(float, value)
    return left, top, right, bottom


def is_number(side: Any) -> bool:
    """Whether a value is a finite number."""
    try:
        return isinstance(side, int | float) and not isinstance(side, bool) and math.isfinite(side)
    except OverflowError:  # a whole number of more than 308 digits
        return False


def _text(value: Any) -> str | None:
    """A name as a text; null for a blank one."""
    text = "" if value is None else " ".join(str(value).split())
    return text or None


def _within(box: Box, number: int, sizes: Sequence[Size]) -> Box:
    left, top, right, bottom = four(box.sides, number)
    shown = f"box {number} {_shown(box.sides)}"
    if left >= right or top >= bottom:
        raise BoxFault("box_empty", f"{shown} has no area: it goes from left, top to right, bottom")
    if not 0 <= box.image < len(sizes):
        raise BoxFault("box_picture", f"{shown} is on picture {box.image}, the record has {len(sizes)}")
    width, height = sizes[box.image]
    inner = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
    area = max(inner[2] - inner[0], 0.0) * max(inner[3] - inner[1], 0.0)
    share = area / ((right - left) * (bottom - top))
    if share < LEAST_WITHIN:
        raise BoxFault("box_outside", f"{shown} {_outside(share, width, height)}")
    return box._replace(sides=inner)


def _outside(share: float, width: int, height: int) -> str:
    """How much of a box lies within its picture, and the rule."""
    picture = f"its picture of {width} x {height} pixels"
    if not share:
        return f"lies outside {picture}"
    part = f"{int(share * 100)}%" if share >= 0.01 else "less than 1%"  # rounded down: 49.9% is no half
    return f"lies outside {picture} but for {part} of its area; from {LEAST_WITHIN:.0%} on it is clipped"


def _shown(sides: Sequence[float]) -> str:
    return f"[{', '.join(f'{side:g}' for side in sides)}]"
