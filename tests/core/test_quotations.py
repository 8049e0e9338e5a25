"""Quotations: found in all marks, mixed, nested or never closed, and no apostrophe is one."""

from __future__ import annotations

import pytest

from datakit.core.quotations import parts, quotations

PAIRS = """
    “” 「」 『』 《》 "" ‘’ '' `` ＂＂ 〝〞 〝〟 «» »« „“ ‚‘ ‹› ›‹ 〈〉 ﹁﹂ ﹃﹄ ｢｣ ＇＇
    ”” ““ “" "” ‘' ´´ ❝❞ [] ［］ 〔〕 <> ＜＞ ⟨⟩
    &quot;&quot; &ldquo;&rdquo; &#34;&#34; &#x201c;&#x201D; \\u201c\\u201d &laquo;&raquo; &apos;&apos;
"""


@pytest.mark.parametrize("pair", [*PAIRS.split(), "``''", "''''"])
def test_a_quotation_is_found_in_any_marks(pair: str) -> None:
    half = len(pair) // 2
    opening, closing = pair[:half], pair[half:]
    text = f"顶部写着{opening}退款失败{closing}，下方有{opening}去向{closing}。"
    assert [quotation.text for quotation in quotations(text)] == ["退款失败", "去向"]
    for quotation in quotations(text):
        assert quotation.is_closed
        assert text[quotation.start : quotation.end] == opening + quotation.text + closing
    english = f"It says {opening}Payment failed{closing}."
    assert [quotation.text for quotation in quotations(english)] == ["Payment failed"]


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("says “Payment “inner” failed”", ["Payment “inner” failed"]),
        ("写着“甲「乙」丙”", ["甲「乙」丙"]),
        ('"写着“甲”了"', ["写着“甲”了"]),
        ("说“退款成功”与”退款失败“", ["退款成功", "退款失败"]),
        ('“A”和"B"', ["A", "B"]),
        ("写着'it doesn't matter'字样", ["it doesn't matter"]),
        ("‘Payment didn’t work’", ["Payment didn’t work"]),
        ("the sellers' page isn't 'Paid'", ["Paid"]),
        ("it’s the ’90s", []),
        ('a 6.1" screen shows "Paid"', ["Paid"]),
        ("写着*退款成功*，标有**退款编号**", ["退款成功", "退款编号"]),
        ("**退款成功**几个字，_Refund done_ appears", ["退款成功", "Refund done"]),
        ("**结论**：该图**明确**属于**退款页面**", []),
        ("手机号135****2798，2*3*4，有**", []),
        ("写着'退款\n成功'，'去向'", ["退款\n成功", "去向"]),
        ("[依据] 写着[立即付款]按钮[1][图2]，见[网页](x)，框[12, 34, 56, 78]", ["立即付款"]),
        ("<image>看<b>图</b>，写着<立即付款>，1<2，<|im_end|>，<a href=x>", ["立即付款"]),
        ("“甲[乙]丙”和[丁“戊”]", ["甲[乙]丙", "戊"]),
        ("写着〈去支付〉、《协议》、「甲」、『乙』", ["去支付", "协议", "甲", "乙"]),
        ("【依据】写着【立即付款】按钮。【结论】退款", ["立即付款"]),
        ("“”和“……”", []),
        ("没有引用", []),
    ],
)
def test_marks_may_be_nested_and_an_apostrophe_is_none(text: str, quoted: list[str]) -> None:
    assert [quotation.text for quotation in quotations(text)] == quoted


@pytest.mark.parametrize("mark", ["“", "「", "『", "《", '"', "‘", "〝", "«", "＂"])
def test_a_quotation_that_is_never_closed_runs_to_the_end_of_its_sentence(mark: str) -> None:
    (quotation,) = quotations(f"写着{mark}退款失败，没有右引号。因此属于退款页面。")
    assert (quotation.text, quotation.is_closed) == ("退款失败，没有右引号", False)


def test_dots_part_a_quotation() -> None:
    assert parts("退款…去向...编号……") == ["退款", "去向", "编号"]
    assert parts("12.50") == ["12.50"]
    assert parts("…") == []
