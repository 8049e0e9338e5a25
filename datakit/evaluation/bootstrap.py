"""Intervals and differences of any figures that can be computed on weighted records: numpy alone.

Figures take one weight a record and resample (how often it was drawn), so that a whole batch of resamples is
a few array operations. The method is that of `metrics`, which counts pairs of labels instead of records.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from datakit.evaluation.metrics import RESAMPLES, Difference, Floats, Interval, difference, wilson

Right = NDArray[np.bool_]
_AT_ONCE = 2_000_000
"""Weights held at a time (16 MB)."""


class Figures(Protocol):
    """The answers to some records, ready to be scored."""

    @property
    def records(self) -> int: ...

    @property
    def right(self) -> Right:
        """Whether each record is answered rightly."""
        ...

    @property
    def shares(self) -> frozenset[str]:
        """The figures that are shares of all records, which get Wilson's interval."""
        ...

    def of(self, weights: Floats) -> dict[str, Floats]:
        """Name -> the figure for each row of `weights` (resamples, records); NaN where it is undefined."""
        ...


@dataclass(frozen=True)
class Means:
    """One figure that is the mean of the records' own scores."""

    name: str
    scores: Floats

    shares: frozenset[str] = frozenset()

    @property
    def records(self) -> int:
        return len(self.scores)

    @property
    def right(self) -> Right:
        right: Right = self.scores == 1
        return right

    def of(self, weights: Floats) -> dict[str, Floats]:
        return {self.name: weights @ self.scores / weights.sum(axis=1)}


def values(figures: Figures) -> dict[str, float]:
    """Name -> the figure of all records once; undefined ones are left out."""
    figure_values = figures.of(np.ones((1, figures.records)))
    return {name: float(column[0]) for name, column in figure_values.items() if not math.isnan(column[0])}


def intervals(figures: Figures, seed: int, resamples: int = RESAMPLES) -> dict[str, Interval]:
    """Every defined figure with its 95% interval.

    Percentiles of the bootstrap over records (Efron and Tibshirani 1993, chapter 13), resamples in which a
    figure is undefined left out; the score interval (Wilson 1927) for shares of records.
    """
    drawn = _drawn(figures, seed, resamples)
    result = {}
    for name, value in values(figures).items():
        if name in figures.shares:
            result[name] = wilson(round(value * figures.records), figures.records)
            continue
        defined = drawn[name][~np.isnan(drawn[name])]
        low, high = np.percentile(defined, (2.5, 97.5)) if len(defined) else (value, value)
        result[name] = Interval(value, float(low), float(high))
    return result


def differences(
    first: Figures, second: Figures, *, seed: int, resamples: int = RESAMPLES
) -> dict[str, Difference]:
    """The figures of `second` less those of `first`, which are of the same records in the same order.

    A paired bootstrap: both are drawn with the same records each time (Berg-Kirkpatrick and others 2012).
    Figures that either has not are left out.
    """
    before, after = values(first), values(second)
    drawn_before = _drawn(first, seed, resamples)  # one seed, so that both see the same draws
    drawn_after = _drawn(second, seed, resamples)
    result = {}
    for name in [name for name in before if name in after]:
        drawn = drawn_after[name] - drawn_before[name]
        if len(defined := drawn[~np.isnan(drawn)]):
            result[name] = difference(after[name] - before[name], defined, resamples)
    return result


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p of McNemar's test: a fair coin for each record that one side alone has right.

    McNemar 1947, in the exact form (binomial); 1.0 when the two never differ.
    """
    count, least = only_first + only_second, min(only_first, only_second)
    if count == 0 or 2 * least == count:
        return 1.0
    log_half = count * math.log(0.5)
    tail = math.fsum(math.exp(_log_choose(count, k) + log_half) for k in range(least + 1))
    return min(1.0, 2 * tail)


def resampled(records: int, seed: int, resamples: int) -> Iterator[Floats]:
    """How often each record is drawn, some resamples at a time: `(draws, records)`."""
    rng = np.random.default_rng(seed)
    step = max(1, _AT_ONCE // records)
    for start in range(0, resamples, step):
        draws = min(step, resamples - start)
        drawn = rng.integers(0, records, size=(draws, records))
        drawn += np.arange(draws)[:, None] * records
        yield np.bincount(drawn.ravel(), minlength=draws * records).reshape(draws, records).astype(float)


def ratio(part: Floats, whole: Floats) -> Floats:
    """`part / whole`, NaN where there is nothing to divide by."""
    quotients: Floats = np.full(np.broadcast(part, whole).shape, np.nan)
    np.divide(part, whole, out=quotients, where=whole != 0)
    return quotients


def _drawn(figures: Figures, seed: int, resamples: int) -> dict[str, Floats]:
    batches = [figures.of(weights) for weights in resampled(figures.records, seed, resamples)]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _log_choose(count: int, chosen: int) -> float:
    return math.lgamma(count + 1) - math.lgamma(chosen + 1) - math.lgamma(count - chosen + 1)
