"""Boxes: how far those of an answer cover the true ones, and how many are found.

Intersection over union (Jaccard 1912) of two boxes. A record's boxes are paired greedily, the pair of the
largest overlap first, as rewards pair them; each box is in one pair, and a bundle needs no package for it.
Names are not compared: an answer that misreads a text has its place all the same; `named_50` says how many of
the found boxes have the true name.

Found at 0.5 is PASCAL VOC's threshold (Everingham et al. 2010, 4.2), and one box a record at it the Acc@0.5
of referring expressions (RefCOCO; Yu et al. 2016).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from datakit.core.rewards import SAME_BOX, overlap
from datakit.evaluation.bootstrap import Right, ratio
from datakit.evaluation.boxes import PlacedBoxes
from datakit.evaluation.metrics import Floats


class BoxScore(NamedTuple):
    """What one answer is worth, in boxes."""

    true: int
    answered: int
    overlaps: float
    """Of the true boxes with their partners together; one without a partner counts nothing."""
    found: int
    """Pairs with an overlap of 0.5 or more."""
    named: int
    """Those of them with the same name."""

    @property
    def right(self) -> bool:
        """Whether every true box is found, and nothing besides."""
        return self.found == self.true == self.answered


def box_score(truth: PlacedBoxes, answer: PlacedBoxes | None) -> BoxScore:
    """The score of one answer; of none for one that could not be read."""
    if answer is None:
        return BoxScore(len(truth.sides), 0, 0.0, 0, 0)
    pairs = matched(truth, answer)
    found = [(at, other) for at, other, share in pairs if share >= SAME_BOX]
    named = sum(_plain(truth.names[at]) == _plain(answer.names[other]) for at, other in found)
    overlaps = sum(share for *_, share in pairs)
    return BoxScore(len(truth.sides), len(answer.sides), overlaps, len(found), named)


def matched(truth: PlacedBoxes, answer: PlacedBoxes) -> list[tuple[int, int, float]]:
    """Pairs of a true and an answered box, by their places, with their overlap; the largest first."""
    every = [
        (overlap(sides, other), at, place)
        for at, sides in enumerate(truth.sides)
        for place, other in enumerate(answer.sides)
    ]
    pairs: list[tuple[int, int, float]] = []
    of_truth, of_answer = set[int](), set[int]()
    for share, at, place in sorted(every, key=lambda pair: (-pair[0], *pair[1:])):
        if share > 0 and at not in of_truth and place not in of_answer:
            of_truth.add(at)
            of_answer.add(place)
            pairs.append((at, place, share))
    return pairs


@dataclass(frozen=True)
class BoxSets:
    """True and answered boxes of some records; the `Figures` of the task."""

    scores: tuple[BoxScore, ...]

    shares = frozenset({"accuracy_50"})

    @classmethod
    def of_answers(cls, truth: Sequence[PlacedBoxes], answers: Sequence[PlacedBoxes | None]) -> BoxSets:
        """Of records in the same order; None for an answer that could not be read."""
        return cls(tuple(box_score(boxes, answer) for boxes, answer in zip(truth, answers, strict=True)))

    @property
    def records(self) -> int:
        return len(self.scores)

    @cached_property
    def right(self) -> Right:
        """Whether each record's boxes are all found, and none besides."""
        return np.array([score.right for score in self.scores], dtype=np.bool_)

    @cached_property
    def _counts(self) -> Floats:
        """`(records, 5)`: the numbers of each score."""
        return np.array([tuple(score) for score in self.scores], dtype=float).reshape(-1, 5)

    def of(self, weights: Floats) -> dict[str, Floats]:
        """mean_iou, accuracy_50, recall_50, precision_50, named_50 for each row of weights."""
        true, answered, overlaps, found, named = (weights @ self._counts).T
        return {
            "mean_iou": ratio(overlaps, true),
            "accuracy_50": weights @ self.right / weights.sum(axis=1),
            "recall_50": ratio(found, true),
            "precision_50": ratio(found, answered),
            "named_50": ratio(named, found),
        }

    def each(self) -> list[dict[str, float | None]]:
        """Every record's own share in the figures."""
        return [
            {
                "mean_iou": score.overlaps / score.true,
                "recall_50": score.found / score.true,
                "precision_50": score.found / score.answered if score.answered else None,
            }
            for score in self.scores
        ]


def _plain(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())
