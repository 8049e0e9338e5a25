"""What a picture looks like, as numbers: colours and edges by place, and what its strips are like."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from datakit.core.files import stamp_of
from datakit.core.image import ImageProblem, load_rgb

_DECODED_PX = 512
_SIDE = 64
_COLOURS = 8
_EDGES = 8
_ANGLES = 6
LOOK = _COLOURS**2 * 3 + _EDGES**2 * _ANGLES + 64 + 2
"""Numbers of the picture as a whole; those behind them count strips."""
_STRIP, _STEP, _COLUMNS = 8, 4, 8
"""Height of a strip, how far the next one stands below, and the columns that it is asked in; for a picture
that is _SIDE wide."""
_TALLEST = 4 * _SIDE
_ACROSS, _DOWN, _COLOUR = (0.01, 0.03), (0.01, 0.03), (0.05,)
"""From which mean change across, change down and saturation, all of 1, a column has some."""
_KINDS = len(_ACROSS + _DOWN + _COLOUR)
SIZE = LOOK + _KINDS * 2**_COLUMNS
"""Numbers per picture."""
_SIGNS = 0xE000 + 2**_COLUMNS * np.arange(_KINDS)
"""First sign of each kind of pattern, of those that Unicode leaves to private use: no text has them."""
_KEPT = 4096
"""Pictures whose numbers are kept, about 10 KB each: the steps of a build look at the same ones."""

Values = npt.NDArray[np.float32]


class Pictures(NamedTuple):
    """What the pictures of records look like."""

    features: Values
    """(n, SIZE) per record, the mean of its pictures; NaN for a record without one."""
    lines: list[str]
    """Each record's pictures as a text, a line for every strip from top to bottom, a sign for every pattern
    of it; empty for a record without a picture that can be read. So what reads lines reads screens."""
    broken: int
    """Pictures that cannot be read."""


def looked_at(images: Sequence[Sequence[str]], memory_mb: int) -> Pictures:
    """The pictures of records; one that has not changed since it was last looked at is not decoded again."""
    out = np.full((len(images), SIZE), np.nan, dtype=np.float32)
    texts, broken = [], 0
    for row, paths in enumerate(images):
        seen: list[Values] = []
        lines: list[str] = []
        for path in paths:
            try:
                numbers, strips = _seen(path, memory_mb)
            except ImageProblem:
                broken += 1
                continue
            seen.append(numbers)
            lines += strips
        if seen:
            out[row] = np.mean(seen, axis=0)
        texts.append("\n".join(lines))
    return Pictures(out, texts, broken)


def _seen(path: str, memory_mb: int) -> tuple[Values, tuple[str, ...]]:
    """A picture's SIZE numbers, and its strips as text. Raises ImageProblem."""
    try:
        now = os.stat(path)
    except (OSError, ValueError):
        return _decoded(path, memory_mb, ())
    return _decoded(path, memory_mb, (now.st_dev, *stamp_of(now)))


@lru_cache(_KEPT)
def _decoded(path: str, memory_mb: int, state: tuple[int, ...]) -> tuple[Values, tuple[str, ...]]:
    """The same of a file in that state."""
    image = load_rgb(path, max_side_px=_DECODED_PX, memory_mb=memory_mb)
    patterns = _patterns(image)
    numbers = np.concatenate([_look(image), _counts(patterns)]).astype(np.float32)
    numbers.flags.writeable = False  # given to everybody who asks
    return numbers, tuple("".join(map(chr, strip)) for strip in (patterns + _SIGNS).tolist())


def _look(image: Image.Image) -> Values:
    """Mean colours of 8 x 8 places, edges of 8 x 8 places by direction, shares of 64 colours, shape."""
    small = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float32) / 255
    step = _SIDE // _COLOURS
    colours = small.reshape(_COLOURS, step, _COLOURS, step, 3).mean(axis=(1, 3))
    down, across = np.gradient(small.mean(axis=2))
    strength = np.hypot(down, across)
    angle = ((np.arctan2(down, across) % np.pi) / np.pi * _ANGLES).astype(np.int64) % _ANGLES
    place = np.arange(_SIDE) * _EDGES // _SIDE
    bins = (place[:, None] * _EDGES + place[None, :]) * _ANGLES + angle
    edges = np.bincount(bins.ravel(), strength.ravel(), minlength=_EDGES**2 * _ANGLES)
    levels = np.minimum((small * 4).astype(np.int64), 3)
    shades = np.bincount((levels @ np.array([16, 4, 1])).ravel(), minlength=64) / _SIDE**2
    shape = [image.height / (image.width + image.height), float(strength.mean())]
    return np.concatenate([colours.ravel(), np.sqrt(edges), np.sqrt(shades), shape]).astype(np.float32)


def _counts(patterns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many strips have each pattern.

    A screen is rows under one another, and these stay the same wherever it is scrolled to, whatever is cut
    off and whatever colours a shop has. So strips are to a picture what lines are to a text.
    """
    return np.concatenate([np.bincount(kind, minlength=2**_COLUMNS) for kind in patterns.T])


def _patterns(image: Image.Image) -> npt.NDArray[np.int64]:
    """(strips, kinds) from top to bottom: in which columns, a bit each, something changes across, or down, or
    has colour."""
    height = min(max(round(image.height * _SIDE / image.width), _STRIP), _TALLEST)
    small = np.asarray(image.resize((_SIDE, height), Image.Resampling.BOX), dtype=np.float32) / 255
    down, across = np.gradient(small.mean(axis=2))
    colour = small.max(axis=2) - small.min(axis=2)
    rows = np.arange(0, height - _STRIP + 1, _STEP)[:, None] + np.arange(_STRIP)
    bits = 2 ** np.arange(_COLUMNS)
    kinds = []
    for values, bounds in ((np.abs(across), _ACROSS), (np.abs(down), _DOWN), (colour, _COLOUR)):
        cells = values[rows].reshape(len(rows), _STRIP, _COLUMNS, -1).mean(axis=(1, 3))
        kinds += [(cells > bound) @ bits for bound in bounds]
    return np.stack(kinds, axis=1)
