"""Boxes drawn on a picture, for pages where a person looks whether they are where they should be."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from datakit.core.boxes import Box

_COLOURS = ((220, 30, 60), (20, 110, 220), (10, 140, 70), (190, 90, 0), (130, 60, 190))
"""Dark enough for white numbers; neighbours in an answer differ."""
_PART_OF_SIDE = 240
"""Lines are this part of the longer side wide, and 2 pixels at least."""
_TAG_LINES = 5
"""Height of a number, in widths of a line."""


def draw_boxes(image: Image.Image, boxes: Sequence[Box], *, numbered: bool = True) -> Image.Image:
    """A copy of an RGB picture with a frame around each box, and its number in the order of the answer.

    Boxes are in pixels of this very picture.
    """
    drawn = image.copy()
    pen = ImageDraw.Draw(drawn)
    width = max(2, max(image.size) // _PART_OF_SIDE)
    for number, box in enumerate(boxes, 1):
        colour = _COLOURS[(number - 1) % len(_COLOURS)]
        left, top, right, bottom = box.sides
        # The frame lies around the box, so that thin lines of text stay to be read.
        pen.rectangle((left - width, top - width, right + width, bottom + width), outline=colour, width=width)
        if numbered:
            _tag(pen, str(number), (left - width, top - width), colour, width * _TAG_LINES)
    return drawn


def _tag(
    pen: ImageDraw.ImageDraw, text: str, corner: tuple[float, float], colour: tuple[int, int, int], size: int
) -> None:
    """A number on a ground of its colour: left of the corner where there is room, else above, else within."""
    wide, high = pen.textlength(text, font_size=size) + size / 4, size * 1.2
    left, top = corner
    if left >= wide:
        left -= wide
    elif top >= high:
        top -= high
    pen.rectangle((left, top, left + wide, top + high), fill=colour)
    pen.text((left + size / 8, top), text, fill="white", font_size=size)
