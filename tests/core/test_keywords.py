"""Keywords in texts: width, case and white space apart, and Latin ones as words."""

from __future__ import annotations

import pytest

from datakit.core.keywords import asserts, holds


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


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        ("退款成功", "退款成功"),
        ("7天无理由退货退款", "退货退款"),
        ("无法购买", "无法购买"),
        ("包裹超过48小时未更新", "未更新"),
        ("不想要了，仅退款", "仅退款"),
        ("未收到货仅退款", "仅退款"),
        ("暂无记录。退款成功", "退款成功"),
        ("无忧退货地址", "退货地址"),
        ("不锈钢保温杯 已售2000+", "已售"),
        ("暂无退款成功记录\n退款成功", "退款成功"),
        ("Refund amount $12.00", "refund amount"),
        ("Order No. 12 refund amount", "refund amount"),
        ("Not only the refund amount", "refund amount"),
        ("Not shipped, refund amount", "refund amount"),
    ],
)
def test_a_keyword_that_stands_undenied_is_asserted(text: str, keyword: str) -> None:
    assert asserts(text, keyword)


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        ("暂无退款成功记录", "退款成功"),
        ("无需退货", "退货"),
        ("未支付成功", "支付成功"),
        ("您没有可用的店铺优惠券", "店铺优惠券"),
        ("该商品不支持申请退货退款", "退货退款"),
        ("尚未收到退款成功通知", "退款成功"),
        ("退款编号：暂无", "退款编号"),
        ("物流详情为空", "物流详情"),
        ("请勿填写单号", "填写单号"),
        ("No refund amount yet", "refund amount"),
        ("This order is not refundable", "refundable"),
        ("Non-refundable", "refundable"),
        ("You don't have any refund amount", "refund amount"),
        ("Refund amount: none", "refund amount"),
        ("Refund amount is not available", "refund amount"),
        ("Cartoon", "cart"),
    ],
)
def test_a_keyword_that_is_denied_is_none(text: str, keyword: str) -> None:
    assert not asserts(text, keyword)
