"""The records of a build with `--limit`: some of each label, however the source is sorted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from datakit.core.outcome import Batch, Reject


def limited(batches: Iterator[Batch], limit: int | None, *, by_label: bool = True) -> Iterator[Batch]:
    """What a reader gives, at most `limit` records of it, in the order of the source.

    `by_label`: the first record of each label, then the second of each, until there are `limit`; records
    without a label count as one more label. The whole source is gone through, and its rejects come along in
    their share of it, so that a look is refused where the build would be. Otherwise the first records.
    """
    if limit is None:
        return batches
    return _by_label(batches, limit) if by_label else _first(batches, limit)


def _first(batches: Iterator[Batch], limit: int) -> Iterator[Batch]:
    left = limit
    for batch in batches:
        yield Batch(batch.frame.head(left), batch.rejects, batch.notes)
        left -= min(left, batch.frame.height)
        if left == 0:
            return


def _by_label(batches: Iterator[Batch], limit: int) -> Iterator[Batch]:
    look = _Look(limit)
    rejects: list[Reject] = []
    rows = rejected = 0
    notes: dict[str, Any] = {}
    for batch in batches:
        look.add(batch.frame)
        rejects += batch.rejects[: limit - len(rejects)]
        rows, rejected = rows + batch.frame.height, rejected + len(batch.rejects)
        notes |= batch.notes
    if look.frames:
        share = rejected / (rows + rejected) if rejected else 0.0
        yield Batch(look.chosen(), rejects[: round(limit * share)], notes)


class _Look:
    """The records that may be among the chosen ones; others are let go of as soon as that is known."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.frames: list[pl.DataFrame] = []
        self._ranks: list[list[int]] = []
        """Of each record of a frame: how many of its label came before it."""
        self._counts: Counter[str | None] = Counter()

    def add(self, frame: pl.DataFrame) -> None:
        """Takes the next records of the source."""
        ranks = []
        for label in frame["label"] if "label" in frame.columns else [None] * frame.height:
            ranks.append(self._counts[label])
            self._counts[label] += 1
        self.frames.append(frame)
        self._ranks.append(ranks)
        if sum(map(len, self._ranks)) > 4 * self.limit + len(self._counts):
            rounds = self._rounds()
            self._keep([[rank < rounds for rank in own] for own in self._ranks])

    def chosen(self) -> pl.DataFrame:
        """The records of a look."""
        rounds = self._rounds()
        left = self.limit - sum(min(count, rounds - 1) for count in self._counts.values())
        keep: list[list[bool]] = []
        for own in self._ranks:
            keep.append([])
            for rank in own:
                is_last = rank == rounds - 1
                keep[-1].append(rank < rounds - 1 or (is_last and left > 0))
                left -= is_last
        self._keep(keep)
        return pl.concat(self.frames)

    def _rounds(self) -> int:
        """Records of each label that are enough."""
        low, high = 1, self.limit
        while low < high:
            middle = (low + high) // 2
            enough = sum(min(count, middle) for count in self._counts.values()) >= self.limit
            low, high = (low, middle) if enough else (middle + 1, high)
        return low

    def _keep(self, keep: Sequence[Sequence[bool]]) -> None:
        frames, ranks = self.frames, self._ranks
        self.frames, self._ranks = [], []
        for at, (frame, own, kept) in enumerate(zip(frames, ranks, keep, strict=True)):
            chosen = frame.filter(pl.Series(kept, dtype=pl.Boolean))
            if at == 0 or chosen.height:  # the first has the columns, perhaps without a record
                self.frames.append(chosen)
                self._ranks.append([rank for rank, is_kept in zip(own, kept, strict=True) if is_kept])
