"""What annotate.image_quality measures of one picture, free of any threshold that a recipe can set.

Screens are white or black by design, so means say nothing of their quality: what is measured is how far the
levels reach, how steep the steepest edges are, how much of the picture shows anything, and whether plain
bars stand around it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from datakit.core.image import ImageHeader, load_rgb, read_header
from datakit.core.image_memory import DEFAULT_MB

MOST_PIXELS = 4_194_304
"""Larger pictures are measured at so many pixels: at that size a model sees no more of them."""
_COPIES = 16
"""Bytes a pixel that measuring takes besides the decoded picture."""
_TAIL = 0.5
"""Percent of the pixels at either end of the levels that do not count: dead pixels, a clock on a photo."""
_REACH_PX = 6
"""Pixels to either side of a place within which an edge is looked at."""
_STRONG = 48
"""Levels that grey must change by within that reach to be an edge: above noise and the traces of JPEG."""
_STEEPEST = 90
"""Percentile of the edges that is taken: photographs and shadows within a sharp screen are soft by right."""
_FEW_EDGES = 200
"""With fewer places on edges nothing is said of sharpness."""
_BLOCK_PX = 16
_SHOWN = 12
"""Levels that grey must differ by within a block for it to show something."""
_BAR_LEVELS = 4
"""Levels by which a picture differs from what is beside it: a grey page in a grey chat differs by 6,
compression moves a plain colour by 2."""
_OUTER = 0.03
"""Share of a side whose colour is that of the bar."""
_ALONG, _ACROSS = 0.45, 0.95
"""Share of the lines in which bars left and right, and bars above and below, end at the same place. A viewer
has a clock and buttons above and below; a page has headings above its pictures."""
_SIDE_LEVELS = 8
"""Levels by which it differs from another screen under it; with fewer, photographs have such columns."""
_LEFT, _RIGHT = (0.075, 0.45), (0.55, 0.925)
"""Shares of the width between which the sides of a picture within the picture are looked for. Cards of pages
begin at 0.06 and before."""
_SIDES_TRIED, _PAIRS, _NEIGHBOURS = 40, 4, 3
"""Columns that change most, of which a left and a right side are paired; pairs whose ends are looked for,
those that change together most; columns around a left side that are the same side."""
_END, _END_MORE = 0.7, 0.5
"""Share of the width between the sides along which an end shows, and by which it exceeds that beside them:
the lines of a page go on to both of its sides."""
_SIDES = 0.6
"""Share of the rows between both ends in which both sides show. Cards of a page that lie below each other,
with gaps, reach 0.4."""
_NARROWEST = 0.4
"""Width by height of the narrowest picture; phones have 0.45. Narrower are columns of a page."""

Grey = np.ndarray[Any, np.dtype[np.uint8]]
Changes = np.ndarray[Any, np.dtype[np.bool_]]
Places = np.ndarray[Any, np.dtype[np.intp]]
Measures = dict[str, Any]


def measure(path: str, memory_mb: int = DEFAULT_MB) -> Measures:
    """The measures of one file. Raises ImageProblem for one that is not a whole picture."""
    header = read_header(path)
    picture = load_rgb(path, max_side_px=_most_side(header), memory_mb=memory_mb, copies=_COPIES)
    grey = np.asarray(picture.convert("L"))
    darkest, brightest = (float(level) for level in np.percentile(grey, (_TAIL, 100 - _TAIL)))
    return {
        "width": header.width,
        "height": header.height,
        "darkest": round(darkest, 1),
        "brightest": round(brightest, 1),
        "sharpness": _sharpness(grey),
        "filled": round(_filled(grey), 4),
        "bars": round(_bars(grey), 4),
        "inset": round(_inset(grey), 4),
    }


def _most_side(header: ImageHeader) -> int:
    longer, shorter = max(header.width, header.height), min(header.width, header.height)
    return max(1, math.ceil(math.sqrt(MOST_PIXELS * longer / shorter)))


def _sharpness(grey: Grey) -> float | None:
    """The share of an edge's levels that it takes in one pixel, of the steeper edges, in the softer of both
    directions: a step gives 1, text blurred by a Gaussian of sigma pixels about 0.65 / sigma. None without
    edges."""
    found = [steepness for turned in (grey, grey.T) if (steepness := _steepness(turned)) is not None]
    return round(min(found), 4) if found else None


def _steepness(grey: Grey) -> float | None:
    if grey.shape[1] <= 2 * _REACH_PX:
        return None
    lines = np.ascontiguousarray(grey)
    steps = np.where(lines[:, 1:] > lines[:, :-1], lines[:, 1:] - lines[:, :-1], lines[:, :-1] - lines[:, 1:])
    reach = lines.shape[1] - 2 * _REACH_PX
    most, least = lines[:, :reach].copy(), lines[:, :reach].copy()
    steepest = steps[:, :reach].copy()
    for by in range(1, 2 * _REACH_PX + 1):
        np.maximum(most, lines[:, by : by + reach], out=most)
        np.minimum(least, lines[:, by : by + reach], out=least)
        if by < 2 * _REACH_PX:
            np.maximum(steepest, steps[:, by : by + reach], out=steepest)
    change = most - least
    strong = change >= _STRONG
    if int(strong.sum()) < _FEW_EDGES:
        return None
    return float(np.percentile(steepest[strong] / change[strong], _STEEPEST))


def _filled(grey: Grey) -> float:
    """Share of the blocks in which grey changes."""
    high, wide = (max(1, side // _BLOCK_PX) for side in grey.shape)
    part = grey[: high * _BLOCK_PX, : wide * _BLOCK_PX]
    if part.shape != (high * _BLOCK_PX, wide * _BLOCK_PX):  # a side shorter than a block
        return float(int(grey.max()) - int(grey.min()) >= _SHOWN)
    blocks = part.reshape(high, _BLOCK_PX, wide, _BLOCK_PX)
    return float((blocks.max(axis=(1, 3)) - blocks.min(axis=(1, 3)) >= _SHOWN).mean())


def _bars(grey: Grey) -> float:
    """Share of the width or height that plain bars at two opposite sides take, the thinner one twice. 0 where
    no picture with straight edges stands between them."""
    return max(_between(grey, _ALONG), _between(grey.T, _ACROSS))


def _between(grey: Grey, least: float) -> float:
    """The share of bars left and right that end at the same place in a share of `least` of the rows."""
    left, right = _plain_until(grey), _plain_until(grey[:, ::-1])
    begin, end = _commonest(left), _commonest(right)
    straight = (np.abs(left - begin) <= 1) & (np.abs(right - end) <= 1)
    wide = grey.shape[1]
    return 2 * min(begin, end) / wide if straight.mean() >= least and begin + end < wide else 0.0


def _plain_until(grey: Grey) -> Places:
    """Per row the first place that has not the colour of the left side; the width where all of it has."""
    outer = grey[:, : max(2, round(_OUTER * grey.shape[1]))]
    away = np.abs(grey.astype(np.int16) - int(np.median(outer))) > _BAR_LEVELS
    places: Places = np.where(away.any(axis=1), away.argmax(axis=1), grey.shape[1])
    return places


def _commonest(places: Places) -> int:
    """The place where most rows end, with its neighbours."""
    counts = np.convolve(np.bincount(places), np.ones(3, dtype=np.int64), "same")
    return int(counts.argmax())


def _inset(grey: Grey) -> float:
    """Share of the height along which a picture that lies on this one stands: its rows that change at the
    same two places, or all rows between its upper and lower end where these show, for a white page on a white
    page has sides here and there only."""
    high, wide = grey.shape
    (begin, left_end), (right_begin, end) = ((round(a * wide), round(b * wide)) for a, b in (_LEFT, _RIGHT))
    if min(left_end - begin, end - right_begin) < 2:
        return 0.0
    upright, level = _changes(grey), _changes(grey.T).T
    often = np.count_nonzero(upright, axis=0)
    lefts = begin + np.argsort(-often[begin:left_end], kind="stable")[:_SIDES_TRIED]
    rights = right_begin + np.argsort(-often[right_begin:end], kind="stable")[:_SIDES_TRIED]
    together = upright[:, lefts].T.astype(np.float32) @ upright[:, rights].astype(np.float32) / high
    longest = float(together.max())
    for _ in range(_PAIRS):
        at, to = np.unravel_index(together.argmax(), together.shape)
        left, right = int(lefts[at]), int(rights[to])
        longest = max(longest, _closed(upright[:, left] & upright[:, right], level, left, right))
        together[np.abs(lefts - left) <= _NEIGHBOURS] = 0
    return longest


def _changes(grey: Grey) -> Changes:
    """Whether a row's level changes from one pixel to the next or the one after: an edge between two pixels
    is told by the first of them."""
    changes: Changes = np.abs(np.diff(grey.astype(np.int16), axis=1)) > _SIDE_LEVELS
    changes[:, :-1] |= changes[:, 1:].copy()
    return changes


def _closed(sides: Changes, level: Changes, left: int, right: int) -> float:
    """Share of the height from an upper to a lower end that reach from side to side and not on, with `sides`
    along most of what is between them."""
    inside = np.count_nonzero(level[:, left:right], axis=1)
    outside = np.count_nonzero(level, axis=1) - inside
    within, beside = inside / (right - left), outside / (level.shape[1] - right + left)
    ends = np.flatnonzero((within >= _END) & (within - beside >= _END_MORE))
    seen = np.concatenate([[0], np.cumsum(sides)])[ends] - _SIDES * ends
    longest = 0
    for number, upper in enumerate(ends):
        lower = ends[number:][seen[number:] >= seen[number]]
        longest = max(longest, int((lower[lower <= upper + (right - left) / _NARROWEST] - upper).max()))
    return longest / len(sides)
