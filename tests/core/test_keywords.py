"""Keywords in texts: width, case and white space apart, and Latin ones as words."""

from __future__ import annotations

import pytest

from datakit.core.keywords import asserts, holds, refuted


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


DOUBTED = """
    退款成功 | 是否退款成功 · 如退款成功将短信通知您 · 退款成功(0) · 退款成功：0笔 · 退款成功?
        怎样才算退款成功 · 待退款成功
        退款成功后到账 · 退款成功 已关闭 · 退款成功 × · 预计退款成功 · 曾退款成功 · 示例：退款成功
        暂无 退款成功 · 退款成功率
        退款成功了吗 · 退款成功与否 · 退款成功 否 · 退款成功，已撤销
    物流异常 | 未发现物流异常的包裹 · 物流异常 0件 · 物流异常0件 · 物流异常：无 · 避免物流异常
    平台介入 | 若协商不一致，可申请平台介入 · 若协商不一致，平台介入 · 协商不成时，平台介入
        您可在7天后申请平台介入
    退货退款 | 不支持：退货退款 · 不支持换货/退货退款 · 退货退款、换货均不支持 · 退货退款（不支持）
        已关闭退货退款
    领券中心 | 领券中心已下线 · 领券中心 维护中 · 领券中心 敬请期待 · ❌领券中心 · 领券中心 off
    举证期 | 举证期已结束 · 举证期 已过
    个包裹 | 0个包裹 · 共0个包裹
    WLAN | WLAN 已关闭 · 关闭WLAN · WLAN未连接
    肺炎 | 肺炎：阴性 · 肺炎（-） · 肺炎 阴性 · 排除肺炎 · 肺炎可能性小 · 肺炎 可能性小 · 肺炎待排
        未见实变，肺炎
    投诉原因 | 投诉原因：无
    consolidation | Consolidation: absent · No pneumothorax, consolidation or effusion
        possible consolidation
        Consolidation has resolved · Consolidation was ruled out · Free of consolidation
        Negative for consolidation
        Patient denies fever, consolidation · Consolidation?  none · Consolidation - negative
        r/o consolidation
    refund | Refund denied · Refund failed · 0 refund · If the refund · Refund? Not yet
        You can request a refund
    cortical break | Cortical break, none · Cortical break: no
    clear lungs | Findings: clear lungs ruled out
"""
PIECES = """
    全选 | 完全选修课程 · 全选修课程
    结算 | 外汇结算业务 · 结算业务
    上新 | 早上新闻播报 · 上新闻
    退订 | 七天内可退订单 · 退订单
    派送中 | 派送中心
    会员名 | 会员名单
    问大家 | 访问大家
    我的红包 | 我的红包括
"""
SAID = """
    派送失败 | 无法联系收件人 派送失败 · 派送失败，原因：无法联系
    物流异常 | 不能派送 物流异常 · 物流异常：包裹已超过96小时未更新
    未更新 | 包裹已超过48小时未更新，可能存在延误
    仅退款 | 没有收到货仅退款 · 不退货仅退款
    refund completed | No fee refund completed · Order cancelled. Refund completed
        Refund completed. No action needed
    退款成功 | 退款成功！无需其他操作 · 退款成功，请勿重复申请 · 退款成功，无需操作
    投诉原因 | 投诉原因：未收到货
    结算 | 去结算(3) · 结算(3)
    库存 | 库存121件 · 库存：10件
    可用余额 | 可用余额 0.50
    已揽收 | 四海快运已揽收
    举证 | 举证中
    No acute disease | Impression: No acute disease
"""


def _pairs(table: str) -> list[tuple[str, str]]:
    keyword, pairs = "", []
    for line in filter(None, map(str.strip, table.splitlines())):
        named, bar, texts = line.rpartition(" | ")
        keyword = named if bar else keyword
        pairs += [(text, keyword) for text in texts.split(" · ")]
    return pairs


@pytest.mark.parametrize(("text", "keyword"), _pairs(DOUBTED))
def test_what_is_denied_asked_supposed_counted_as_none_or_over_is_not_asserted(
    text: str, keyword: str
) -> None:
    assert holds(text, keyword)
    assert not asserts(text, keyword)


@pytest.mark.parametrize(("text", "keyword"), _pairs(PIECES))
def test_a_chinese_keyword_is_no_piece_of_other_words(text: str, keyword: str) -> None:
    assert holds(text, keyword)
    assert not asserts(text, keyword)


@pytest.mark.parametrize(("text", "keyword"), _pairs(SAID))
def test_a_denial_of_something_else_takes_no_keyword_back(text: str, keyword: str) -> None:
    assert asserts(text, keyword)


@pytest.mark.parametrize("text", ["Refund declined", "Refund failed", "Refund rejected", "Refund denied"])
def test_english_outcomes_that_deny_are_all_read_alike(text: str) -> None:
    assert not asserts(text, "refund")
    assert refuted(f"{text}\nRefund approved", "refund approved")
    assert not refuted("Refund approved\nPayment failed", "refund approved")


def test_only_an_outcome_is_refuted_and_only_of_the_same_thing() -> None:
    assert refuted("退款失败\n退款成功", "退款成功")
    assert not refuted("退货失败\n退款成功", "退款成功")
    assert not refuted("拒绝退款\n退款编号", "退款编号")
    assert not refuted("退款成功", "退款成功")
