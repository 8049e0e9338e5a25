"""How far an answer's value agrees with the truth, from 0 to 1, for each kind of value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

SAME_BOX = 0.5
"""Least intersection over union of two boxes that mean the same."""


def agreement(kind: str, answer: Any, truth: Any) -> float:
    """1 for the truth itself, 0 for nothing of it.

    label: the same or not. labels: F1 of the two sets. number: 1 less the error as a share of the truth (of 1
    for smaller ones). boxes: F1, a box being found at an overlap of 0.5 (the best pairs first) under the same
    name. Texts: F1 of their characters, white space and case aside.
    """
    if answer is None or truth is None:
        return float(answer is truth)  # an empty field is right where the truth is empty
    if kind == "labels":
        return _f1(len(set(answer) & set(truth)), len(set(answer)), len(set(truth)))
    if kind == "number":
        return float(max(0.0, 1.0 - abs(answer - truth) / max(abs(truth), 1.0)))
    if kind == "boxes":
        return _f1(_same_boxes(answer, truth), len(answer), len(truth))
    if kind == "label":
        return float(answer == truth)
    answered, right = (Counter("".join(str(text).casefold().split())) for text in (answer, truth))
    return _f1((answered & right).total(), answered.total(), right.total())


def _f1(shared: int, answered: int, wanted: int) -> float:
    """2 x shared / (answered + wanted); two empty sets agree."""
    return 2 * shared / (answered + wanted) if answered + wanted else 1.0


def _same_boxes(answer: Sequence[dict[str, Any]], truth: Sequence[dict[str, Any]]) -> int:
    pairs = [
        (overlap(box["bbox_2d"], other["bbox_2d"]), i, j)
        for i, box in enumerate(answer)
        for j, other in enumerate(truth)
        if box.get("label") == other.get("label")
    ]
    used: tuple[set[int], set[int]] = (set(), set())
    for share, i, j in sorted(pairs, key=lambda pair: (-pair[0], *pair[1:])):
        if share >= SAME_BOX and i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
    return len(used[0])


def overlap(box: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes [left, top, right, bottom]; 1 for a box and itself."""
    if list(box) == list(other):
        return 1.0  # also of one without an area
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(box) + _area(other) - shared)


def _area(box: Sequence[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
