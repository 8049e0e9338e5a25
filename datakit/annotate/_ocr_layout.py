"""Lines of text on a picture: tall pictures in tiles, doubled lines made one, reading order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

TILE_RATIO = 2.5
"""A picture taller than this times its width is read in tiles of that shape. Phone screens reach 2.33; in
one piece, a longer picture would be shrunk until its text is lost."""
OVERLAP_RATIO = 0.25
"""Tiles overlap by this share of their width: more than the height of any line."""
_EDGE_PX = 3.0


class Line(NamedTuple):
    """One piece of text as an engine found it."""

    text: str
    score: float
    """0 to 1."""
    x0: float
    """Pixels of the upright picture, as the next three."""
    y0: float
    x1: float
    y1: float

    @property
    def centre(self) -> float:
        return (self.y0 + self.y1) / 2

    @property
    def height(self) -> float:
        return self.y1 - self.y0


def hull(box: Any) -> tuple[float, float, float, float]:
    """The upright rectangle around four corners."""
    corners = np.asarray(box, dtype=np.float64).reshape(-1, 2)
    (x0, y0), (x1, y1) = corners.min(0).tolist(), corners.max(0).tolist()
    return x0, y0, x1, y1


class Tile(NamedTuple):
    """Rows `top` to `bottom` of a picture; it owns what is centred in `first` to `last`."""

    top: int
    bottom: int
    first: float
    last: float


def tiles(width: int, height: int, long_side_px: int) -> list[Tile]:
    """Overlapping pieces, from top to bottom, all of one height; a single one for a picture that fits."""
    size = max(round(width * TILE_RATIO), long_side_px)
    if height <= size:
        return [Tile(0, height, 0.0, float(height))]
    overlap = max(round(width * OVERLAP_RATIO), long_side_px // 10)
    count = -(-(height - overlap) // (size - overlap))
    tops = [round(at * (height - size) / (count - 1)) for at in range(count)]
    seams = [0.0, *((above + size + below) / 2 for above, below in pairwise(tops))]
    ends = [*seams[1:], float(height)]
    return [Tile(top, top + size, a, b) for top, a, b in zip(tops, seams, ends, strict=True)]


@dataclass(frozen=True)
class _Found:
    line: Line
    tile: int
    rank: tuple[bool, bool, float]
    """Smaller is better: whole before cut by the tile's edge, owned before not owned, then the score."""


def merged(pieces: list[tuple[Tile, list[Line]]], height: int) -> list[Line]:
    """The lines of all tiles (given in pixels of their tile) on the picture, each once."""
    candidates = [
        _found(line, tile, number, height) for number, (tile, lines) in enumerate(pieces) for line in lines
    ]
    kept: list[_Found] = []
    for candidate in sorted(candidates, key=lambda candidate: candidate.rank):
        if not any(other.tile != candidate.tile and _same(candidate.line, other.line) for other in kept):
            kept.append(candidate)
    return [candidate.line for candidate in kept]


def _found(line: Line, tile: Tile, number: int, height: int) -> _Found:
    cut_above = tile.top > 0 and line.y0 <= _EDGE_PX
    cut_below = tile.bottom < height and line.y1 >= tile.bottom - tile.top - _EDGE_PX
    moved = line._replace(y0=line.y0 + tile.top, y1=line.y1 + tile.top)
    foreign = not tile.first <= moved.centre < tile.last
    return _Found(moved, number, (cut_above or cut_below, foreign, -line.score))


def _same(first: Line, second: Line) -> bool:
    wide = min(first.x1, second.x1) - max(first.x0, second.x0)
    high = min(first.y1, second.y1) - max(first.y0, second.y0)
    smaller = min((line.x1 - line.x0) * line.height for line in (first, second))
    return wide > 0 and high > 0 and wide * high > smaller / 2


@dataclass(frozen=True)
class _Row:
    lines: tuple[Line, ...]
    centre: float
    height: float

    def takes(self, line: Line) -> bool:
        return abs(line.centre - self.centre) < min(self.height, line.height) / 2

    def plus(self, line: Line) -> _Row:
        count = len(self.lines) + 1
        centre = self.centre + (line.centre - self.centre) / count
        return replace(self, lines=(*self.lines, line), centre=centre, height=max(self.height, line.height))


def reading_order(lines: list[Line]) -> list[list[Line]]:
    """Rows from top to bottom, each from left to right.

    Lines share a row when their centres are less than half the smaller height apart.
    """
    rows: list[_Row] = []
    for line in sorted(lines, key=lambda line: (line.centre, line.x0)):
        if rows and rows[-1].takes(line):
            rows[-1] = rows[-1].plus(line)
        else:
            rows.append(_Row((line,), line.centre, line.height))
    return [sorted(row.lines, key=lambda line: (line.x0, line.y0)) for row in rows]
