"""Free text: normal form, character F1 and ANLS, against their definitions written out plainly."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from datakit.evaluation.bootstrap import intervals, mcnemar, values
from datakit.evaluation.metrics_text import (
    NOTHING,
    Texts,
    TextScore,
    anls,
    char_f1,
    edit_distance,
    normal,
    text_score,
)

short = st.text(alphabet="ab退款 。.-3%", max_size=12)
texts = short | st.text(max_size=40)


def table_distance(first: str, second: str) -> int:
    """Levenshtein's distance by its table (Wagner and Fischer 1974)."""
    row = list(range(len(second) + 1))
    for down, one in enumerate(first, 1):
        before, row[0] = row[0], down
        for right, two in enumerate(second, 1):
            before, row[right] = row[right], min(row[right] + 1, row[right - 1] + 1, before + (one != two))
    return row[-1]


@given(texts, texts)
@settings(max_examples=300)
def test_distance_is_that_of_the_table(first: str, second: str) -> None:
    assert edit_distance(first, second) == table_distance(first, second)


def test_distance_of_long_texts() -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        first, second = ("".join(rng.choice(list("退款页面ab"), size)) for size in rng.integers(60, 300, 2))
        assert edit_distance(first, second) == table_distance(first, second)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  退款 页面。", "退款页面"),
        ("Ａｂ“Ｃ”！", "abc"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("3.5", "3.5"),
        ("３．５", "3.5"),
        ("3. 5", "35"),
        ("共1,234.50元。", "共1234.50元"),
        ("-5", "-5"),
        ("\N{MINUS SIGN}5", "-5"),
        ("a-5", "a5"),
        ("3-5", "3-5"),
        ("12:30", "12:30"),
        ("50 %", "50%"),
        ("50％。", "50%"),
        ("2024.", "2024"),
        ("¥5+1", "¥5+1"),
        ("……", ""),
        ("", ""),
    ],
)
def test_normal_form_leaves_numbers_what_they_are(text: str, expected: str) -> None:
    assert normal(text) == expected


@given(texts)
def test_normal_form_of_the_normal_form_has_no_white_space_and_no_capitals(text: str) -> None:
    found = normal(text)
    assert not any(char.isspace() for char in found)
    assert normal(f" {text}\n") == found


@given(texts, texts)
def test_character_f1_is_the_harmonic_mean_of_precision_and_recall(first: str, second: str) -> None:
    one, two = normal(first), normal(second)
    overlap = sum((Counter(one) & Counter(two)).values())
    found = char_f1(first, second)
    if overlap:
        precision, recall = overlap / len(one), overlap / len(two)
        assert found == pytest.approx(2 * precision * recall / (precision + recall))
    else:
        assert found == float(one == two)
    assert found == char_f1(second, first)


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("退款页面", "退款页面", 1.0),
        ("退款 页面", "退款页面", 0.8),  # white space and punctuation count
        ("hello", "hallo", 0.8),
        ("abcd", "abxy", 0.0),  # half is wrong: at the threshold
        ("abcde", "abcxy", 0.6),
        ("ABC", "abc", 1.0),
        ("", "", 1.0),
        ("", "a", 0.0),
    ],
)
def test_anls_is_one_less_the_normalised_distance_below_the_threshold(
    answer: str, reference: str, expected: float
) -> None:
    assert anls(answer, reference) == pytest.approx(expected)


@given(texts, st.lists(texts, min_size=1, max_size=4))
def test_scores_are_those_of_the_nearest_reference_and_lie_between_0_and_1(
    answer: str, references: list[str]
) -> None:
    found = text_score(answer, references)
    assert found.char_f1 == max(char_f1(answer, one) for one in references)
    assert found.anls == max(anls(answer, one) for one in references)
    assert 0 <= found.anls <= 1
    assert 0 <= found.char_f1 <= 1
    assert found.exact <= (found.char_f1 == 1)
    assert found == text_score(answer, references[::-1])


@given(texts, st.lists(texts, max_size=3))
def test_perfect_answer_is_worth_1(answer: str, others: list[str]) -> None:
    assert text_score(answer, [*others, answer]) == TextScore(exact=True, char_f1=1.0, anls=1.0)


def test_means_have_intervals_and_the_referee_only_counts_what_it_has_judged() -> None:
    scores = [TextScore(True, 1.0, 1.0), TextScore(False, 0.5, 0.0), NOTHING, TextScore(False, 0.5, 0.6)]
    found = Texts(scores, np.array([1.0, np.nan, 0.0, 0.5]))
    assert values(found) == {"char_f1": 0.5, "anls": 0.4, "exact_match": 0.25, "referee": 0.5}
    for interval in intervals(found, seed=1, resamples=200).values():
        assert 0 <= interval.low < interval.value < interval.high <= 1
    assert "referee" not in values(Texts(scores, np.full(4, np.nan)))
    assert "referee" not in values(Texts(scores))


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    wanted = binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(wanted)
    assert mcnemar(first, second) == mcnemar(second, first)
