"""guard.reason: a quotation differs from what OCR read only where OCR may have misread it."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from datakit.core.step_context import StepContext
from datakit.guard._quotations import Read, misquotes
from datakit.guard.reason import Reason

LINES = "请到广州自提点领取\n支付时间 12:30\n已发货的订单\n悦听数码专营店\n退款-编号 88203917465"
CHANGED = ["到广州自提点领", "请到杭州自提点领取", "交付时间 12:30", "已退货的订单", "请到广州市自提点领取"]
SAME = ["请到广州自提点领取", "支付时间12:30", "请到广州自提点，领取", "退款编号 88203917465", "广州自提点"]


@pytest.mark.parametrize("quote", CHANGED[1:])
def test_another_letter_than_in_a_sure_line_is_a_misquotation(quote: str) -> None:
    assert misquotes(f"写着“{quote}”。", Read(LINES, ""), None).missing == [quote]


@pytest.mark.parametrize("quote", [*SAME, CHANGED[0]])
def test_a_part_of_a_line_and_other_punctuation_are_none(quote: str) -> None:
    assert misquotes(f"写着“{quote}”。", Read(LINES, ""), None).missing == []


@pytest.mark.parametrize("quote", CHANGED[1:])
def test_an_unsure_line_may_have_been_misread(quote: str) -> None:
    assert misquotes(f"写着“{quote}”。", Read(LINES, LINES), None).missing == []


@pytest.mark.parametrize("quote", CHANGED[1:])
def test_without_scores_any_line_may_have_been_misread(quote: str) -> None:
    assert misquotes(f"写着“{quote}”。", Read(LINES), None).missing == []


def test_scores_are_those_of_the_lines_beside_the_text(make_context: Callable[..., StepContext]) -> None:
    def lines(score: float) -> list[dict[str, object]]:
        return [{"text": "请到广州自提点领取", "score": score}]

    frame = pl.LazyFrame(
        {
            "id": ["sure", "unsure", "silent"],
            "label": ["退款页面"] * 3,
            "reason": [
                f"写着“请到杭州自提点领取”，{word}，属于退款页面。" for word in ("有编号", "有金额", "有去向")
            ],
            "ocr_text": ["请到广州自提点领取"] * 3,
            "ocr": [lines(0.99), lines(0.7), None],
        }
    )
    worker = Reason(max_similarity=None, consistent=False).start(make_context(), frame)
    flags = dict(worker(frame.collect()).frame.select("id", "reason_flags").iter_rows())
    assert flags == {"sure": ["reason_misquotes"], "unsure": [], "silent": []}
