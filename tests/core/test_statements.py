"""Labels and numbers of an answer: what is stated counts; what is quoted or taken back does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.core.contract import AnswerContract
from datakit.core.labels import load_labels

LABELS = load_labels(Path(__file__).resolve().parents[2] / "templates" / "ecom" / "labels.yaml")
REASON_FIRST = AnswerContract.of("reason_first")
LABEL_FIRST = AnswerContract.of("label_first")
ENGLISH = AnswerContract.of("reason_first", language="en")
COUNT = AnswerContract.of({"fields": ["reason", {"name": "count", "kind": "number", "heading": "数量"}]})
CART, RETURN = "购物车页面", "退货页面"

NOT_STATED = (
    f"排除类别：{CART}",
    f"理由：页面很像\n排除类别：{CART}",
    f"商品类别：{CART}",
    f"候选类别：{CART}",
    f"其他类别：{CART}",
    f"错误类别：{CART}",
    f"非类别：{CART}",
    f"不属于以下类别：{CART}",
    f"上一张图的类别：{CART}",
    f"理由：标题写着「类别：{CART}」",
    f"理由：屏幕标题“类别：{CART}”",
    f'理由：屏幕标题"类别：{CART}"',
    f"理由：页面顶部显示 类别：{CART}",
    f"理由：商品 类别：{CART}",
    f"理由：如果有结算按钮，类别：{CART}",
    f"理由：例如，类别：{CART}",
    f"页面显示以下文字：\n类别：{CART}",
    f"“品牌：华为\n类别：{CART}”",
    f"理由：截图内容有 类别：{CART}",
    f"假设：\n类别：{CART}",
    f"例如：\n类别：{CART}",
    f"以下都不是答案：\n类别：{CART}",
)
TAKEN_BACK = (
    f"类别：{CART}\n其实不是{CART}",
    f"类别：{CART}\n以上错误",
    f"类别：{CART}\n上述判断有问题",
    f"类别：{CART}\n我判断错误，请忽略",
    f"类别：{CART}\nThat is wrong.",
    f"类别：{CART}\nIgnore the above.",
    f"类别：{CART}\n抱歉，我看不到图片",
    f"类别：{CART}\n理由：这并不是{CART}，底部没有按钮".replace("并不是", "并非"),
    f"类别：{CART}\n理由：底部有按钮，正确类别是{RETURN}",
    f"类别：{CART}\n理由：综上属于{RETURN}",
    f"类别：{CART}\n更正：应为{RETURN}",
    f"类别：{CART}\n不对，应该是{RETURN}",
    f"类别：{CART}\n等等，我看错了。",
    f"类别：{CART}\n也可能是{RETURN}",
    f"类别：{CART}，更正：{RETURN}",
    f"类别：{CART}\n理由：更正，应为{RETURN}",
    f"类别：{CART}\n理由：有结算按钮，实际应该是{RETURN}",
)
STATED = (
    f"类别：{CART}",
    f"最终类别：{CART}",
    f"因此类别：{CART}",
    f"**类别：** {CART}",
    f"- 类别：{CART}",
    f"**类别**：{CART}",
    f"【类别】{CART}",
    f"【类别】：{CART}",
    f"“类别”：{CART}",
    f"类别为：{CART}",
    f"`类别`: {CART}",
    f"**理由**：有结算按钮\n**类别**：{CART}",
    f"1. 类别：{CART}",
    f"> 类别：{CART}",
    f"“类别：{CART}”",
    f"理由：有结算。类别：{CART}",
    f"理由：有结算按钮，类别：{CART}",
    f"理由：有结算按钮 类别：{CART}",
    f"理由：左侧写着类别：女装\n类别：{CART}",
    f"理由：不是{RETURN}\n类别：{CART}",
    f"类别：{CART}\n理由：看似{RETURN}，实际是{CART}",
    f"类别：{CART}\n（区别于{RETURN}）",
    f"类别：{CART}\n理由：底部有结算按钮，左右不对称",
    f"答案如下：\n类别：{CART}",
    f"类别：{CART}\n理由：与{RETURN}不同，没有退货地址，不应为{RETURN}",
    f"类别：{CART}\n理由：如果有寄回步骤，则应为{RETURN}，这里没有",
)


@pytest.mark.parametrize("contract", [REASON_FIRST, LABEL_FIRST], ids=["reason_first", "label_first"])
@pytest.mark.parametrize("text", NOT_STATED + TAKEN_BACK)
def test_label_that_is_not_stated_or_taken_back_is_a_problem(contract: AnswerContract, text: str) -> None:
    answer = contract.read(text, LABELS)
    assert answer.label is None
    assert answer.problem in ("label_missing", "label_unknown", "label_ambiguous")
    assert answer.detail


@pytest.mark.parametrize("contract", [REASON_FIRST, LABEL_FIRST], ids=["reason_first", "label_first"])
@pytest.mark.parametrize("text", STATED)
def test_label_that_is_stated_is_read(contract: AnswerContract, text: str) -> None:
    answer = contract.read(text, LABELS)
    assert (answer.label, answer.problem) == (CART, "")


@pytest.mark.parametrize(
    "text",
    [
        f"Excluded label: {CART}",
        f"Product label: {CART}",
        f'The title reads "Label: {CART}"',
        f"If it had a button, label: {CART}",
        f"Reason: a page\nNot label: {CART}",
    ],
)
def test_english_words_that_announce_no_label_are_known(text: str) -> None:
    assert ENGLISH.read(text, LABELS).label is None


@pytest.mark.parametrize(
    "text",
    [f"Final label: {CART}", f"The label: {CART}", f"Reason: a button. Label: {CART}", f"Label: {CART}"],
)
def test_english_label_that_is_stated_is_read(text: str) -> None:
    assert ENGLISH.read(text, LABELS).label == CART


@pytest.mark.parametrize(
    "text",
    [
        *("数量：5\n数量：6", "商品数量：5", "数量：5\n更正：应为6", "库存：5", "数量：5\n抱歉，应为六"),
        *(
            "数量：5万",
            "数量：3亿",
            "数量：2 million",
            "数量：1.5k",
            "数量：5²",
            "数量：iPhone15",
            "数量：A-5",
        ),
        *(
            "数量：不是5",
            "数量：不到5",
            "数量：至少5",
            "数量：>5",
            "Error 404",
            "抱歉，我看不到图片，代码 500",
        ),
    ],
)
def test_number_of_something_else_or_of_two_minds_is_a_problem(text: str) -> None:
    answer = COUNT.read(text)
    assert "count" not in answer.values
    assert answer.problem


@pytest.mark.parametrize("text", ["数量：5", "理由：甲\n数量：5", "答案：5", "5", "数量：5\n数量：5"])
def test_number_that_is_stated_is_read(text: str) -> None:
    answer = COUNT.read(text)
    assert (answer.values.get("count"), answer.problem) == ("5", "")


@given(
    st.sampled_from(LABELS.names),
    st.sampled_from(LABELS.names),
    st.sampled_from(["更正：", "不对，", "改为"]),
)
def test_correction_to_any_other_label_is_never_a_guess(first: str, second: str, word: str) -> None:
    answer = REASON_FIRST.read(f"类别：{first}\n{word}{second}", LABELS)
    assert answer.label is None
