"""Numbers: how far answers are off, whether their order is right, and how many come near enough.

Errors and order are those of the answers that are a number; the shares are of all records, so that an answer
that is none is never within the tolerance. Spearman's coefficient is Pearson's of the ranks, equal values
sharing the mean of their ranks (Kendall 1948, chapter 3; checked against scipy in the tests).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datakit.evaluation.bootstrap import Right, ratio
from datakit.evaluation.metrics import Floats

ROUNDING = 1e-9
"""Part of the larger number by which an error may pass the tolerance: in floats 1.1 - 1.0 is above 0.1."""


@dataclass(frozen=True)
class Numbers:
    """True and answered numbers of some records; the `Figures` of the task."""

    truth: Floats
    answers: Floats
    """NaN for an answer that is no number."""
    tolerance: float = 0.0
    """Largest error of an answer that is near enough, in the unit of the numbers."""
    left_out: NDArray[np.bool_] | None = None
    """Records whose errors and order do not count, because another result has no number for them."""

    shares = frozenset({"within_tolerance", "readable"})

    @property
    def records(self) -> int:
        return len(self.truth)

    @cached_property
    def errors(self) -> Floats:
        """How far each answer is off; NaN where it is no number."""
        return np.abs(self.answers - self.truth)

    @cached_property
    def readable(self) -> NDArray[np.bool_]:
        """Whether each answer is a number."""
        return ~np.isnan(self.answers)

    @cached_property
    def right(self) -> Right:
        """Whether each answer is within the tolerance."""
        slack = ROUNDING * np.maximum(np.abs(self.truth), np.abs(self.answers))
        right: Right = self.errors <= self.tolerance + slack  # False for NaN
        return right

    def beside(self, other: Numbers) -> Numbers:
        """The same with the errors of those records alone for which `other` has a number too."""
        return replace(self, left_out=~other.readable)

    def of(self, weights: Floats) -> dict[str, Floats]:
        """mae, rmse, median_absolute_error, spearman, within_tolerance, readable for each row of weights."""
        total = weights.sum(axis=1)
        of_errors = self.readable if self.left_out is None else self.readable & ~self.left_out
        drawn, errors = weights[:, of_errors], self.errors[of_errors]
        counted = drawn.sum(axis=1)
        return {
            "mae": ratio(drawn @ errors, counted),
            "rmse": np.sqrt(ratio(drawn @ errors**2, counted)),
            "median_absolute_error": _medians(errors, drawn),
            "spearman": _spearman(self.truth[of_errors], self.answers[of_errors], drawn),
            "within_tolerance": weights @ self.right / total,
            "readable": weights @ self.readable / total,
        }


def _medians(values: Floats, weights: Floats) -> Floats:
    """The median of the values, each as often as its weight says; of an even count the middle two's mean."""
    total = weights.sum(axis=1)
    if not len(values):
        return np.full(len(weights), np.nan)
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[:, order], axis=1)
    ordered = values[order]
    # The value at place k, from 0, is the first one at which more than k are counted.
    low, high = (ordered[(below > place[:, None]).argmax(axis=1)] for place in ((total - 1) // 2, total // 2))
    return np.where(total > 0, low + (high - low) / 2, np.nan)


def _spearman(first: Floats, second: Floats, weights: Floats) -> Floats:
    """Spearman's coefficient for each row of weights; NaN where either side has one value only."""
    if not len(first):
        return np.full(len(weights), np.nan)
    total = weights.sum(axis=1, keepdims=True)
    mean = (total + 1) / 2  # of ranks from 1 to total, ties or none
    first_ranks, second_ranks = _ranks(first, weights) - mean, _ranks(second, weights) - mean
    together = (weights * first_ranks * second_ranks).sum(axis=1)
    spread = (weights * first_ranks**2).sum(axis=1) * (weights * second_ranks**2).sum(axis=1)
    return np.clip(ratio(together, np.sqrt(spread)), -1.0, 1.0)


def _ranks(values: Floats, weights: Floats) -> Floats:
    """`(resamples, values)`: the mean rank that each value has among those drawn."""
    _, places = np.unique(values, return_inverse=True)
    order = np.argsort(places, kind="stable")
    starts = np.flatnonzero(np.diff(places[order], prepend=-1))
    groups = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks: Floats = np.cumsum(groups, axis=1) - groups + (groups + 1) / 2
    return ranks[:, places]
