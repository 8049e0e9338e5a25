"""Boxes in the forms that data sets have -> the column `boxes`, in pixels of the upright pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from datakit.core.box_forms import PARTS
from datakit.core.box_units import BoxUnits
from datakit.core.boxes import BOXES, UNCLEAR, Box, BoxFault, Sides, checked, four
from datakit.core.image import ImageHeader, ImageProblem, read_header
from datakit.core.pixels import FAMILIES, smart_resize
from datakit.read._box_doubts import BoxDoubts, Numbers
from datakit.read._box_pieces import Piece, pieces_of

BOX_COLUMN = pl.List(
    pl.Struct({"image": pl.UInt32, "box": pl.List(pl.Float64), "label": pl.String, "text": pl.String})
)
BoxesOn = Literal["upright", "stored"]
"""The pixels of a picture after its EXIF rotation, or as the file has them."""
Pivot = Literal["corner", "centre"]
"""The upper left corner (Label Studio) or the centre (CVAT) of the box before it is turned."""
_PIVOTS: Mapping[BoxUnits, Pivot] = {"percent": "corner"}
"""Units of one program alone."""


@dataclass(frozen=True)
class BoxColumn:
    """Where a row's boxes stand, and what their numbers are."""

    name: str
    units: BoxUnits | None = None
    """None where each notation says it, or nothing does: then pixels."""
    sizes: tuple[str, str] | None = None
    """Columns with the width and height of the picture as whoever drew the boxes had it."""
    on: BoxesOn | None = None
    """The pixels of the picture, where no size says it; None where nobody does: then the upright ones."""
    pivot: Pivot | None = None
    """What turned boxes are turned about; None where the source does not say, so that they are refused."""


@dataclass(frozen=True)
class _DrawnOn:
    """The pixels that boxes were drawn on: those of the upright picture, or those that its file has."""

    size: tuple[int, int] | None
    """Width and height, as whoever drew the boxes had them; None where the source does not say."""
    on: BoxesOn | None

    def is_stored(self, header: ImageHeader, number: int) -> bool:
        """Whether they are the stored ones. Raises BoxFault for a picture of another size."""
        upright, stored = (header.width, header.height), (header.stored_width, header.stored_height)
        if self.size not in (None, upright, stored):
            assert self.size is not None
            raise BoxFault(
                "box_other_size",
                f"box {number} was drawn on a picture of {self.size[0]} x {self.size[1]} pixels, "
                f"the file has {header.width} x {header.height}",
            )
        if self.size is not None and upright != stored:
            return self.size == stored
        return self.on == "stored"

    def is_unsaid(self, header: ImageHeader) -> bool:
        """Whether a picture has both and nothing says which: a size does where a quarter turn changes it."""
        is_told = self.size is not None and header.width != header.stored_width
        return header.exif_orientation != 1 and not is_told and self.on is None


