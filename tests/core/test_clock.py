"""Times as a person reads them."""

from __future__ import annotations

import pytest

from datakit.core.clock import duration, rough_duration


def test_duration_reads_as_a_clock() -> None:
    assert [duration(value) for value in (0, 59.9, 3725)] == ["0:00:00", "0:00:59", "1:02:05"]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "1 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")]
)
def test_a_forecast_is_said_as_a_person_would(seconds: float, shown: str) -> None:
    assert rough_duration(seconds) == shown
