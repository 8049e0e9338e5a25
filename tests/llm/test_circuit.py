"""The circuit waits as long as it is told, by the recipe or by the server, and not less."""

from __future__ import annotations

import pytest

from datakit.llm._circuit import IN_A_ROW, MOST_TOLD_S, Circuit


def given_up_after(circuit: Circuit, told_s: float | None = None, came_back_at: float | None = None) -> float:
    """Seconds from the first failure to the moment when it is given up; -1 when the endpoint came back."""
    now = 100.0
    for _ in range(IN_A_ROW):
        circuit.failed(now, now - 0.1, told_s)
    while not circuit.given_up(now):
        at = circuit.ready_at()
        assert at is not None
        now = max(at, now + 0.01)
        assert circuit.sent()
        circuit.probed()
        if came_back_at is not None and now - 100 >= came_back_at:
            circuit.answered()
            assert not circuit.is_open
            return -1
        circuit.failed(now, now - 0.005, told_s)
    return now - 100


@pytest.mark.parametrize("max_down_s", [0.0, 5.0, 60.0, 600.0])
@pytest.mark.parametrize("ever_up", [True, False])
def test_endpoint_is_waited_for_as_long_as_the_recipe_says(max_down_s: float, ever_up: bool) -> None:
    circuit = Circuit(max_down_s)
    if ever_up:
        circuit.answered()
    assert given_up_after(circuit) == pytest.approx(max_down_s, abs=0.1)


def test_endpoint_that_comes_back_just_in_time_is_found() -> None:
    assert given_up_after(Circuit(60.0), came_back_at=59.5) == -1


def test_endpoint_that_says_how_long_is_waited_for_so_long_and_not_for_ever() -> None:
    assert given_up_after(Circuit(10.0), told_s=90.0, came_back_at=89.0) == -1
    assert 90 <= given_up_after(Circuit(10.0), told_s=90.0) <= MOST_TOLD_S + 1
    assert given_up_after(Circuit(10.0), told_s=3600.0) == pytest.approx(10.0, abs=0.1)
