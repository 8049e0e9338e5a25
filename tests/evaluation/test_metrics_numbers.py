"""Numbers: the figures are those of scikit-learn and scipy, ties and all."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, mean_squared_error, median_absolute_error

from datakit.evaluation.bootstrap import differences, intervals, values
from datakit.evaluation.metrics_numbers import Numbers
from datakit.evaluation.value_outcomes import comparable

few = st.sampled_from([-2.0, 0.0, 1.0, 1.5, 3.0])  # few values, so that there are ties
numbers = st.lists(st.tuples(few | st.floats(-1e6, 1e6), few | st.floats(-1e6, 1e6)), min_size=1, max_size=40)


def scored(truth: list[float], answers: list[float], tolerance: float = 0.0) -> Numbers:
    return Numbers(np.array(truth), np.array(answers), tolerance)


def spearman(truth: list[float], answers: list[float]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a side with one value, whose coefficient is NaN
        return float(spearmanr(truth, answers).statistic) if len(truth) > 1 else math.nan


@given(numbers)
@settings(deadline=None, max_examples=300)
def test_figures_are_those_of_scikit_learn_and_scipy(drawn: list[tuple[float, float]]) -> None:
    truth, answers = [one for one, _ in drawn], [two for _, two in drawn]
    got = values(scored(truth, answers))
    assert got["mae"] == pytest.approx(mean_absolute_error(truth, answers))
    assert got["rmse"] == pytest.approx(mean_squared_error(truth, answers) ** 0.5)
    assert got["median_absolute_error"] == pytest.approx(median_absolute_error(truth, answers))
    assert got.get("spearman", math.nan) == pytest.approx(spearman(truth, answers), nan_ok=True)
    assert got["readable"] == 1.0


@given(numbers)
@settings(deadline=None, max_examples=25)
def test_a_resample_is_scored_like_the_records_that_it_draws(drawn: list[tuple[float, float]]) -> None:
    rng = np.random.default_rng(len(drawn))
    truth, answers = np.array(drawn).T
    found = Numbers(truth, answers, 1.0)
    weights = rng.multinomial(len(drawn), np.ones(len(drawn)) / len(drawn), size=3).astype(float)
    together = found.of(weights)
    for row, weight in enumerate(weights.astype(int)):
        alone = Numbers(np.repeat(truth, weight), np.repeat(answers, weight), 1.0)
        for name, value in alone.of(np.ones((1, len(drawn)))).items():
            assert together[name][row] == pytest.approx(value[0], nan_ok=True, abs=1e-9), name


@given(numbers)
@settings(deadline=None)
def test_figures_keep_to_their_bounds_and_do_not_know_truth_from_answer(
    drawn: list[tuple[float, float]],
) -> None:
    truth, answers = [one for one, _ in drawn], [two for _, two in drawn]
    there, back = values(scored(truth, answers, 1.0)), values(scored(answers, truth, 1.0))
    assert there == pytest.approx(back)
    assert there["mae"] >= 0
    assert there["rmse"] >= there["mae"] - 1e-6
    assert -1 <= there.get("spearman", 0) <= 1
    for interval in intervals(scored(truth, answers), seed=1, resamples=20).values():
        assert interval.low <= interval.high


def test_perfect_answers_have_no_error_and_the_right_order() -> None:
    got = values(scored([1, 2, 2, 5], [1, 2, 2, 5]))
    assert got == {
        "mae": 0,
        "rmse": 0,
        "median_absolute_error": 0,
        "spearman": pytest.approx(1.0),
        "within_tolerance": 1,
        "readable": 1,
    }


def test_answers_that_are_no_number_have_no_error_but_are_not_within_the_tolerance() -> None:
    got = values(scored([1, 2, 3, 4], [1, math.nan, 4, math.nan], tolerance=0.5))
    assert (got["mae"], got["within_tolerance"], got["readable"]) == (0.5, 0.25, 0.5)


def test_figures_that_say_nothing_are_left_out() -> None:
    assert values(scored([1, 2], [math.nan, math.nan])) == {"within_tolerance": 0.0, "readable": 0.0}
    assert "spearman" not in values(scored([1, 2, 3], [5, 5, 5]))
    alone = intervals(scored([1], [2]), seed=1, resamples=20)
    assert (alone["mae"].value, alone["mae"].low, alone["mae"].high) == (1, 1, 1)
    assert "spearman" not in alone


def test_tolerance_is_that_of_decimals_not_of_floats() -> None:
    assert values(scored([1.0, 1.0, 0.3], [1.1, 1.11, 0.2], tolerance=0.1))["within_tolerance"] == 2 / 3


def test_errors_are_compared_where_both_have_a_number() -> None:
    truth = [float(at) for at in range(40)]
    first = scored(truth, [math.nan if at < 10 else at + 2.0 for at in truth], tolerance=1.0)
    second = scored(truth, [math.nan if at >= 30 else at + 1.0 for at in truth], tolerance=1.0)
    found = differences(*comparable(first, second), seed=1, resamples=200)
    assert found["mae"].interval.value == pytest.approx(-1.0)
    assert found["within_tolerance"].interval.value == pytest.approx(30 / 40)  # of all records
    assert found["readable"].interval.value == 0.0
