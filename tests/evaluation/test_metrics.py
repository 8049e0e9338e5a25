"""The figures are scikit-learn's; the intervals cover what they promise and come out the same each time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from datakit.evaluation import metrics
from datakit.evaluation.metrics import Table, differences, intervals, per_class, scores, wilson


@st.composite
def answered(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    classes = draw(st.integers(1, 6))
    size = draw(st.integers(1, 40))
    truth = draw(st.lists(st.integers(0, classes - 1), min_size=size, max_size=size))
    answer = draw(st.lists(st.integers(-1, classes - 1), min_size=size, max_size=size))
    return truth, answer, classes


def table(truth: list[int], answer: list[int], classes: int) -> Table:
    return Table.of(metrics.codes(truth), metrics.codes(answer), classes)


@given(answered())
@settings(deadline=None, max_examples=200)
def test_figures_are_those_of_scikit_learn(drawn: tuple[list[int], list[int], int]) -> None:
    truth, answer, classes = drawn
    found = table(truth, answer, classes)
    each = per_class(found)
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, answer, labels=list(range(classes)), zero_division=0
    )
    np.testing.assert_allclose(each["precision"], precision)
    np.testing.assert_allclose(each["recall"], recall)
    np.testing.assert_allclose(each["f1"], f1)
    np.testing.assert_array_equal(each["support"], support)
    seen = sorted({*truth, *answer} - {-1})
    total = scores(found)
    assert total["accuracy"] == pytest.approx(accuracy_score(truth, answer))
    macro = f1_score(truth, answer, labels=seen, average="macro", zero_division=0)
    assert total["macro_f1"] == pytest.approx(macro)
    weighted = f1_score(truth, answer, labels=seen, average="weighted", zero_division=0)
    assert total["weighted_f1"] == pytest.approx(weighted)
    full = confusion_matrix(truth, answer, labels=[*range(classes), -1])
    np.testing.assert_array_equal(found.matrix(), full[:classes])


def test_an_answer_that_is_no_label_costs_recall_but_no_precision() -> None:
    each = per_class(table([0, 0, 1], [0, -1, 1], 2))
    assert each["recall"].tolist() == [0.5, 1.0]
    assert each["precision"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 20, 0.0, 0.1611), (20, 20, 0.8389, 1.0), (150, 300, 0.4437, 0.5563)],
)
def test_interval_of_accuracy_is_wilsons(right: int, total: int, low: float, high: float) -> None:
    found = wilson(right, total)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-4), pytest.approx(high, abs=5e-4))


def test_interval_of_accuracy_is_scipys_for_any_count() -> None:
    counts = [
        (right, total) for total in (*range(1, 40), 999, 100_000) for right in {0, 1, total // 3, total}
    ]
    for right, total in counts:
        ends = binomtest(right, total).proportion_ci(0.95, method="wilson")
        interval = wilson(right, total)
        assert interval.value == right / total
        assert interval.low == pytest.approx(float(ends.low), abs=1e-12)
        assert interval.high == pytest.approx(float(ends.high), abs=1e-12)
        assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_bootstrap_over_pairs_is_the_bootstrap_over_records() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 4, 120)
    answer = np.where(rng.random(120) < 0.7, truth, rng.integers(-1, 4, 120))
    found = intervals(Table.of(truth, answer, 4), seed=1, resamples=4000)["macro_f1"]
    drawn = []
    for _ in range(1500):
        some = rng.integers(0, 120, 120)
        drawn.append(scores(Table.of(truth[some], answer[some], 4))["macro_f1"])
    low, high = np.percentile(drawn, (2.5, 97.5))
    assert found.low == pytest.approx(low, abs=0.015)
    assert found.high == pytest.approx(high, abs=0.015)


def test_interval_holds_the_true_figure_about_as_often_as_promised() -> None:
    rng = np.random.default_rng(5)
    inside = 0
    for run in range(200):
        truth = rng.integers(0, 3, 150)
        answer = np.where(rng.random(150) < 0.7, truth, (truth + 1) % 3)
        found = intervals(Table.of(truth, answer, 3), seed=run, resamples=400)["macro_f1"]
        inside += found.low <= 0.7 <= found.high
    assert 180 <= inside <= 198


def test_same_seed_gives_the_same_intervals_and_another_seed_others() -> None:
    found = table([0, 1, 1, 2, 2, 2] * 5, [0, 1, 2, 2, 2, -1] * 5, 3)
    assert intervals(found, seed=1) == intervals(found, seed=1)
    assert intervals(found, seed=1) != intervals(found, seed=2)


def test_memory_stays_bounded_and_figures_equal_for_any_portion(monkeypatch: pytest.MonkeyPatch) -> None:
    found = table([0, 1, 1, 2, 2, 2] * 5, [0, 1, 2, 2, 2, -1] * 5, 3)
    whole = intervals(found, seed=1)
    monkeypatch.setattr(metrics, "_AT_ONCE", 1)
    assert intervals(found, seed=1) == whole


def test_equal_results_do_not_differ() -> None:
    truth, answer = metrics.codes([0, 1, 2] * 10), metrics.codes([0, 1, 1] * 10)
    found = differences(truth, answer, answer, 3, seed=1)["accuracy"]
    assert (found.interval.value, found.interval.low, found.interval.high, found.p) == (0, 0, 0, 1)
    assert not found.significant


def test_pairing_finds_what_two_separate_intervals_would_miss() -> None:
    truth = metrics.codes([0, 1] * 100)
    first = truth.copy()
    first[:60] = 1 - first[:60]
    second = first.copy()
    second[:12] = truth[:12]
    found = differences(truth, first, second, 2, seed=1)["accuracy"]
    assert found.interval.value == pytest.approx(0.06)
    assert found.significant
    assert found.p <= 0.01
    before, after = (intervals(Table.of(truth, one, 2), seed=1)["accuracy"] for one in (first, second))
    assert before.high > after.low


def test_difference_by_chance_is_not_called_significant() -> None:
    truth = metrics.codes([0, 1] * 20)
    first, second = truth.copy(), truth.copy()
    first[[0, 1, 2]] = 1 - first[[0, 1, 2]]
    second[[5, 7]] = 1 - second[[5, 7]]
    found = differences(truth, first, second, 2, seed=1)["accuracy"]
    assert found.interval.value == pytest.approx(0.025)
    assert not found.significant
    assert found.p > 0.3
