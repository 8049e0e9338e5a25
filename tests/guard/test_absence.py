"""guard.reason: a quotation that a reason denies must not stand in what was read."""

from __future__ import annotations

import pytest

from datakit.guard._quotations import Misquotes, Read, misquotes

OCR = "退款详情\n退款成功\n退款金额 ¥128.50\n不支持退货\n确认付款\n2条未读\nOrder number 12\nTrack parcel"
HONEST = """
    没有“退货地址”字样，属于退款页面。|未见“填写单号”，是退款。
    There is no “Return label”, so it is a refund.|看不到“寄回”按钮。
    找不到“退货地址”和“填写单号”。|A list without “Return label”.|“退货地址”并未出现。
    页面不存在“退货地址”一栏。|没有出现任何“退货地址”字样。
    未见“退货退款”，也没有“填写单号”。|“退货地址”字样没有出现。|“退货地址”和“填写单号”均未出现在页面上。
    写的不是“退货成功”，而是“退款成功”。
    不像退货页面那样写着“退货地址”。|没有写着退货地址申请的一行。|没有出现等待寄回四个字。
    没有“确认”按钮。|没有“支持退货”字样。
    底部没有“退款金额”，它在中间。|没有“退款金额”以外的数字。|除了“退款成功”没有别的。
    “退款成功”没有异常。|不难看到“退款成功”。
    没有地址，“退款成功”在顶部。|没有遮挡“退款成功”。|It does not say “Return label”.
    “Return label” does not appear.|It cannot be missed: “Order number”.
    不是没有“退款成功”。|没有“退货地址”，只有“退款成功”。|没有“退货地址”但有“退款成功”。
    毫无疑问，“退款成功”可见。|写着“2条未读”。
    没有“退货地址”或“填写单号”按钮，“退款成功”可见。|There is no doubt: “Order number” is shown.
"""
FALSE_ABSENCE = """
    没有“退款金额”字样，属于退款页面。|未见“退款成功”。|看不到“退款金额”一栏。|“退款成功”并未出现。
    There is no “Order number”.
    找不到“确认付款”按钮。|没有“确认”二字。|页面上没有出现任何“退款详情”。|没有出现退款金额字样。
    It does not show “Track parcel”.
    “退款金额”没有出现在页面上。|A page without “Order number”.|既没有“退货地址”，也没有“退款成功”。
    没有“退货地址”和“退款成功”。
    “Order number” is missing.|图中没有写着“退款成功”。
"""
MISQUOTED = """
    没有地址，“等待寄回”在顶部。|不是没有“等待寄回”。|没有“退货地址”但有“等待寄回”。
    写着“等待寄回”，没有“退货地址”。|没有遮挡“等待寄回”。
    写着“没有等待寄回”。|不难看到“等待寄回”。|毫无疑问，“等待寄回”可见。|不仅有“等待寄回”。
    没有别的，“等待寄回”最大。|“等待寄回”没有异常。
    There is no doubt: “Return label” is shown.|“等待寄回”可见，“退货地址”没有出现。
    没有“退货地址”而写着“等待寄回”。
"""


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in text.strip().replace("\n", "|").split("|")]


@pytest.mark.parametrize("text", _sentences(HONEST))
def test_an_honest_absence_is_no_misquotation(text: str) -> None:
    assert misquotes(text, Read(OCR), None) == Misquotes([], [])


@pytest.mark.parametrize("text", _sentences(FALSE_ABSENCE))
def test_what_a_reason_says_is_not_there_and_is_counts_as_misquoted(text: str) -> None:
    missing, denied = misquotes(text, Read(OCR), None)
    assert (missing, len(denied)) == ([], 1)


@pytest.mark.parametrize("text", _sentences(MISQUOTED))
def test_a_denial_of_something_else_excuses_no_misquotation(text: str) -> None:
    missing, denied = misquotes(text, Read(OCR), None)
    assert (len(missing), denied) == (1, [])


def test_a_false_absence_has_words_of_its_own() -> None:
    wrong = {"missing": "{} is missing", "denied": "{} is there"}
    assert misquotes("没有“退款成功”，写着“等待寄回”。", Read(OCR), None).said(wrong) == (
        "“等待寄回” is missing; “退款成功” is there"
    )
