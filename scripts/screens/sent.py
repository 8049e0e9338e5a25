"""The picture that a customer sends of a hard screen: the parts of painted pages that are seen, in order.

A part is as high as its lines stand on the page; a photograph is seen whole, as nobody scrolls one. Which
part the label is of the picture does not say: all are cut, put together and saved alike.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import NamedTuple

from PIL import Image, ImageFilter

from screens.layouts import Layout
from screens.paint import PAGE_WIDTH, SCALE, Painting, paint
from screens.world import World

_WIDTH = round(PAGE_WIDTH * SCALE)
_LEAST_PX, _MARGIN_PX = 12, 4
_COPIES = 0.2
"""Share of the pictures that come as a copy of the screenshot: smaller, cut at the edges, saved once more."""


class Drawn(NamedTuple):
    """A page, by what it was drawn with."""

    layout: Layout
    world: str
    is_photograph: bool


class Part(NamedTuple):
    """Lines of a page that stand one after another, by their numbers."""

    page: Drawn
    first: int
    last: int


def body_of(page: Drawn) -> str:
    """The page's HTML."""
    return page.layout(World(page.world, ("",))).body


def picture(parts: Sequence[Part], random: Random, *, again: bool = False, poor: bool = False) -> bytes:
    """A JPEG of the parts, one under another; `again` for a screen that was sent before, `poor` for a copy
    in which little can be read: small, blurred, saved badly."""
    strips = [_strip(part) for part in parts]
    image = Image.new("RGB", (_WIDTH, max(sum(strip.height for strip in strips), _LEAST_PX)))
    y = 0
    for strip in strips:
        image.paste(strip, (0, y))
        y += strip.height
    quality = random.randint(70, 92)
    if random.random() < _COPIES or again:
        image, quality = _copied(image, random), random.randint(40, 75)
    if poor:
        size = random.uniform(0.25, 0.45)
        small = (max(round(image.width * size), 8), max(round(image.height * size), 8))
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(1.0, 2.5))).resize(small)
        quality = random.randint(15, 35)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


@lru_cache(64)
def _painted(page: Drawn) -> Painting:
    return paint(body_of(page))


def _strip(part: Part) -> Image.Image:
    image, found = _painted(part.page)
    if part.page.is_photograph:
        return image
    spans = [span if math.isfinite(span[0]) else (0.0, 0.0) for span in found]
    seen = spans[part.first : part.last + 1] or [(max((end for _, end in spans), default=0.0), image.height)]
    top = 0.0 if part.first == 0 else min(start for start, _ in seen) - _MARGIN_PX
    bottom = image.height if part.last >= len(spans) - 1 else max(end for _, end in seen) + _MARGIN_PX
    upper = min(max(round(top), 0), image.height - _LEAST_PX)
    return image.crop((0, upper, image.width, min(max(round(bottom), upper + _LEAST_PX), image.height)))


def _copied(image: Image.Image, random: Random) -> Image.Image:
    """Up to 4% cut off at each edge, and down to 70% of the size."""
    left, top, right, bottom = (random.uniform(0.0, 0.04) for _ in range(4))
    width, height = image.size
    box = (width * left, height * top, width * (1 - right), height * (1 - bottom))
    size = random.uniform(0.7, 1.0)
    small = (max(round(width * size), 8), max(round(height * size), 8))
    return image.resize(small, Image.Resampling.BILINEAR, box=box)
