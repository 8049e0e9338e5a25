"""guard.reason: what a reason says can be read, without marks, must have been read."""

from __future__ import annotations

import pytest

from datakit.guard._quotations import Read, misquotes

OCR = (
    "退款详情\n退款成功\n退款金额 ¥128.50\n余额 3,200.00\n联系客服\n运费 ¥8.00\n编号 88203917465\n"
    "剩余 14:32\n申请时间 2026-03-12 14:08:33\n会员名 tb_7731\n退回账户 花呗"
)


@pytest.mark.parametrize(
    "text",
    [
        "合计显示¥182.50，归为退款页面。",
        "金额为182.50元，归为退款页面。",
        "倒计时为41:32，应为支付页面。",
        "会员名一栏是tb_7713，是个人信息页面。",
        "编号是88203917456，归为退款页面。",
        "申请时间为2026-03-21，归为退款页面。",
        "提示语是款项已退至微信零钱，故为退款页面。",
        "页面写道款项已退至微信零钱。",
        "上面注明款项已退至微信零钱。",
        "标题叫做退款失败。",
        "状态一栏是退款失败。",
        "小字写款项退至微信零钱。",
        "按钮上是再次申请四个字。",
        "文案为退款失败，请重试。",
        "题头：退款失败；",
        "底部有再次申请按钮。",
        "右下角的再次申请入口可见。",
        "底部是红色的再次申请按钮。",
        "带有一个仅退款标签。",
        "点击再次申请按钮即可。",
        "没有在意，底部有联系客服和再次申请两个按钮。",
        "客服回复：款项已退至微信零钱，请查收。",
        "弹窗提示：退款已关闭",
        "写着~退款失败~。",
        "看见退款被拒这几个字。",
        "页脚处设有一键退货按钮。",
        "标题退款页面四个字。",
    ],
)
def test_what_was_not_read_is_a_misquotation(text: str) -> None:
    assert len(misquotes(text, Read(OCR), None).missing) == 1


@pytest.mark.parametrize(
    "text",
    [
        "金额为128.50元，余额¥3200，运费¥8，归为退款页面。",
        "剩余14：32，编号88203917465，会员tb_7731。",
        "申请时间2026/3/12，即14:08。",
        "写有退款编号的那一行很长。",
        "注明了退款金额与退回账户，状态是绿色的，提示语为灰色，小字是说明。",
        "状态栏里有时间，按钮上是白色的字，注明编号。",
        "没有显示¥99.00，也没有12:12。",
        "三百五十六元八角，共3件，比例为16:9。",
        "底部有退款详情按钮，右上角有返回按钮和购物车按钮。",
        "有红色的按钮，有两个按钮，下方有联系商家的按钮，所有按钮都在底部。",
        "没有再次申请按钮，底部没有撤销申请入口，可见一排功能按钮。",
        "上方有退款金额、退回账户等选项，底部有退款详情和联系客服两个按钮，右侧为支付按钮的位置。",
        "理由如下：有金额。结论：退款页面。",
    ],
)
def test_what_was_read_in_other_words_or_only_named_is_none(text: str) -> None:
    assert misquotes(text, Read(OCR), None).missing == []


def test_a_denied_button_must_not_have_been_read() -> None:
    assert misquotes("没有联系客服按钮。", Read(OCR), None).denied == ["联系客服"]
