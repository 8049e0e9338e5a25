"""The power of the paired comparison is that of the exact test, drawn many times."""

from __future__ import annotations

import numpy as np
import pytest

from datakit.evaluation.bootstrap import mcnemar
from datakit.evaluation.power import power, smallest_seen


@pytest.mark.parametrize(
    ("records", "difference", "discordant"), [(200, 0.06, 0.1), (200, 0.04, 0.041), (60, 0.2, 0.3)]
)
def test_power_is_what_drawn_comparisons_find(records: int, difference: float, discordant: float) -> None:
    rng = np.random.default_rng(1)
    shares = ((discordant + difference) / 2, (discordant - difference) / 2, 1 - discordant)
    drawn = rng.multinomial(records, shares, size=2000)
    found = np.mean([mcnemar(int(one), int(other)) <= 0.05 for one, other, _ in drawn])
    assert power(records, difference, discordant) == pytest.approx(found, abs=0.035)


def test_the_smallest_difference_is_seen_in_eight_of_ten_and_less_is_not() -> None:
    smallest = smallest_seen(200, 0.1)
    assert smallest is not None
    assert power(200, smallest, 0.1) >= 0.8 > power(200, smallest - 0.002, 0.1)
    assert (smallest_seen(800, 0.1) or 1) < smallest


def test_five_records_tell_nothing_and_six_only_what_is_always_so() -> None:
    assert smallest_seen(5) is None
    assert (smallest_seen(6) or 0) > 0.9


def test_more_comparisons_need_a_larger_difference() -> None:
    assert (smallest_seen(200, 0.1, 0.05 / 5) or 0) > (smallest_seen(200, 0.1, 0.05) or 1)
