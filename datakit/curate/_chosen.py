"""Which predictions are kept as labels: as many as keep to a precision, and of every class its best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datakit.curate._calibrated import Bools, Floats

Ranks = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True)
class Rule:
    """What is kept."""

    precision: float
    """Share of the kept labels that are to be right, by their own estimate."""
    threshold: float | None
    """Least probability of being right; in place of `precision`."""
    floor: float
    """Share of the records of each predicted class that are kept at the least, the surest first."""
    floor_probability: float
    """Least probability of being right for those."""
    max_per_class: int | None


@dataclass(frozen=True)
class Choice:
    """What was kept, and why the others were not."""

    kept: Bools
    over_cap: Bools
    """Sure enough, but too many of their class are surer."""
    bound: float
    """The least probability of being right that the rule came to; 1 where none reaches it."""
    by_floor: int
    """Of the kept, those below the bound, which stand for their class."""


def choose(sure: Floats, predicted: Sequence[str], rule: Rule) -> Choice:
    """The choice; of equally sure records the first comes first."""
    names, places = np.unique(np.asarray(predicted, dtype=object), return_inverse=True)
    ranks = _ranks(sure, places)
    sizes = np.bincount(places, minlength=len(names)) if len(places) else np.zeros(0, dtype=np.int64)
    wanted = np.ceil(rule.floor * sizes)[places] if len(places) else np.zeros(0)
    in_floor = (ranks < wanted) & (sure >= rule.floor_probability)
    bound = rule.threshold if rule.threshold is not None else _bound(sure, in_floor, rule.precision)
    enough = sure >= bound
    for_class = in_floor & ~enough
    kept = enough | for_class
    over_cap = np.zeros(len(sure), dtype=bool)
    if rule.max_per_class is not None:
        over_cap = kept & (ranks >= rule.max_per_class)
    return Choice(kept & ~over_cap, over_cap, float(bound), int((for_class & ~over_cap).sum()))


def _bound(sure: Floats, in_floor: Bools, precision: float) -> float:
    """The least sureness with which the mean of all that are as sure, and of those that are kept for their
    class's sake, reaches the precision."""
    order = np.argsort(-sure, kind="stable")
    ordered, floor = sure[order], in_floor[order]
    # Of the floor those count besides that are not among the surest so far.
    below = np.where(floor, ordered, 0.0).sum() - np.cumsum(np.where(floor, ordered, 0.0))
    left = floor.sum() - np.cumsum(floor)
    means = (np.cumsum(ordered) + below) / (np.arange(1, len(order) + 1) + left)
    reached = np.flatnonzero(means >= precision)
    return float(ordered[reached[-1]]) if len(reached) else 1.0


def _ranks(sure: Floats, places: Ranks) -> Ranks:
    """(n,) place of each record among those of its class, from 0, the surest first."""
    order = np.lexsort((np.arange(len(sure)), -sure, places))
    ranks = np.zeros(len(sure), dtype=np.int64)
    starts = np.searchsorted(places[order], np.arange(places.max(initial=-1) + 1))
    ranks[order] = np.arange(len(sure)) - starts[places[order]]
    return ranks
