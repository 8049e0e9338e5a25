"""Boxes of which a source does not say what their numbers are, or on which pixels they stand: counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from datakit.core.box_forms import PARTS
from datakit.core.boxes import Size

_SHOWN = 100
"""Places that a finding names."""
_ODDS = math.log(10)
"""Boxes are pixels where pixels are so many times likelier than thousandths."""


class Numbers(NamedTuple):
    """The numbers of a record's boxes, and the size of the picture of each."""

    sides: Sequence[Sequence[float]]
    sizes: Sequence[Size]

    @property
    def greatest(self) -> float:
        return max(max(sides) for sides in self.sides)


@dataclass
class _Finding:
    """How many records have it, and the first of them."""

    count: int = 0
    shown: dict[str, str] = field(default_factory=dict)
    """Place of the row -> a box of it."""

    def add(self, place: str, sides: Sequence[float]) -> None:
        self.count += 1
        if len(self.shown) < _SHOWN:
            self.shown[place] = f"[{', '.join(f'{side:g}' for side in sides)}]"

    def told(self, what: str) -> dict[str, Any]:
        return {"what": what, "count": self.count, "shown": self.shown}


@dataclass
class BoxDoubts:
    """What readers assume of boxes because nothing says it, over a whole source."""

    _as_pixels: _Finding = field(default_factory=_Finding)
    _on_upright: _Finding = field(default_factory=_Finding)
    _odds: float = 0.0
    """Logarithm of how much likelier the boxes are pixels than thousandths of the sides."""
    _contrary: bool = False
    """Whether boxes fit their pictures as thousandths alone, or stand beside thousandths."""
    _over: bool = False
    """Whether numbers are over a thousand, as no thousandths are."""

    def read_as_pixels(self, place: str, numbers: Numbers, *, mixed: bool = False) -> None:
        """Notes a record whose boxes were read as pixels though nothing says that they are.

        The far corner of a box lies anywhere in a picture of so many pixels, or in a square of thousandths.
        One box a record counts, since those of one picture are often alike. `mixed`: other boxes of the
        record are marked as thousandths.
        """
        self._contrary = self._contrary or mixed
        self._over = self._over or numbers.greatest > PARTS
        width, height = numbers.sizes[0]
        self._odds += 2 * math.log(PARTS) - math.log(width * height)
        self._as_pixels.add(place, numbers.sides[0])

    def outside(self, numbers: Numbers) -> str:
        """The remedy for boxes that lie outside as pixels and within as thousandths; else nothing."""
        if numbers.greatest > PARTS or min(min(sides) for sides in numbers.sides) < 0:
            return ""
        self._contrary = True
        return ". As thousandths of the sides they lie within: `box_units: thousandths`"

    def taken_for_upright(self, place: str, sides: Sequence[float]) -> None:
        """Notes a record with a box on a picture that EXIF turns, where no size says on which pixels."""
        self._on_upright.add(place, sides)

    def findings(self) -> list[dict[str, Any]]:
        """What was assumed, of how many records, and where."""
        findings = list[dict[str, Any]]()
        is_clear = self._over or (self._odds >= _ODDS and not self._contrary)
        if self._as_pixels.count and not is_clear:
            words = "with boxes that may be pixels or thousandths of the sides, read as pixels"
            findings.append(self._as_pixels.told(f"{words} (`box_units` says what they are)"))
        if self._on_upright.count:
            words = "with boxes on a picture that EXIF turns or mirrors, read as of the upright picture"
            findings.append(self._on_upright.told(f"{words} (`boxes_on: stored` if they were not)"))
        return findings
