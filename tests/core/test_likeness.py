"""How surely a quotation stands in a text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakit.core.likeness import standing


def slow_standing(quotation: str, text: str) -> float:
    """The same by the table of Sellers (1980)."""
    above = [0] * (len(text) + 1)
    for number, sign in enumerate(quotation, 1):
        row = [number]
        for at, other in enumerate(text, 1):
            row.append(min(above[at] + 1, row[-1] + 1, above[at - 1] + (sign != other)))
        above = row
    return 1 - min(above) / len(quotation)


@settings(max_examples=300, deadline=None)
@given(st.text("退款成功的", min_size=1, max_size=12), st.text("退款成功的页", max_size=30))
def test_likeness_is_that_of_the_nearest_part(quotation: str, text: str) -> None:
    assert standing(quotation, text) == pytest.approx(slow_standing(quotation, text))


@pytest.mark.parametrize(
    ("quotation", "text", "likeness"),
    [
        ("退款 成功", "状态:退款\n成功", 1.0),
        ("Ｒefund", "REFUND", 1.0),
        ("退款成功，", "退款成功了", 1.0),
        ("《退款》", "退款", 1.0),
        ("……", "", 1.0),
        ("退款成功了", "退款成切了", 0.8),
        ("退款", "", 0.0),
    ],
)
def test_width_case_white_space_and_outer_punctuation_make_no_difference(
    quotation: str, text: str, likeness: float
) -> None:
    assert standing(quotation, text) == pytest.approx(likeness)


def test_a_long_text_takes_no_time() -> None:
    assert standing("甲乙丙丁戊己庚辛" * 25, "子丑寅卯" * 20_000) == 0.0
