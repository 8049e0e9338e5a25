"""Accuracy, F1 and their uncertainty, computed on counts of (truth, answer).

An answer that is no label is wrong: it costs its class recall, and no class precision. Formulas as in
scikit-learn's user guide 3.4.4 (checked against it in the tests); macro and weighted averages go over the
labels that are true or answered, which is its rule too. No scikit-learn, because importing it takes longer
than all the figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

NAMES = ("accuracy", "macro_f1", "weighted_f1")
RESAMPLES = 2000
"""Enough that the ends of a 95% interval move by less than a tenth of its width from seed to seed."""
_AT_ONCE = 2_000_000
"""Cells of resampled tables held at a time (16 MB)."""


def codes(places: Sequence[int]) -> Counts:
    """Places of classes as an array; -1 is no label."""
    return np.array(places, dtype=np.int64)


@dataclass(frozen=True)
class Interval:
    """A figure (most lie between 0 and 1, a difference between -1 and 1) and its 95% interval's ends."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Table:
    """How often each pair of truth and answer occurs: the distinct pairs, and a count for each."""

    truth: Counts
    answer: Counts
    """-1 for no label."""
    counts: Counts
    classes: int

    @classmethod
    def of(cls, truth: Counts, answer: Counts, classes: int) -> Table:
        keys, counts = np.unique(truth * (classes + 1) + answer + 1, return_counts=True)
        return cls(keys // (classes + 1), keys % (classes + 1) - 1, counts.astype(np.int64), classes)

    def matrix(self) -> Counts:
        """`(classes, classes + 1)`: rows are truths, columns answers, the last those that are no label."""
        matrix = np.zeros((self.classes, self.classes + 1), dtype=np.int64)
        matrix[self.truth, self.answer] = self.counts  # -1 is the last column
        return matrix


def per_class(table: Table) -> dict[str, Floats]:
    """precision, recall, f1 and support of every class; 0 where nothing was answered or true."""
    right, answered, true = _sums(table, table.counts[None, :])
    return {
        "precision": _ratio(right, answered)[0],
        "recall": _ratio(right, true)[0],
        "f1": _ratio(2 * right, answered + true)[0],
        "support": true[0],
    }


def scores(table: Table) -> dict[str, float]:
    """accuracy, macro_f1 and weighted_f1."""
    return {name: float(values[0]) for name, values in _scores(table, table.counts[None, :]).items()}


def intervals(table: Table, seed: int, resamples: int = RESAMPLES) -> dict[str, Interval]:
    """accuracy, macro_f1 and weighted_f1 with 95% intervals.

    F1: percentiles of the bootstrap over records (Efron and Tibshirani 1993, chapter 13). Accuracy: the
    score interval (Wilson 1927), because a bootstrap of a perfect result has no width.
    """
    figures = scores(table)
    drawn = _joined(_scores(table, counts) for counts in _resampled(table.counts, seed, resamples))
    total = int(table.counts.sum())
    result = {"accuracy": wilson(round(figures["accuracy"] * total), total)}
    for name in NAMES[1:]:
        low, high = np.percentile(drawn[name], (2.5, 97.5))
        result[name] = Interval(figures[name], float(low), float(high))
    return result


def wilson(right: int, total: int) -> Interval:
    """The score interval of a share at 95% (Wilson 1927), as scipy's `proportion_ci(method="wilson")`.

    Written out, because bundles score with this code where scipy need not be (tested against it).
    """
    z = 1.959963984540054
    share, spread = right / total, z * z / total
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


@dataclass(frozen=True)
class Difference:
    """A second result less the first, on the same records."""

    interval: Interval
    p: float
    """Two-sided: twice the smaller share of resamples on one side of zero, at least 1 / resamples."""

    @property
    def significant(self) -> bool:
        """Whether the 95% interval leaves out zero."""
        return self.interval.low > 0 or self.interval.high < 0


def differences(
    truth: Counts, first: Counts, second: Counts, classes: int, *, seed: int, resamples: int = RESAMPLES
) -> dict[str, Difference]:
    """accuracy, macro_f1 and weighted_f1 of `second` less those of `first`: a paired bootstrap.

    Both results are drawn with the same records each time (Berg-Kirkpatrick and others 2012).
    """
    wide = classes + 1
    keys, counts = np.unique((truth * wide + first + 1) * wide + second + 1, return_counts=True)
    rest, after = keys // wide, keys % wide - 1
    first_table = Table(rest // wide, rest % wide - 1, counts, classes)
    second_table = Table(first_table.truth, after, counts, classes)
    drawn_first: list[dict[str, Floats]] = []
    drawn_second: list[dict[str, Floats]] = []
    for drawn in _resampled(counts, seed, resamples):
        drawn_first.append(_scores(first_table, drawn))
        drawn_second.append(_scores(second_table, drawn))
    before, now = _joined(iter(drawn_first)), _joined(iter(drawn_second))
    at_first, at_last = scores(first_table), scores(second_table)
    return {
        name: difference(at_last[name] - at_first[name], now[name] - before[name], resamples)
        for name in NAMES
    }


def difference(value: float, drawn: Floats, resamples: int) -> Difference:
    """A difference with the ends of its interval, out of its values in the resamples."""
    low, high = (float(end) for end in np.percentile(drawn, (2.5, 97.5)))
    p = 2 * min(float(np.mean(drawn <= 0)), float(np.mean(drawn >= 0)))
    return Difference(Interval(value, low, high), min(1.0, max(p, 1 / resamples)))


def _resampled(counts: Counts, seed: int, resamples: int) -> Iterator[Counts]:
    """Counts of as many records drawn with replacement, some resamples at a time: `(some, pairs)`.

    Records of one pair are alike to every metric, so that drawing pairs by their share is drawing records.
    """
    total = int(counts.sum())
    rng = np.random.default_rng(seed)
    step = max(1, _AT_ONCE // len(counts))
    for start in range(0, resamples, step):
        yield rng.multinomial(total, counts / total, size=min(step, resamples - start))


def _scores(table: Table, counts: Counts) -> dict[str, Floats]:
    """The scores for each row of `counts`."""
    right, answered, true = _sums(table, counts)
    total = counts.sum(axis=1)
    f1 = _ratio(2 * right, answered + true)
    present = (answered + true) > 0
    return {
        "accuracy": right.sum(axis=1) / total,
        "macro_f1": f1.sum(axis=1) / present.sum(axis=1),
        "weighted_f1": (f1 * true).sum(axis=1) / total,
    }


def _sums(table: Table, counts: Counts) -> tuple[Floats, Floats, Floats]:
    """Right answers, answers and records of each class, for each row of `counts`."""
    right = np.where(table.truth == table.answer, table.truth, -1)
    return (
        _by_class(counts, right, table.classes),
        _by_class(counts, table.answer, table.classes),
        _by_class(counts, table.truth, table.classes),
    )


def _by_class(counts: Counts, codes: Counts, classes: int) -> Floats:
    """For each row of `counts` the sum over the pairs of every class; the code -1 belongs to none."""
    sums = np.zeros((len(counts), classes))
    places = np.flatnonzero(codes >= 0)
    if len(places):
        order = places[np.argsort(codes[places], kind="stable")]
        present, starts = np.unique(codes[order], return_index=True)
        sums[:, present] = np.add.reduceat(counts[:, order], starts, axis=1)
    return sums


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _joined(batches: Iterator[dict[str, Floats]]) -> dict[str, Floats]:
    all_batches = list(batches)
    return {name: np.concatenate([batch[name] for batch in all_batches]) for name in NAMES}
