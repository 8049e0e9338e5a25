"""Which records a person should label next: those whose labels would say most about the errors that are left.

A label says something about every record that is like its own. So each record without a label counts by the
chance that it is predicted wrongly, as far as a chosen record is like it and no labelled or chosen one is as
much (facility location, whose greedy choice is at least 63% of the best one: Nemhauser, Wolsey and Fisher
1978; weighed by doubt as in Wei, Iyer and Bilmes 2015). Doubt alone would pick what is odd or illegible, and
many of a kind at once; likeness alone would pick what everybody knows.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from datakit.proxy.data import Floats, ProxyData, Rows
from datakit.proxy.model import PICTURE_SHARE
from datakit.proxy.spaces import PictureSpace, TextSpace, line_characters

MOST = 10_000
"""Records without a label that are compared with one another; of more so many are drawn."""
ALIKE = 0.5
"""Likeness from which one record is said to stand for another. Of drawn screens one pair in 100 of different
classes is 0.53 alike, one in 8 of one layout (scripts/screens/hard.py, 2026-11-27)."""
_SAME = 0.999
"""Likeness from which nothing tells two records apart: both have no text and no picture, or the same text."""
_LEFT = 0.4
"""Share of the doubt about such records that each label leaves: they may be of several classes.
Where one label stood for 63 drawn screens without text and was of a rare class, all of them were mistaken."""
_BLOCK = 512

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Points:
    """Records as points, and how much each says."""

    at: Matrix
    """(n, d) of length 1: of text, and with a share of picture where there is one."""
    sizes: Matrix
    """(n,) 0 for a record without text."""

    def __len__(self) -> int:
        return len(self.at)

    def part(self, first: int, last: int) -> _Points:
        return _Points(self.at[first:last], self.sizes[first:last])

    def likeness(self, others: _Points) -> Matrix:
        """(self, others) 0 to 1: how much of each other record these say.

        The mean of the cosine and of the share of the other's text that is found here: a whole page stands
        for its parts, and a line of it hardly for the page. With the cosine alone 95% of the accuracy of
        least squares took a quarter more labels (16 draws of screens/hard.py, 2026-11-27).
        """
        cosine = np.clip(self.at @ others.at.T, 0.0, 1.0)
        speak = (self.sizes[:, None] > 0) & (others.sizes > 0)
        ratio = np.where(speak, self.sizes[:, None] / np.maximum(others.sizes, 1e-9), 1.0)
        alike: Matrix = (cosine + np.minimum(cosine * ratio, 1.0)) / 2
        return alike


@dataclass(frozen=True)
class Pick:
    """A record that should be labelled."""

    row: int
    """Its number among those without a label."""
    worth: float
    """Errors that its label speaks about: the sum of their chances, each by what is not yet spoken about."""
    alike: int
    """Others without a label that are like it (`ALIKE`), and not as much like a labelled or earlier one."""
    likeness: float
    """Of the nearest labelled record to it, 0 to 1."""


def most_worth(known: ProxyData, others: ProxyData, wrong: Floats, count: int, seed: int) -> list[Pick]:
    """The `count` records of `others` that are worth most, in order; fewer where there are no more.

    `known` has a label. `wrong` is the chance that each of `others` is predicted wrongly, (n,) 0 to 1. Of one
    group no two are picked, and none of a group that is labelled.
    """
    free = _free(known, others)
    if len(free) > MOST:
        free = np.sort(np.random.default_rng(seed).choice(free, MOST, replace=False))
    if not len(free):
        return []
    open_ = others.take(free)
    points = _points(known, open_, seed)
    labelled, mine = points.part(0, len(known)), points.part(len(known), len(points))
    search = _Search(mine, wrong[free].astype(np.float32), labelled)
    picks = []
    taken: set[str] = set()
    for row, worth, alike in search.picks():
        if open_.groups[row] in taken:
            continue
        taken.add(open_.groups[row])
        picks.append(Pick(int(free[row]), worth, alike, float(search.nearest[row])))
        search.take(row)
        if len(picks) == count:
            break
    return picks


def _free(known: ProxyData, others: ProxyData) -> Rows:
    """The rows of `others` whose group has no label."""
    labelled = set(known.groups)
    return np.array([row for row, group in enumerate(others.groups) if group not in labelled], dtype=np.int64)


class _Search:
    """The greedy choice. What a record is worth only falls as others are chosen, so of all but a few an older
    figure is enough (Minoux 1978)."""

    def __init__(self, points: _Points, wrong: Matrix, labelled: _Points) -> None:
        self._points, self._wrong = points, wrong.copy()
        self._known = np.zeros(len(points), dtype=np.float32)
        self._same = np.zeros(len(points), dtype=np.int64)
        for at in range(0, len(points), _BLOCK):
            like = labelled.likeness(points.part(at, at + _BLOCK))
            is_same = like >= _SAME
            self._same[at : at + _BLOCK] = is_same.sum(axis=0)
            self._known[at : at + _BLOCK] = np.where(is_same, 0.0, like).max(axis=0, initial=0.0)
        self.nearest: Matrix = np.where(self._same > 0, np.float32(1.0), self._known)
        """(n,) likeness of the nearest labelled record; 0 where there is none."""
        blocks = [
            np.arange(at, min(at + _BLOCK, len(points)), dtype=np.int64)
            for at in range(0, len(points), _BLOCK)
        ]
        worth = np.concatenate([self._worth(self._likeness(rows), rows) for rows in blocks])
        self._heap = [(-float(value), row) for row, value in enumerate(worth)]
        heapq.heapify(self._heap)

    def picks(self) -> Iterator[tuple[int, float, int]]:
        """Row, worth and how many are like it, the most worth first; one that is taken changes the next."""
        while self._heap:
            older, row = heapq.heappop(self._heap)
            one = np.array([row], dtype=np.int64)
            like = self._likeness(one)
            worth = float(self._worth(like, one)[0])
            if self._heap and (-worth, row) > self._heap[0] and -worth > older:
                heapq.heappush(self._heap, (-worth, row))
                continue
            is_near = (like[0] >= ALIKE) & (like[0] > self._cover(self._same))
            yield row, worth, int(is_near.sum() - is_near[row])

    def take(self, row: int) -> None:
        """Counts a record as labelled."""
        like = self._likeness(np.array([row], dtype=np.int64))[0]
        is_same = like >= _SAME
        self._same += is_same
        self._known = np.maximum(self._known, np.where(is_same, 0.0, like))
        self._wrong[row] = 0.0

    def _cover(self, same: Rows) -> Matrix:
        """(n,) how far each record is spoken for, by the nearest label and by so many of the very same."""
        cover: Matrix = np.maximum(self._known, (1 - _LEFT**same).astype(np.float32))
        return cover

    def _likeness(self, rows: Rows) -> Matrix:
        """(rows, n) of some records to all, where `rows` are neighbours."""
        return self._points.part(int(rows[0]), int(rows[-1]) + 1).likeness(self._points)

    def _worth(self, like: Matrix, rows: Rows) -> Matrix:
        """(rows,) of those whose likeness to all it is."""
        cover = self._cover(self._same)
        more = np.where(like >= _SAME, self._cover(self._same + 1), like)
        more[np.arange(len(rows)), rows] = 1.0  # its own label leaves no doubt about a record
        worth: Matrix = np.maximum(more - cover, 0.0) @ self._wrong
        return worth


def _points(known: ProxyData, others: ProxyData, seed: int) -> _Points:
    """Those that have a label and then the others. Records with neither text nor picture are alike."""
    texts = [*known.texts, *others.texts]
    parts, sizes = [], np.zeros(len(texts))
    is_said = np.array([bool(text.strip()) for text in texts], dtype=bool)
    if len(set(texts)) > 1:
        space = TextSpace(texts, line_characters, seed)
        parts.append(np.sqrt(1 - PICTURE_SHARE) * _of_length_1(space.points) * is_said[:, None])
        sizes = space.sizes * is_said
    if known.pictures is not None and others.pictures is not None:
        pictures = np.concatenate([known.pictures, others.pictures])
        seen = np.flatnonzero(np.isfinite(pictures).all(axis=1))
        if len(seen):
            own = PictureSpace(pictures[seen]).points
            looks = np.zeros((len(texts), own.shape[1]))
            looks[seen] = own
            parts.append(np.sqrt(PICTURE_SHARE) * _of_length_1(looks))
    points = np.concatenate([*parts, np.zeros((len(texts), 1))], axis=1)
    points[~points.any(axis=1), -1] = 1.0
    return _Points(_of_length_1(points).astype(np.float32), sizes.astype(np.float32))


def _of_length_1(points: Floats) -> Floats:
    unit: Floats = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    return unit
