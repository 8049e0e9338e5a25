"""Several labels a record: the figures are scikit-learn's, and a perfect answer is worth 1."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, hamming_loss, precision_recall_fscore_support

from datakit.evaluation.bootstrap import differences, intervals, values
from datakit.evaluation.metrics_labels import Labels, LabelSets, classes_of

NAMES = ("a", "b", "c", "d")
sets = st.frozensets(st.sampled_from(NAMES))


def scored(truth: list[Labels], answers: list[Labels | None], possible: int = 0) -> LabelSets:
    return LabelSets(tuple(truth), tuple(answers), classes_of([*truth, *answers]), possible)


def indicators(found: LabelSets) -> tuple[np.ndarray, np.ndarray]:
    """Both sides as matrices: a column for each class and an empty one, as one column reads as two."""
    columns = [*found.classes, "nothing"]
    truth, answers = (
        np.array([[name in (one or ()) for name in columns] for one in side], dtype=int)
        for side in (found.truth, found.answers)
    )
    return truth, answers


@given(st.lists(st.tuples(sets, sets), min_size=1, max_size=30))
@settings(deadline=None, max_examples=200)
def test_figures_are_those_of_scikit_learn(drawn: list[tuple[Labels, Labels]]) -> None:
    found = scored([one for one, _ in drawn], [two for _, two in drawn])
    got = values(found)
    truth, answers = indicators(found)
    assert got["subset_accuracy"] == pytest.approx(np.all(truth == answers, axis=1).mean())
    if not found.classes:  # every set is empty: nothing is true and nothing answered
        assert got == {"subset_accuracy": 1.0}
        return
    assert got["subset_accuracy"] == pytest.approx(accuracy_score(truth, answers))
    columns = list(range(len(found.classes)))
    wider = (len(columns) + 1) / len(columns)
    assert got["hamming_loss"] == pytest.approx(hamming_loss(truth, answers) * wider)
    for average in ("micro", "macro", "weighted"):
        wanted = f1_score(truth, answers, labels=columns, average=average, zero_division=0)
        assert got[f"{average}_f1"] == pytest.approx(wanted), average
    per_class = found.per_class()
    wanted = precision_recall_fscore_support(truth, answers, labels=columns, zero_division=0)
    for name, column in zip(("precision", "recall", "f1", "support"), wanted, strict=True):
        np.testing.assert_allclose(per_class[name], column)


@given(st.lists(sets, min_size=1, max_size=20))
def test_perfect_answer_is_worth_1(truth: list[Labels]) -> None:
    got = values(scored(truth, list(truth)))
    loss = got.pop("hamming_loss", 0.0)
    assert loss == 0.0
    assert set(got.values()) == {1.0}


@given(st.lists(st.tuples(sets, st.none() | sets), min_size=1, max_size=20))
@settings(deadline=None)
def test_every_figure_and_its_interval_lie_between_0_and_1(drawn: list[tuple[Labels, Labels | None]]) -> None:
    found = scored([one for one, _ in drawn], [two for _, two in drawn])
    for interval in intervals(found, seed=1, resamples=50).values():
        assert 0 <= interval.low <= interval.high <= 1
        assert 0 <= interval.value <= 1


@given(st.lists(st.tuples(sets, sets), min_size=1, max_size=20))
def test_micro_f1_and_hamming_loss_do_not_know_truth_from_answer(drawn: list[tuple[Labels, Labels]]) -> None:
    truth, answers = [one for one, _ in drawn], [two for _, two in drawn]
    there, back = values(scored(truth, list(answers))), values(scored(answers, list(truth)))
    for name in ("micro_f1", "macro_f1", "hamming_loss", "subset_accuracy"):
        assert there.get(name) == pytest.approx(back.get(name)), name


def test_answer_that_is_no_set_is_never_right_even_of_an_empty_truth() -> None:
    got = values(scored([frozenset(), frozenset("a")], [None, frozenset("a")]))
    assert got["subset_accuracy"] == 0.5
    assert got["micro_f1"] == 1.0


def test_hamming_loss_counts_every_label_of_the_file() -> None:
    assert values(scored([frozenset("a")], [frozenset("b")], possible=10))["hamming_loss"] == 0.2


def test_intervals_hold_the_figure_and_come_out_the_same_each_time() -> None:
    rng = np.random.default_rng(3)
    truth = [frozenset(name for name in NAMES if rng.random() < 0.4) for _ in range(300)]
    answers: list[Labels | None] = [one if rng.random() < 0.7 else frozenset("d") for one in truth]
    found = scored(truth, answers)
    first, second = (intervals(found, seed=7, resamples=500) for _ in range(2))
    assert first == second
    for name, interval in first.items():
        assert interval.low < interval.value < interval.high, name
        assert interval.high - interval.low < 0.2, name


def test_better_answers_are_told_from_chance_by_pairs() -> None:
    truth: list[Labels] = [frozenset(NAMES[at % 4]) for at in range(200)]
    worse: list[Labels | None] = [frozenset() if at % 3 == 0 else one for at, one in enumerate(truth)]
    better: list[Labels | None] = [frozenset() if at % 6 == 0 else one for at, one in enumerate(truth)]
    found = differences(scored(truth, worse), scored(truth, better), seed=1, resamples=500)
    assert found["subset_accuracy"].interval.value == pytest.approx(33 / 200)
    assert found["subset_accuracy"].significant
    assert found["hamming_loss"].interval.high < 0
