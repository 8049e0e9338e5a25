"""Places of pictures that emitters write blurred: what the column holds, and what is done to the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from PIL import Image

BLUR = "blur"
"""The column; emitters that write pictures read it where records have it."""
BLUR_COLUMN = pl.List(pl.Struct({"image": pl.UInt32, "box": pl.List(pl.Float64)}))
"""The number of the picture in `images` from 0, and left, top, right and bottom in pixels of the upright
picture."""
VERSION = 1
"""Raised when the same boxes give other pixels: it is part of the names of blurred pictures."""
_MARGIN = 0.1
"""Of a box's height, on each side: OCR's boxes cut the edges of letters."""

Sides = tuple[float, float, float, float]


def boxes_by_image(column: Sequence[Any] | None) -> dict[int, tuple[Sides, ...]]:
    """Number of a picture -> its boxes, each once and in one order, so that equal sets have equal names."""
    boxes: dict[int, set[Sides]] = {}
    for entry in column or ():
        left, top, right, bottom = map(float, entry["box"])
        boxes.setdefault(int(entry["image"] or 0), set()).add((left, top, right, bottom))
    return {image: tuple(sorted(sides)) for image, sides in boxes.items()}


def blurred(picture: Image.Image, boxes: Sequence[Sides], size: tuple[int, int]) -> Image.Image:
    """The picture with each box smeared to one row of cells as wide as the box is high: no letter's shape is
    left. `size` is that of the picture which the boxes were drawn on; the picture may be smaller."""
    from PIL import Image

    across, down = picture.width / size[0], picture.height / size[1]
    for left, top, right, bottom in boxes:
        margin = _MARGIN * (bottom - top)
        area = (
            max(0, int((left - margin) * across)),
            max(0, int((top - margin) * down)),
            min(picture.width, int((right + margin) * across) + 1),
            min(picture.height, int((bottom + margin) * down) + 1),
        )
        width, height = area[2] - area[0], area[3] - area[1]
        if width <= 0 or height <= 0:
            continue
        cells = (max(1, width // max(height, 1)), 1)
        smeared = picture.crop(area).resize(cells, Image.Resampling.BOX)
        picture.paste(smeared.resize((width, height), Image.Resampling.BILINEAR), area[:2])
    return picture
