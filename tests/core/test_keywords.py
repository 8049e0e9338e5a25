"""Keywords in texts: width, case and white space apart, and Latin ones as words."""

from __future__ import annotations

import pytest

from datakit.core.keywords import as_written, holds


@pytest.mark.parametrize(
    ("text", "keyword", "stands"),
    [
        ("购物车（12）", "购物车(", True),
        ("购 物 车", "购物车", True),
        ("ＷＬＡＮ 设置", "wlan", True),
        ("开启WLAN后", "WLAN", True),
        ("Cartoon", "cart", False),
        ("my cart.", "Cart", True),
        ("Refund  Amount", "refund amount", True),
        ("a+b(c)", "b(c", True),
        ("退款", "退款成功", False),
        ("", "退款", False),
        ("退款", " ", False),
    ],
)
def test_a_keyword_stands_in_a_text(text: str, keyword: str, stands: bool) -> None:
    assert holds(text, keyword) is stands


def test_a_keyword_is_given_as_the_text_has_it() -> None:
    assert as_written("状态：Refund  Completed!", "refund completed") == "Refund  Completed"
    assert as_written("包裹派送失败请联系", "派送失败") == "派送失败"
    assert as_written("包裹派送", "派送失败") is None
