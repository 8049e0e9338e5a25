"""The smallest difference that a paired comparison of so many records would see, said before it is made."""

from __future__ import annotations

import math

import numpy as np

from datakit.evaluation.bootstrap import mcnemar
from datakit.evaluation.metrics import Floats

ALPHA = 0.05
WANTED = 0.8
"""The share of comparisons in which a difference is to be seen: the custom since Cohen 1988."""
DISCORDANT = 0.1
"""Records that two models answer differently in rightness, as long as nothing was observed: one in ten."""
_TAIL = 6.5
"""Standard deviations of the binomial that are summed over; what lies outside is below 1e-9."""


def power(records: int, difference: float, discordant: float, alpha: float = ALPHA) -> float:
    """The probability that the exact McNemar test finds a difference in accuracy of so much.

    `discordant` is the share of records that one of the two alone has right; a difference needs at least as
    many. Summed over the number of such records and how they fall, both binomial (the unconditional power of
    Connor 1987, with the exact test in place of its normal approximation).
    """
    discordant = max(discordant, difference)
    counts = _likely(records, discordant)
    weights = _binomial(records, discordant, counts)
    favour = (discordant + difference) / (2 * discordant) if discordant else 0.5
    return math.fsum(
        float(weight) * _rejects(int(count), favour, alpha)
        for count, weight in zip(counts, weights, strict=True)
    )


def smallest_seen(
    records: int, discordant: float = DISCORDANT, alpha: float = ALPHA, wanted: float = WANTED
) -> float | None:
    """The smallest difference in accuracy that is seen with the wanted probability, to a tenth of a point.

    None where no difference is: the exact test needs six records that differ to reach 0.05.
    """
    if power(records, 1.0, 1.0, alpha) < wanted:
        return None
    low, high = 0.0, 1.0
    while high - low > 0.0005:
        middle = (low + high) / 2
        low, high = (low, middle) if power(records, middle, discordant, alpha) >= wanted else (middle, high)
    return math.ceil(round(high * 1000, 6)) / 1000


def _likely(records: int, share: float) -> Floats:
    middle, spread = records * share, _TAIL * math.sqrt(records * share * (1 - share)) + 1
    first, last = max(0, math.floor(middle - spread)), min(records, math.ceil(middle + spread))
    return np.arange(first, last + 1, dtype=np.float64)


def _binomial(count: int, share: float, values: Floats) -> Floats:
    """The binomial's probabilities of some values."""
    if share in (0.0, 1.0):
        return np.asarray(values == count * share, dtype=np.float64)
    logs = [
        math.lgamma(count + 1)
        - math.lgamma(value + 1)
        - math.lgamma(count - value + 1)
        + value * math.log(share)
        + (count - value) * math.log1p(-share)
        for value in values
    ]
    result: Floats = np.exp(np.array(logs))
    return result


def _rejects(count: int, favour: float, alpha: float) -> float:
    """How probably the test rejects, of so many records that one side alone has right."""
    most = -1  # so few may fall to the lesser side
    low, high = 0, count // 2
    while low <= high:
        middle = (low + high) // 2
        if mcnemar(middle, count - middle) <= alpha:
            most, low = middle, middle + 1
        else:
            high = middle - 1
    if most < 0:
        return 0.0
    tails = np.concatenate([np.arange(0, most + 1), np.arange(count - most, count + 1)])
    return float(_binomial(count, favour, tails.astype(np.float64)).sum())
