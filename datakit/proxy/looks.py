"""What the pictures of labelled records teach of others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datakit.proxy.data import Floats, ProxyData, Rows
from datakit.proxy.spaces import PictureSpace
from datakit.proxy.voices import Ridge


class Looks:
    """Least squares on the pictures of some labelled records. `seen` are the rows that have one."""

    def __init__(self, data: ProxyData, given: Rows, count: int) -> None:
        self.seen = seen_rows(data)
        self._count, self._size = count, len(data)
        self._space: PictureSpace | None = None
        if data.pictures is not None and len(self.seen):
            self._space = PictureSpace(data.pictures[self.seen])
            self._ridge = Ridge(self._space.points, given[self.seen], count)

    @property
    def points(self) -> Floats | None:
        """(n, d) the pictures as points, 0 throughout for a record without one; None where nobody has one."""
        if self._space is None:
            return None
        points = np.zeros((self._size, self._space.points.shape[1]))
        points[self.seen] = self._space.points
        return points

    def of(self, data: ProxyData) -> tuple[Floats, Rows]:
        """(rows, classes) of other records that have a picture, and which they are."""
        rows = seen_rows(data)
        if self._space is None or data.pictures is None or not len(rows):
            return np.zeros((0, self._count)), rows[:0]
        points = self._space.place(data.pictures[rows])
        return self._ridge.probabilities(points @ self._ridge.weights), rows

    def without(self, block: Rows) -> tuple[Floats, Rows]:
        """The same of a block of the own records, as those see them that are not in it."""
        rows = np.flatnonzero(np.isin(block, self.seen))
        if not len(rows):
            return np.zeros((0, self._count)), rows
        return self._ridge.probabilities(self._ridge.without(np.searchsorted(self.seen, block[rows]))), rows

    def relabelled(self, rows: Rows, change: tuple[int, int], among: Rows) -> tuple[Floats, Rows]:
        """The same of some own records, each left out alone, had `rows` not one label but another."""
        told = np.flatnonzero(np.isin(among, self.seen))
        if not len(told):
            return np.zeros((0, self._count)), told
        moved, others = (
            np.searchsorted(self.seen, some) for some in (rows[np.isin(rows, self.seen)], among[told])
        )
        return self._ridge.probabilities(self._ridge.relabelled(moved, change, others)), told

    def left_out(self, groups: Sequence[str]) -> tuple[Floats, Rows]:
        """The same of all own records, each without its group."""
        if self._space is None:
            return np.zeros((0, self._count)), self.seen
        inner = blocks([groups[row] for row in self.seen.tolist()])
        return self._ridge.probabilities(self._ridge.left_out(inner)), self.seen


def seen_rows(data: ProxyData) -> Rows:
    """The rows that have a picture."""
    if data.pictures is None:
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(np.isfinite(data.pictures).all(axis=1))


def blocks(groups: Sequence[str]) -> list[Rows]:
    """The rows of each group."""
    rows: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(group, []).append(row)
    return [np.array(block, dtype=np.int64) for block in rows.values()]
