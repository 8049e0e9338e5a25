"""Boxes as they are scored: those of a truth, and those that an answer states, in the same numbers.

An answer counts in the numbers that it was trained in. A scale for each side changes no overlap, so that the
figures are those of the original picture.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datakit.core.box_texts import entries_in, entry_of

Sides = tuple[float, float, float, float]


@dataclass(frozen=True)
class PlacedBoxes:
    """The boxes of one record."""

    sides: tuple[Sides, ...]
    """Left, top, right and bottom of each."""
    names: tuple[str, ...]
    """What each is called; "" for a box without a name."""

    def __str__(self) -> str:
        """As one line of JSON."""
        entries = [
            {"bbox_2d": [int(side) if side.is_integer() else side for side in sides], "label": name}
            for sides, name in zip(self.sides, self.names, strict=True)
        ]
        return json.dumps(entries, ensure_ascii=False)


def read_boxes(value: Any) -> PlacedBoxes | None:
    """The boxes that a value states: a list of objects, or a text in any usual form; None for no boxes."""
    if isinstance(value, str):
        value = entries_in(value)
    if not isinstance(value, list | tuple) or not value:
        return None
    entries = [entry_of(item) if isinstance(item, Mapping) else None for item in value]
    if not all(entries):
        return None
    boxes = [entry for entry in entries if entry is not None]
    sides = (
        (float(left), float(top), float(right), float(bottom))
        for left, top, right, bottom in (entry["bbox_2d"] for entry in boxes)
    )
    return PlacedBoxes(tuple(sides), tuple(entry.get("label", "") for entry in boxes))
