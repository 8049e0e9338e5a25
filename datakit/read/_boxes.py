"""Boxes in the forms that data sets have -> the column `boxes`, in pixels of the upright pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import orjson
import polars as pl

from datakit.core.box_forms import PARTS
from datakit.core.box_texts import SIDES_KEYS, stated_boxes
from datakit.core.boxes import BOXES, Box, BoxFault, Sides, checked, four
from datakit.core.image import ImageHeader, ImageProblem, read_header
from datakit.core.pixels import FAMILIES, smart_resize
from datakit.read._dialogue import ROLES

BOX_COLUMN = pl.List(
    pl.Struct({"image": pl.UInt32, "box": pl.List(pl.Float64), "label": pl.String, "text": pl.String})
)
BoxUnits = Literal["pixels", "xywh", "thousandths", "shares", "square_shares", "percent", "resized"]
Pivot = Literal["corner", "centre"]
"""The upper left corner (Label Studio) or the centre (CVAT) of the box before it is turned."""
_LABEL_KEYS = ("label", "ref", "name", "category", "category_name", "class")
_TURNS = ("rotation", "angle")
_IMAGE_KEYS = ("image", "image_id", "image_index")
_PIVOTS: Mapping[BoxUnits, Pivot] = {"percent": "corner"}
"""Units of one program alone."""
_TURN_KEYS = (("role", "content"), ("from", "value"))


@dataclass(frozen=True)
class BoxColumn:
    """Where a row's boxes stand, and what their numbers are."""

    name: str
    units: BoxUnits = "pixels"
    sizes: tuple[str, str] | None = None
    """Columns with the width and height of the picture as whoever drew the boxes had it."""
    pivot: Pivot | None = None
    """What turned boxes are turned about; None where the source does not say, so that they are refused."""


class BoxReading:
    """Reads the boxes of a source, and counts those that hang over the edge of their picture."""

    def __init__(self, column: BoxColumn | None) -> None:
        self.column, self.clipped, self._first = column, 0, ""
        self.tiny, self._first_tiny = 0, ""

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
                boxes, clipped = self._row(columns, at, paths, pieces) if pieces else ([], 0)
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

    def _pieces(self, columns: Mapping[str, Sequence[Any]], at: int) -> list[Piece]:
        assert self.column is not None  # `of_rows` asks
        cell = columns[self.column.name][at] if self.column.name in columns else None
        return pieces_of(cell, self.column.units)

    def _row(
        self, columns: Mapping[str, Sequence[Any]], at: int, paths: list[str], pieces: Sequence[Piece]
    ) -> tuple[list[Box], int]:
        assert self.column is not None  # `of_rows` asks
        headers = [read_header(path) for path in paths]
        drawn = None
        if self.column.sizes is not None:
            width, height = (columns[name][at] if name in columns else None for name in self.column.sizes)
            drawn = None if width is None and height is None else _size(width, height)
        pivot = self.column.pivot
        boxes = [_box(piece, number, headers, drawn, pivot) for number, piece in enumerate(pieces, 1)]
        return checked(boxes, [(header.width, header.height) for header in headers])


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


def pieces_of(cell: Any, units: BoxUnits) -> list[Piece]:
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
        return [Piece(value, units)]
    return [
        _of_object(item, number, units) if isinstance(item, Mapping) else Piece(item, units)
        for number, item in enumerate(value, 1)
    ]


def _of_text(text: str, units: BoxUnits) -> list[Piece]:
    return [Piece(entry["bbox_2d"], units, None, _plain(entry.get("label"))) for entry in stated_boxes(text)]


def _packed(text: str) -> Any:
    """The JSON that a text is as a whole; else the text."""
    try:
        return orjson.loads(text) if text[:1] in ("[", "{") else text.strip()
    except orjson.JSONDecodeError:
        return text


def _of_object(item: Any, number: int, units: BoxUnits) -> Piece:
    if not isinstance(item, Mapping):
        raise BoxFault("boxes_unreadable", f"box {number} is a {type(item).__name__}, not an object")
    image = next((item[key] for key in _IMAGE_KEYS if item.get(key) is not None), 0)
    if not isinstance(image, int) or isinstance(image, bool):
        raise BoxFault("box_picture", f"box {number} is on picture {image!r}, which is no number from 0")
    label = next((item[key] for key in _LABEL_KEYS if item.get(key) not in (None, "")), None)
    if units == "percent" and "x" in item:
        sides: Any = [item.get(key) for key in ("x", "y", "width", "height")]
    else:
        sides = next((item[key] for key in SIDES_KEYS if key in item), None)
    text, rotation = item.get("text"), _rotation(item, number)
    return Piece(sides, units, image, _plain(label), _plain(text), rotation)


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


def _of_swift(objects: Mapping[str, Any], units: BoxUnits) -> list[Piece]:
    """ms-swift's `{ref, bbox, bbox_type, image_id}`; `bbox_type` is real (pixels) or norm1 (shares)."""
    boxes, kind = objects["bbox"], objects.get("bbox_type") or "real"
    names, numbers = objects.get("ref") or [], objects.get("image_id") or [0] * len(boxes)
    if kind not in ("real", "norm1"):
        raise BoxFault("objects_format", f"`bbox_type` is {kind!r}, neither real nor norm1")
    if len(numbers) != len(boxes) or any(not isinstance(number, int) for number in numbers):
        raise BoxFault("objects_format", f"{len(boxes)} boxes, but `image_id` is {numbers}")
    if len(names) == 1:
        names = names * len(boxes)  # the question names the object once, whatever the answer finds
    if names and len(names) != len(boxes):
        raise BoxFault("objects_format", f"{len(boxes)} boxes, but {len(names)} names in `ref`")
    kinds: dict[str, BoxUnits] = {"real": units, "norm1": "shares"}
    return [
        Piece(sides, kinds[kind], number, _plain(name))
        for sides, number, name in zip(boxes, numbers, names or [None] * len(boxes), strict=True)
    ]


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


def _box(
    piece: Piece,
    number: int,
    headers: Sequence[ImageHeader],
    drawn: tuple[int, int] | None,
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
    stored = drawn is not None and _is_stored(drawn, header, number)
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


def _is_stored(drawn: tuple[int, int], header: ImageHeader, number: int) -> bool:
    """Whether boxes were drawn on the pixels as they are stored, before the EXIF rotation."""
    if drawn == (header.width, header.height):
        return False
    if drawn == (header.stored_width, header.stored_height):
        return True
    raise BoxFault(
        "box_other_size",
        f"box {number} was drawn on a picture of {drawn[0]} x {drawn[1]} pixels, the file has "
        f"{header.width} x {header.height}",
    )


def _upright(sides: Sides, size: tuple[int, int], header: ImageHeader) -> Sides:
    """A box on the stored pixels of a picture that is turned by a quarter, on the upright one."""
    left, top, right, bottom = sides
    width, height = size
    across = (height - bottom, height - top) if header.exif_orientation in (6, 7) else (top, bottom)
    down = (width - right, width - left) if header.exif_orientation in (7, 8) else (left, right)
    return across[0], down[0], across[1], down[1]
