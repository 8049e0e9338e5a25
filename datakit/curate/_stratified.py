"""Chooses whole groups for validation so that every class gets its share."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datakit.core.record import digest

UNCLASSED = -1
"""Class number of a record without a class."""

Cells = dict[int, list[tuple[int, int]]]
"""Group -> (class, records) pairs, groups in random order."""


@dataclass(frozen=True)
class Groups:
    """The groups that hold a class, by kind; all in random order."""

    count: int
    """All groups, those without a class too."""
    single: NDArray[np.int64]
    """Groups of one record."""
    single_class: NDArray[np.int64]
    several: Cells
    """Groups of more than one record with a class."""
    totals: NDArray[np.int64]
    """Records per class."""
    groups: NDArray[np.int64]
    """Groups per class."""

    @classmethod
    def of(
        cls,
        numbers: NDArray[np.int64],
        classes: NDArray[np.int64],
        class_count: int,
        ranks: NDArray[np.uint64],
    ) -> Groups:
        """From group number and class of each record, and a random rank of each group."""
        cells = pl.DataFrame({"group": numbers, "class": classes}).filter(pl.col("class") != UNCLASSED)
        cells = cells.group_by("group", "class").len("records")
        cells = cells.with_columns(rank=pl.Series(ranks[cells["group"].to_numpy()], dtype=pl.UInt64))
        cells = cells.with_columns(size=pl.col("records").sum().over("group")).sort("rank", "group", "class")
        single = cells.filter(pl.col("size") == 1)
        several: Cells = {}
        for group, number, records in cells.filter(pl.col("size") > 1)[
            "group", "class", "records"
        ].iter_rows():
            several.setdefault(group, []).append((number, records))
        totals = np.zeros(class_count, dtype=np.int64)
        groups = np.zeros(class_count, dtype=np.int64)
        np.add.at(totals, cells["class"].to_numpy(), cells["records"].to_numpy().astype(np.int64))
        np.add.at(groups, cells["class"].to_numpy(), 1)
        return cls(
            len(ranks), single["group"].to_numpy(), single["class"].to_numpy(), several, totals, groups
        )


@dataclass
class Choice:
    """The groups that are in validation so far, and the records per class that this makes."""

    chosen: NDArray[np.bool_]
    have: NDArray[np.int64]
    groups: Groups

    def take(self, group: int) -> None:
        self.chosen[group] = True
        for number, records in self.groups.several[group]:
            self.have[number] += records

    def fill(self, portion: NDArray[np.float64], target: NDArray[np.int64]) -> None:
        """Takes groups of several records up to the portion of each class, then up to that of all classes.

        First those that keep their classes within the rounded portion. Where it is under half a record in
        many classes, some of these have a group all the same, within their targets.
        """
        whole, most = np.round(portion), round(float(portion.sum()))
        for group, cells in self.groups.several.items():
            if all(self.have[number] + records <= whole[number] for number, records in cells):
                self.take(group)
        for group, cells in self.groups.several.items():
            fits = all(
                self.have[number] < portion[number] and self.have[number] + records <= target[number]
                for number, records in cells
            )
            rows = sum(records for _, records in cells)
            if fits and not self.chosen[group] and int(self.have.sum()) + rows <= most:
                self.take(group)

    def fill_singles(self, target: NDArray[np.int64]) -> None:
        """Takes as many groups of one record as each class still lacks."""
        for number in range(len(target)):
            own = self.groups.single[self.groups.single_class == number]
            rows = own[: max(int(target[number] - self.have[number]), 0)]
            self.chosen[rows] = True
            self.have[number] += len(rows)

    def approach(self, target: NDArray[np.int64]) -> None:
        """Takes further groups while that brings the classes nearer to their targets."""
        for group, cells in self.groups.several.items():
            gaps = [(int(target[number] - self.have[number]), records) for number, records in cells]
            change = sum(abs(gap - records) - abs(gap) for gap, records in gaps)
            if change < 0 and not self.chosen[group] and self._leaves_some(group):
                self.take(group)

    def guarantee(self, min_val: int) -> None:
        """Gives each class its least number of records, rarest class first, smallest groups first."""
        least = np.minimum(min_val, self.groups.totals - 1)
        short = [
            number for number in np.argsort(self.groups.totals, kind="stable") if self._short(number, least)
        ]
        for number in short:
            holding = [
                (sum(records for _, records in cells), group)
                for group, cells in self.groups.several.items()
                if any(number == other for other, _ in cells)
            ]
            for _, group in sorted(holding, key=lambda pair: pair[0]):
                if not self._short(number, least):
                    break
                if not self.chosen[group] and self._leaves_some(group):
                    self.take(group)

    def _short(self, number: int, least: NDArray[np.int64]) -> bool:
        return bool(self.groups.groups[number] >= 2 and self.have[number] < least[number])

    def _leaves_some(self, group: int) -> bool:
        """Whether training keeps a record of each class when this group goes to validation."""
        cells = self.groups.several[group]
        return all(self.have[number] + records < self.groups.totals[number] for number, records in cells)


def choose(groups: Groups, share: float, min_val: int) -> Choice:
    """The groups for validation: exact for single records, as near as whole groups allow for others."""
    target = _targets(groups, share, min_val)
    choice = Choice(np.zeros(groups.count, dtype=bool), np.zeros_like(groups.totals), groups)
    # Groups of several records come first, but only up to their own share of each class: validation
    # would be made of them alone otherwise. Single records then meet the targets exactly.
    choice.fill(_portion_of_several(groups, target), target)
    choice.fill_singles(target)
    choice.approach(target)
    choice.guarantee(min_val)
    return choice


def random_ranks(ids: pl.Series, seed: int) -> NDArray[np.uint64]:
    """A random number per id that depends on the seed and the id alone."""
    key = digest([seed, "curate.split"])
    data = b"".join(hashlib.blake2b(id_.encode(), digest_size=8, key=key).digest() for id_ in ids)
    return np.frombuffer(data, dtype="<u8").astype(np.uint64)


def _targets(groups: Groups, share: float, min_val: int) -> NDArray[np.int64]:
    """Validation records per class: the share by largest remainders, within each class's bounds."""
    high = np.where(groups.groups >= 2, groups.totals - 1, 0)
    low = np.minimum(min_val, high)
    ideal = share * groups.totals
    target: NDArray[np.int64] = np.clip(np.floor(ideal).astype(np.int64), low, high)
    left = round(share * int(groups.totals.sum())) - int(target.sum())
    while left:
        step = 1 if left > 0 else -1
        free = target < high if left > 0 else target > low
        if not free.any():
            break
        gap: NDArray[Any] = np.where(free, (ideal - target) * step, -np.inf)
        target[int(np.argmax(gap))] += step
        left -= step
    return target


def _portion_of_several(groups: Groups, target: NDArray[np.int64]) -> NDArray[np.float64]:
    """Validation records per class that groups of several records would have if they were as others."""
    inside = np.zeros_like(groups.totals)
    for cells in groups.several.values():
        for number, records in cells:
            inside[number] += records
    return np.asarray(target * inside / np.maximum(groups.totals, 1), dtype=np.float64)
