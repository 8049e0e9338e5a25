"""Figures about records: counts, quantiles and histograms, by lazy scans that keep memory flat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import floor, log10

import polars as pl

BINS = 30
"""About so many bars in a histogram."""
NARROWEST = 100
"""A bar is at least the plot's width divided by this."""


@dataclass(frozen=True)
class Spread:
    """How a number is distributed over the records that have it."""

    count: int
    missing: int
    least: float
    median: float
    mean: float
    high: float
    """95th percentile."""
    most: float


@dataclass(frozen=True)
class Histogram:
    """Bars between `edges` (one more than `counts`)."""

    edges: Sequence[float]
    counts: Sequence[int]


def collect(frame: pl.LazyFrame) -> pl.DataFrame:
    """The frame's rows, read as a stream."""
    return frame.collect(engine="streaming")


def spread(frame: pl.LazyFrame, value: pl.Expr) -> Spread | None:
    """Spread of a number; None when no record has it."""
    return spreads(frame, {"": value}).get("")


def spreads(frame: pl.LazyFrame, values: Mapping[str, pl.Expr]) -> dict[str, Spread]:
    """Name -> spread of each number that some record has, all in one scan; one that is not finite is none."""
    if not values:
        return {}
    names = {f"x{number}": name for number, name in enumerate(values)}
    numbers = [_finite(value).alias(x) for x, value in zip(names, values.values(), strict=True)]
    measures: dict[str, Callable[[pl.Expr], pl.Expr]] = {
        "count": pl.Expr.count,
        "missing": pl.Expr.null_count,
        "least": pl.Expr.min,
        "median": pl.Expr.median,
        "mean": pl.Expr.mean,
        "high": partial(pl.Expr.quantile, quantile=0.95, interpolation="nearest"),
        "most": pl.Expr.max,
    }
    every = [measure(pl.col(x)).alias(f"{x}.{key}") for x in names for key, measure in measures.items()]
    row = collect(frame.select(numbers).select(every)).row(0, named=True)
    facts = {name: {key: row[f"{x}.{key}"] for key in measures} for x, name in names.items()}
    return {name: Spread(**fact) for name, fact in facts.items() if fact["count"]}


def histogram(
    frame: pl.LazyFrame, value: pl.Expr, spread: Spread, *, whole: bool = True, beside: float | None = None
) -> Histogram:
    """Histogram of a number with round bin widths; `whole` numbers get bins of at least one.

    With `beside`, a number that the plot shows too, no bin is too narrow to be seen next to it.
    """
    width = (spread.most - spread.least) / BINS
    if beside is not None:
        width = max(width, (max(spread.most, beside) - min(spread.least, beside)) / NARROWEST)
    width = _round_width(width, whole=whole)
    first = floor(spread.least / width)
    bins = (_finite(value) / width).floor().cast(pl.Int64)
    counted = collect(frame.select(bins.alias("bin")).drop_nulls().group_by("bin").len())
    by_bin = dict(counted.rows())
    last = max(by_bin)
    return Histogram(
        [round(number * width, 9) for number in range(first, last + 2)],
        [by_bin.get(number, 0) for number in range(first, last + 1)],
    )


def counts(frame: pl.LazyFrame, value: pl.Expr) -> list[tuple[str, int]]:
    """Value -> records, the most frequent first; null is left out."""
    table = frame.select(value.cast(pl.String).alias("value")).drop_nulls().group_by("value").len()
    return [
        (name, int(number))
        for name, number in collect(table).sort(["len", "value"], descending=[True, False]).rows()
    ]


def _finite(value: pl.Expr) -> pl.Expr:
    number = value.cast(pl.Float64)
    return pl.when(number.is_finite()).then(number)


def _round_width(width: float, *, whole: bool) -> float:
    """1, 2 or 5 times a power of ten, not below `width`."""
    if width <= 0:
        return 1.0 if whole else 0.01
    power = 10.0 ** floor(log10(width))
    rounded = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= width * (1 - 1e-9))
    return max(rounded, 1.0) if whole else rounded
