"""Which records a person should label next: those whose labels would say most about the errors that are left.

A label says something about every record that is like its own. So each record without a label counts by the
chance that it is predicted wrongly, as far as a chosen record is like it and taken to be of its class, and no
labelled or chosen one is as much (facility location, whose greedy choice is at least 63% of the best one:
Nemhauser, Wolsey and Fisher 1978; weighed by doubt as in Wei, Iyer and Bilmes 2015). Doubt alone would pick
what is odd or illegible, and many of a kind at once; likeness alone would pick what everybody knows; and a
record that only looks like a labelled one, and hardly is of its class, is left as unknown as it was.
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
_LEAST_WRONG = 0.02
"""Nothing is predicted so surely that it could not be wrong."""
_STRICT = 4
"""Power of the agreement of two records: by least squares 120 labels reach what likeness alone reaches with
140; 6 is as good, 1 and 2 are less so (6 draws of screens/hard.py, 2 start sets each, 2026-11-27)."""
_BLOCK = 512

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Beliefs:
    """What class each record is of, as far as is known; no column where nothing can be told."""

    known: Floats
    """(n, classes) 1 for a record's label, else 0."""
    others: Floats
    """(n, classes) probabilities of those without a label, each row sums to 1."""

    @classmethod
    def none(cls, known: int, others: int) -> Beliefs:
        """For so many records, of which nothing can be told: then only likeness counts."""
        return cls(np.zeros((known, 0)), np.zeros((others, 0)))

    @property
    def wrong(self) -> Floats:
        """(n,) the chance that a record without a label is taken for what it is not."""
        if not self.others.shape[1]:
            return np.ones(len(self.others))
        doubt: Floats = np.maximum(1 - self.others.max(axis=1), _LEAST_WRONG)
        return doubt


@dataclass(frozen=True)
class _Points:
    """Records as points, and how much each says."""

    at: Matrix
    """(n, d) of length 1: of text, and with a share of picture where there is one."""
    sizes: Matrix
    """(n,) 0 for a record without text."""
    classes: Matrix
    """(n, c) of length 1: how likely each class is; no column where nothing can be told."""

    def __len__(self) -> int:
        return len(self.at)

    def part(self, first: int, last: int) -> _Points:
        return _Points(self.at[first:last], self.sizes[first:last], self.classes[first:last])

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

    def agreement(self, others: _Points) -> Matrix | float:
        """(self, others) 0 to 1: how far they may be of one class, by the cosine of their probabilities.

        With few labels all probabilities are flat and alike, so that likeness decides: kinds that have no
        label come first. The surer the proxy, the more each class is seen to by its own labels.
        """
        if not self.classes.shape[1]:
            return 1.0
        agreed: Matrix = (self.classes @ others.classes.T) ** _STRICT
        return agreed


@dataclass(frozen=True)
class Pick:
    """A record that should be labelled."""

    row: int
    """Its number among those without a label."""
    worth: float
    """Errors that its label speaks about: the sum of their chances, each by what is not yet spoken about."""
    alike: int
    """Others without a label that are like it (`ALIKE`), of which no labelled or earlier one says as much."""
    likeness: float
    """Of the nearest labelled record to it, 0 to 1."""


def most_worth(known: ProxyData, others: ProxyData, said: Beliefs, count: int, seed: int) -> list[Pick]:
    """The `count` records of `others` that are worth most, in order; fewer where there are no more.

    `known` has a label. Of one group no two are picked, and none of a group that is labelled.
    """
    free = _free(known, others)
    if len(free) > MOST:
        free = np.sort(np.random.default_rng(seed).choice(free, MOST, replace=False))
    if not len(free):
        return []
    open_ = others.take(free)
    points = _points(known, open_, np.concatenate([said.known, said.others[free]]), seed)
    labelled, mine = points.part(0, len(known)), points.part(len(known), len(points))
    search = _Search(mine, said.wrong[free].astype(np.float32), labelled)
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
        self.nearest: Matrix = np.zeros(len(points), dtype=np.float32)
        """(n,) likeness of the nearest labelled record; 0 where there is none."""
        for at in range(0, len(points), _BLOCK):
            block, part = slice(at, at + _BLOCK), points.part(at, at + _BLOCK)
            like = labelled.likeness(part)
            is_same = like >= _SAME
            self._same[block] = is_same.sum(axis=0)
            self.nearest[block] = np.where(is_same, np.float32(1.0), like).max(axis=0, initial=0.0)
            says = like * labelled.agreement(part)
            self._known[block] = np.where(is_same, 0.0, says).max(axis=0, initial=0.0)
        blocks = [
            np.arange(at, min(at + _BLOCK, len(points)), dtype=np.int64)
            for at in range(0, len(points), _BLOCK)
        ]
        worth = np.concatenate([self._worth(*self._to_all(rows), rows) for rows in blocks])
        self._heap = [(-float(value), row) for row, value in enumerate(worth)]
        heapq.heapify(self._heap)

    def picks(self) -> Iterator[tuple[int, float, int]]:
        """Row, worth and how many are like it, the most worth first; one that is taken changes the next."""
        while self._heap:
            older, row = heapq.heappop(self._heap)
            one = np.array([row], dtype=np.int64)
            like, says = self._to_all(one)
            worth = float(self._worth(like, says, one)[0])
            if self._heap and (-worth, row) > self._heap[0] and -worth > older:
                heapq.heappush(self._heap, (-worth, row))
                continue
            is_near = (like[0] >= ALIKE) & (says[0] > self._cover(self._same))
            yield row, worth, int(is_near.sum() - is_near[row])

    def take(self, row: int) -> None:
        """Counts a record as labelled."""
        like, says = (values[0] for values in self._to_all(np.array([row], dtype=np.int64)))
        is_same = like >= _SAME
        self._same += is_same
        self._known = np.maximum(self._known, np.where(is_same, 0.0, says))
        self._wrong[row] = 0.0

    def _cover(self, same: Rows) -> Matrix:
        """(n,) how far each record is spoken for, by the nearest label and by so many of the very same."""
        cover: Matrix = np.maximum(self._known, (1 - _LEFT**same).astype(np.float32))
        return cover

    def _to_all(self, rows: Rows) -> tuple[Matrix, Matrix]:
        """(rows, n) likeness of some records, which are neighbours, to all, and what they say of each."""
        part = self._points.part(int(rows[0]), int(rows[-1]) + 1)
        like = part.likeness(self._points)
        return like, like * part.agreement(self._points)

    def _worth(self, like: Matrix, says: Matrix, rows: Rows) -> Matrix:
        """(rows,) of those whose likeness to all it is."""
        cover = self._cover(self._same)
        more = np.where(like >= _SAME, self._cover(self._same + 1), says)
        more[np.arange(len(rows)), rows] = 1.0  # its own label leaves no doubt about a record
        worth: Matrix = np.maximum(more - cover, 0.0) @ self._wrong
        return worth


def _points(known: ProxyData, others: ProxyData, classes: Floats, seed: int) -> _Points:
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
    at, of_classes = (_of_length_1(values).astype(np.float32) for values in (points, classes))
    return _Points(at, sizes.astype(np.float32), of_classes)


def _of_length_1(points: Floats) -> Floats:
    unit: Floats = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    return unit
