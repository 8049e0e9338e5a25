"""Quotations: misread letters are forgiven, another digit or a denial never is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakit.core.faithful import stand_in_order, stands
from datakit.core.likeness import standing


@pytest.mark.parametrize(
    ("quotation", "text"),
    [
        ("退款成切了吧", "顶部\n退款成功了吧"),
        ("实付款 ¥199.00", "实付款：￥199.00 含运费"),
        ("订单编号20261126", "订单编号 2026 1126"),
        ("共3件商品", "共３件商品"),
        ("未支付的订单", "末付款\n未支付的汀单"),
        ("2,000件", "已售2,000件"),
        ("¥12", "实付\n¥12\n50积分"),  # the next line's number is another
        ("11-26", "2026-11-26 10:32"),
        ("No refund amount yet", "No refund arnount yet"),
        ("refund amount", "No. 12 refund amount"),
        ("20261126", "Order No 20261126"),
        ("常满意的购物", "非常满意的购物"),
        ("收到货", "是否收到货"),
        ("退款", "未完成\n退款"),
        ("退款", "无 退款"),  # two texts
        ("七天无理由", "支持7天无理由退货"),
        ("24小时内发货", "二十四小时内发货"),
        ("2026年11月", "二〇二六年十一月"),
        ("两个包裹", "共2个包裹"),
        ("已发货", "10:32已发货"),
        ("已售2万+", "已售2万+"),
        ("1–3个工作日到账", "预计1-3个工作日到账"),
        ("1-3个工作日到账", "预计 1 - 3 个工作日到账"),
        ("合计¥12,288.00", "合计 ￥12288.00"),
        ("合计¥12288.00", "合计 ¥１２，２８８．００"),
        ("50积分", "实付\n¥12\n50积分"),
        ("2026-03-12 14:08", "申请时间 2026-03-12 14:08"),
        ("2026-03-1214:08", "申请时间 2026-03-12 14:08"),
        ("余额-558.49元", "余额－558.49元"),
        ("¥22.00", "优惠 -¥22.00"),  # a part
        ("……", ""),
        ("", "x"),
    ],
)
def test_a_quotation_stands_with_letters_misread(quotation: str, text: str) -> None:
    assert stands(quotation, text, 0.8)


@pytest.mark.parametrize(
    ("quotation", "text"),
    [
        ("实付款 ¥199.00", "实付款 ¥189.00"),
        ("实付款 ¥199.00", "实付款 ¥19900"),
        ("实付款 ¥199", "实付款 ¥199.00"),
        ("实付款¥19", "实付款¥199"),
        ("99.00元", "199.00元"),
        ("9,900元", "19,900元"),
        ("手机13800138000", "手机13800138001"),
        ("订单编号2026112688", "订单编号202611268"),
        ("2026年11月26日", "2026年11月27日"),
        ("共计三十二件商品3", "共计三十二件商品"),
        ("该订单已支付成功", "该订单未支付成功"),
        ("支持七天退货", "不支持七天退货"),
        ("不支持七天退货", "支持七天退货"),
        ("退款成功记录", "暂无退款成功记录"),
        ("没有可用的优惠券", "有可用的优惠券"),
        ("未支付的订单", "末支付的订单"),
        ("refund amount yet", "No refund amount yet"),
        ("This item is refundable", "This item is not refundable"),
        ("This item is not refundable", "This item is now refundable"),
        ("paid by card", "Unpaid by card"),
        ("It can be returned", "It can't be returned"),
        ("valid coupon", "Invalid coupon"),
        ("退款失败", "退款成功"),
        ("退款成功的记录在这里显示", "没有退款成功的记录在这里显示"),
        ("退货的地址", "无需退货的地址"),
        ("天内到账", "7天内到账"),
        ("天内到账", "七天内到账"),
        ("件商品", "共12件商品"),
        ("kg装", "5kg装"),
        ("已售2", "已售2万+"),
        ("三天内到账", "7天内到账"),
        ("七天内到账", "17天内到账"),
        ("预计13个工作日到账", "预计1-3个工作日到账"),
        ("预计1-3个工作日到账", "预计13个工作日到账"),
        ("下单时间1408", "下单时间14:08"),
        ("下单时间14:08", "下单时间1408"),
        ("满30050可用优惠券", "满300-50可用优惠券"),
        ("实付款¥1288.00元整", "实付款¥12,88.00元整"),
        ("剩余2天23小时", "剩余22天3小时"),
        ("评分5/10分以上店铺", "评分510分以上店铺"),
        ("优惠20-5元券可用", "优惠205元券可用"),
        ("温度-5度以下可用", "温度5度以下可用"),
        ("余额-558.49元账单", "余额558.49元账单"),
        ("余额558.49元账单", "余额-558.49元账单"),
        ("-558.49元的账单", "558.49元的账单"),
        ("优惠-¥22.00店铺", "优惠¥22.00店铺"),
        ("好评率98分店铺", "好评率9.8分店铺"),
        ("还剩2小时30分钟左右的时间", "还剩230分钟左右的时间"),
    ],
)
def test_another_digit_or_denial_is_another_text(quotation: str, text: str) -> None:
    assert not stands(quotation, text, 0.8)


def test_of_several_places_one_is_enough() -> None:
    assert stands("实付款¥199.00", "实付款¥189.00\n合计 ¥199.00\n实付歉¥199.00", 0.8)
    assert stands("支持退货", "不支持退货\n支持退货", 0.8)


def test_parts_stand_one_behind_the_other_with_their_digits() -> None:
    assert stand_in_order(["退款", "¥12.00"], "退款\n编号\n¥12.00", 0.8)
    assert not stand_in_order(["¥12.00", "退款"], "退款\n编号\n¥12.00", 0.8)
    assert not stand_in_order(["退款", "¥12.0"], "退款\n编号\n¥12.00", 0.8)


@settings(max_examples=300, deadline=None)
@given(st.text("退款成功的页", min_size=1, max_size=12), st.text("退款成功的页\n", max_size=30))
def test_without_digits_and_denials_it_is_the_likeness_that_counts(quotation: str, text: str) -> None:
    assert stands(quotation, text, 0.8) == (standing(quotation, text) >= 0.8 - 1e-9)


def test_long_texts_take_no_time() -> None:
    began = time.process_time()
    assert not stands("退款成功1" * 400, "退款成切2" * 4000, 0.8)
    assert stands("退款成功1" * 4000, "退款成功1" * 4000, 0.8)
    assert not stands("甲乙丙丁戊己庚辛" * 25, "子丑寅卯" * 20_000, 0.8)
    assert time.process_time() - began < 20