class BoxReading:
    """Reads the boxes of a source, and counts those that hang over the edge or are not said to be what."""

    def __init__(self, column: BoxColumn | None) -> None:
        self.column, self.clipped, self._first = column, 0, ""
        self.tiny, self._first_tiny = 0, ""
        self._doubts = BoxDoubts()

    def of_rows(
        self,
        columns: Mapping[str, Sequence[Any]],
        images: Sequence[list[str]],
        place: Callable[[int], str],
        faults: dict[int, tuple[str, str]],
    ) -> dict[str, Sequence[Any]]:
        """The column `boxes` of some rows, and faults for those whose boxes cannot be used.

        `place` says where a row stands, for people.
        """
        if self.column is None:
            return {}
        lists: list[list[dict[str, Any]]] = []
        for at, paths in enumerate(images):
            try:
                pieces = self._pieces(columns, at) if at not in faults else []
                boxes, clipped = self._row(columns, at, (paths, place(at)), pieces) if pieces else ([], 0)
            except (BoxFault, ImageProblem) as fault:
                faults[at] = (fault.reason, str(fault))
                boxes, clipped, pieces = [], 0, []
            if pieces and all(map(_looks_like_shares, pieces)):
                self.tiny, self._first_tiny = self.tiny + 1, self._first_tiny or place(at)
            if clipped:
                self.clipped, self._first = self.clipped + clipped, self._first or place(at)
            lists.append([box.entry() for box in boxes])
        return {BOXES: lists}

    def warnings(self) -> list[str]:
        """How many boxes were clipped, and how many records have boxes that look like shares, if any."""
        words = []
        if self.clipped:
            hung = "boxes hung over the edge of their picture and were clipped"
            words.append(f"{self.clipped:,} {hung} ({self._first})")
        if self.tiny:
            words.append(
                f"{self.tiny:,} records have boxes whose numbers are all 0 to 1, which were read as pixels "
                f"({self._first_tiny}): shares of the sides are `box_units: shares`, or in ms-swift objects "
                "`bbox_type: norm1`"
            )
        return words

    def notes(self) -> dict[str, Any]:
        """What was assumed of boxes because the source does not say it, if anything."""
        findings = self._doubts.findings()
        return {UNCLEAR: findings} if findings else {}

    def _pieces(self, columns: Mapping[str, Sequence[Any]], at: int) -> list[Piece]:
        assert self.column is not None  # `of_rows` asks
        cell = columns[self.column.name][at] if self.column.name in columns else None
        return pieces_of(cell, self.column.units)

    def _row(
        self,
        columns: Mapping[str, Sequence[Any]],
        at: int,
        row: tuple[list[str], str],
        pieces: Sequence[Piece],
    ) -> tuple[list[Box], int]:
        """The boxes of a row with these pictures at this place, and how many were clipped."""
        assert self.column is not None  # `of_rows` asks
        headers = [read_header(path) for path in row[0]]
        drawn = None
        if self.column.sizes is not None:
            width, height = (columns[name][at] if name in columns else None for name in self.column.sizes)
            drawn = None if width is None and height is None else _size(width, height)
        drawn_on = _DrawnOn(drawn, self.column.on)
        pivot = self.column.pivot
        boxes = [_box(piece, number, headers, drawn_on, pivot) for number, piece in enumerate(pieces, 1)]
        sizes = [(header.width, header.height) for header in headers]
        unsaid = [(box, piece) for box, piece in zip(boxes, pieces, strict=True) if not piece.is_said]
        numbers = Numbers(
            [four(piece.sides, 1) for _, piece in unsaid], [sizes[box.image] for box, _ in unsaid]
        )
        try:
            found = checked(boxes, sizes)
        except BoxFault as fault:
            if fault.reason == "box_outside" and unsaid and (hint := self._doubts.outside(numbers)):
                raise BoxFault(fault.reason, fault.detail + hint) from None
            raise
        if unsaid and not all(_looks_like_shares(piece) for _, piece in unsaid):
            self._doubts.read_as_pixels(row[1], numbers, mixed=len(unsaid) < len(pieces))
        turned = (
            piece for box, piece in zip(boxes, pieces, strict=True) if drawn_on.is_unsaid(headers[box.image])
        )
        if piece := next(turned, None):
            self._doubts.taken_for_upright(row[1], four(piece.sides, 1))
        return found


def _size(width: Any, height: Any) -> tuple[int, int]:
    """The size that boxes were drawn at: whole numbers, as 800, 800.0 or "800". Raises BoxFault."""
    try:
        across, down = (
            float(side.strip() if isinstance(side, str) else side)
            for side in (width, height)
            if not isinstance(side, bool)
        )
        if across.is_integer() and down.is_integer():
            return int(across), int(down)
    except (TypeError, ValueError):
        pass
    raise BoxFault(
        "box_other_size",
        f"the boxes were drawn on a picture of {width!r} x {height!r} pixels: give both as whole numbers",
    )


def _looks_like_shares(piece: Piece) -> bool:
    """Whether the numbers of a box are all 0 to 1, and taken for pixels: it would be smaller than one."""
    return piece.units in ("pixels", "xywh") and all(0 <= side <= 1 for side in piece.sides)


