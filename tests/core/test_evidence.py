"""Evidence: the lines that a reason quotes, and whether they stand where an answer says."""

from __future__ import annotations

from typing import Any

import pytest

from datakit.core.boxes import Box
from datakit.core.evidence import cited, holds

LINES: list[dict[str, Any]] = [
    {"text": "购物车(3)", "box": [0, 0, 100, 20]},
    {"text": "合计：¥128.00", "box": [0, 100, 100, 120]},
    {"text": "去结算", "box": [100, 100, 200, 120]},
    {"text": "¥", "box": [0, 200, 10, 220]},
    {"text": None, "box": [0, 300, 10, 320]},
]


@pytest.mark.parametrize(
    ("reason", "texts"),
    [
        ("底部有“去结算”按钮，顶部写着“购物车(3)”。", ["去结算", "购物车(3)"]),
        ("有“合计:￥128.00”", ["合计：¥128.00"]),  # width and punctuation
        ("有「购物车」字样，也有『去结算』", ["购物车(3)", "去结算"]),  # a part of a line
        ("“合计：¥128.00去结算”在底部", ["合计：¥128.00", "去结算"]),  # over two lines
        ("“购物车……去结算”", ["购物车(3)", "去结算"]),
        ("“购物卡(3)”", ["购物车(3)"]),  # misread by one character of six
        ("“去结算”和“去结算”", ["去结算"]),
        ("“合计：¥128.90”", []),  # another digit
        ("“合计：¥28.00”", []),
        ("“确认收货”", []),
        ("没有引用任何文字", []),
        ("“……”", []),
        ("", []),
    ],
)
def test_the_lines_that_a_reason_quotes_are_its_evidence(reason: str, texts: list[str]) -> None:
    assert [line["text"] for line in cited(reason, LINES)] == texts
    assert cited(reason, []) == []


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_lines_that_hold_a_quotation_the_shortest_is_meant(order: int) -> None:
    lines = [{"text": text} for text in ("查看退款成功案例", "退款成功了", "退款成功", "20261126退款成功")][
        ::order
    ]
    assert [line["text"] for line in cited("写着“退款成功”", lines)] == ["退款成功"]


def test_a_line_that_denies_what_is_quoted_is_no_evidence() -> None:
    lines = [{"text": text} for text in ("该订单未支付成功", "暂无退款成功记录", "Not refundable now")]
    assert cited("有“该订单已支付成功”，也有“退款成功记录”和“refundable now”", lines) == []
    assert cited("有“该订单未支付成功”", lines) == lines[:1]


@pytest.mark.parametrize(
    ("evidence", "right"),
    [
        (Box(0, (100, 100, 200, 120), "去结算"), True),
        (Box(0, (102, 101, 201, 122), "去结算"), True),
        (Box(0, (100, 100, 200, 120), "去付款"), False),
        (Box(0, (100, 100, 200, 120), "结"), False),  # one character of three
        (Box(0, (0, 100, 100, 120), "去结算"), False),  # at the place of another line
        (Box(0, (100, 100, 200, 120)), False),
        (Box(0, (0, 0, 1000, 1000), "去结算"), False),
        (Box(0, (0, 100, 100, 120), "合计：¥128.00"), True),
        (Box(0, (0, 100, 100, 120), "合计：¥123.00"), False),
    ],
)
def test_evidence_holds_where_a_like_line_stands_at_its_place(evidence: Box, right: bool) -> None:
    lines = [Box(0, tuple(line["box"]), None, line["text"]) for line in LINES]
    assert holds(evidence, lines) is right
    assert not holds(evidence, [])
