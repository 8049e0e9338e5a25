"""Deals whole groups into folds so that every fold holds each class's share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datakit.core.counted import counted, counted_with
from datakit.core.errors import UserError
from datakit.curate._stratified import UNCLASSED, Groups

SHOWN = 5
"""Classes that a note names before it counts the others."""


@dataclass(frozen=True)
class Folds:
    """Which group is in which fold."""

    of_group: NDArray[np.int64]
    """Fold of each group, from 0."""
    have: NDArray[np.int64]
    """(fold, class) -> records; the last class is that of the records without one."""

    def notes(self, names: list[str], groups: Groups) -> dict[str, object]:
        """What is odd about these folds, named and counted."""
        sizes = self.have.sum(axis=1)
        totals = self.have.sum(axis=0)
        named = [number for number in range(len(names)) if totals[number]]
        thin = [number for number in named if (self.have[:, number] == 0).any()]
        lost = [number for number in named if (self.have[:, number] == totals[number]).any()]
        notes: dict[str, object] = {"folds": [int(size) for size in sizes]}
        warnings = []
        if len(named) == 1:
            warnings.append(
                f"all records are of one class, {names[named[0]]}: their models can doubt no label"
            )
        if thin:
            notes["classes_absent_in_a_fold"] = len(thin)
            warnings.append(
                f"{counted_with(len(thin), 'class', 'is', 'are')} not in every fold, having too few groups: "
                f"{_some(names, thin)}"
            )
        if lost:
            notes["classes_in_one_fold"] = len(lost)
            warnings.append(
                f"{counted_with(len(lost), 'class', 'is', 'are')} in one fold alone, so that the model "
                f"which judges their records was never shown them: {_some(names, lost)}"
            )
        share = int(sizes.sum()) / len(sizes)
        large = [sum(count for _, count in cells) for cells in groups.several.values()]
        large = sorted((size for size in large if size > share), reverse=True)
        if large:
            notes["groups_larger_than_a_fold"] = len(large)
            warnings.append(
                f"{counted_with(len(large), 'group', 'is', 'are')} larger than a fold of "
                f"{share:,.0f} records ({', '.join(f'{size:,}' for size in large[:SHOWN])}): "
                "the folds differ in size by that"
            )
        return {**notes, "warnings": warnings} if warnings else notes


def deal(
    numbers: NDArray[np.int64],
    classes: NDArray[np.int64],
    class_count: int,
    ranks: NDArray[np.uint64],
    count: int,
) -> tuple[Folds, Groups]:
    """The folds of the groups; records without a class are dealt as a class of their own.

    Large groups come first, each to the fold that lacks its classes most; single records then fill up what
    is uneven. Raises UserError where there are fewer groups than folds.
    """
    if len(ranks) < count:
        raise UserError(
            f"{count} folds cannot be made of {counted(len(numbers), 'record')} in "
            f"{counted(len(ranks), 'group')}: one of them would be empty",
            remedy=f"Take at most {len(ranks)} folds." if len(ranks) > 1 else "Take more records.",
        )
    dealt = np.where(classes == UNCLASSED, class_count, classes)
    groups = Groups.of(numbers, dealt, class_count + 1, ranks)
    of_group = np.zeros(groups.count, dtype=np.int64)
    have = np.zeros((count, class_count + 1), dtype=np.int64)
    for group, cells in sorted(
        groups.several.items(), key=lambda item: -sum(records for _, records in item[1])
    ):
        own = [number for number, _ in cells]
        records = np.array([records for _, records in cells])
        gap = have[:, own] / np.maximum(groups.totals[own], 1) @ records
        fold = int(np.lexsort((np.arange(count), have.sum(axis=1), gap))[0])
        of_group[group] = fold
        have[fold, own] += records
    for number in np.argsort(-groups.totals, kind="stable"):
        of_class = groups.single[groups.single_class == number]
        start = 0
        for fold, take in enumerate(_filled(have, int(number), len(of_class))):
            of_group[of_class[start : start + take]] = fold
            have[fold, number] += take
            start += take
    return Folds(of_group, have), groups


def _filled(have: NDArray[np.int64], number: int, records: int) -> list[int]:
    """How many single records of a class each fold takes: the emptiest of it first, then the smallest."""
    level = have[:, number].astype(np.int64)
    takes = np.zeros(len(level), dtype=np.int64)
    order = np.lexsort((np.arange(len(level)), have.sum(axis=1), level))
    left = records
    for at, fold in enumerate(order):  # raises the lowest folds to the level of the next one
        step = level[order[at + 1]] - level[fold] if at + 1 < len(order) else left
        poured = min(left, int(step) * (at + 1))
        each, rest = divmod(poured, at + 1)
        takes[order[: at + 1]] += each
        takes[order[:rest]] += 1
        left -= poured
        if not left:
            break
    return [int(take) for take in takes]


def _some(names: list[str], numbers: list[int]) -> str:
    more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
    return ", ".join(names[number] for number in numbers[:SHOWN]) + more