def apart_from_boxes(extra: Mapping[str, tuple[str, Any]]) -> dict[str, tuple[str, Any]]:
    """Further columns beside the column `boxes`: one of the source that is called so gets another name."""
    return {f"source_{name}" if name == BOXES else name: column for name, column in extra.items()}


def _box(
    piece: Piece,
    number: int,
    headers: Sequence[ImageHeader],
    drawn_on: _DrawnOn,
    pivot: Pivot | None,
) -> Box:
    """A piece in pixels of its upright picture. Raises BoxFault."""
    sides = four(piece.sides, number)
    if piece.image is None and len(headers) > 1:
        words = f"the record has {len(headers)} pictures, and the text with its boxes does not say on which"
        raise BoxFault("box_picture", f"{words}: give them as a list, each with `image` (from 0)")
    image = piece.image or 0
    if not 0 <= image < len(headers):
        raise BoxFault("box_picture", f"box {number} is on picture {image}, the record has {len(headers)}")
    header = headers[image]
    stored = drawn_on.is_stored(header, number)
    size = (header.stored_width, header.stored_height) if stored else (header.width, header.height)
    sides = _pixels(sides, piece, size)
    if piece.rotation:
        sides = _hull(sides, piece.rotation, number, pivot or _PIVOTS.get(piece.units))
    return Box(image, _upright(sides, size, header) if stored else sides, piece.label, piece.text)


def _pixels(sides: Sides, piece: Piece, size: tuple[int, int]) -> Sides:
    first, second, third, fourth = sides
    if piece.units in ("xywh", "percent"):
        third, fourth = first + third, second + fourth
    per = {"thousandths": (PARTS, PARTS), "shares": (1, 1), "percent": (100, 100)}.get(piece.units, size)
    if piece.units == "resized":
        per = smart_resize(*size, FAMILIES["qwen2_5_vl"])
    if piece.units == "square_shares":
        return _in_square(sides, size)
    across, down = size[0] / per[0], size[1] / per[1]
    return first * across, second * down, third * across, fourth * down


def _in_square(sides: Sides, size: tuple[int, int]) -> Sides:
    """Pixels of shares of the square that LLaVA-1.5 pads a picture to, with the picture in its middle.

    Its `expand2square` pads by half the difference, rounded down, in front (haotian-liu/LLaVA issue 606).
    """
    side = max(size)
    before = [(side - length) // 2 for length in size]
    left, top, right, bottom = (share * side - before[at % 2] for at, share in enumerate(sides))
    return left, top, right, bottom


def _hull(sides: Sides, degrees: float, number: int, pivot: Pivot | None) -> Sides:
    """The upright box around a box that is turned clockwise. Raises BoxFault where nothing says about what.

    About the centre the sense makes no difference: the hulls of both are one.
    """
    if pivot is None:
        words = (
            f"box {number} is turned by {degrees:g} degrees, and the source does not say about which point"
        )
        raise BoxFault("boxes_unreadable", f"{words}: write the upright box around it, without the turn")
    left, top, right, bottom = sides
    if left >= right or top >= bottom:
        return sides  # no box, which a turn would hide
    x, y = (left, top) if pivot == "corner" else ((left + right) / 2, (top + bottom) / 2)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = [(across - x, down - y) for across in (left, right) for down in (top, bottom)]
    turned = [(a * cos - d * sin, a * sin + d * cos) for a, d in corners]
    across, down = zip(*turned, strict=True)
    return x + min(across), y + min(down), x + max(across), y + max(down)


def _upright(sides: Sides, size: tuple[int, int], header: ImageHeader) -> Sides:
    """A box on the stored pixels of a picture that EXIF turns or mirrors, on the upright one."""
    (left, top, right, bottom), (width, height), how = sides, size, header.exif_orientation
    across = (width - right, width - left) if how in (2, 3, 7, 8) else (left, right)
    down = (height - bottom, height - top) if how in (3, 4, 6, 7) else (top, bottom)
    if how >= 5:  # a quarter turn
        across, down = down, across
    return across[0], down[0], across[1], down[1]
