"""What a prompt says by hand about the answer is found, with its line, and nothing else is taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from datakit.core.answer import AnswerFormat, TurnFormat
from datakit.core.stated_format import conflict, headings_of, statements
from datakit.core.templates import Templates

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = Templates([ROOT / "templates"])
LABEL = TurnFormat(("label",), ("", ""))
REASON_LABEL = TurnFormat(("reason", "label"), ("理由：", "\n类别：", ""))
LABEL_REASON = TurnFormat(("label", "reason"), ("类别：", "\n理由：", ""))
BARE = TurnFormat(("reason", "label"), ("", "\n", ""))
FINDINGS = TurnFormat(("reason", "label"), ("所见：", "\n印象：", ""))
JSON = TurnFormat(("reason", "label"), ('{"reason": "', '", "label": "', '"}'))
DESCRIPTION = TurnFormat(("description",), ("", ""))
ALL = {
    "label": LABEL,
    "reason, label": REASON_LABEL,
    "label, reason": LABEL_REASON,
    "bare": BARE,
    "findings": FINDINGS,
    "json": JSON,
}


@pytest.mark.parametrize(
    ("text", "agreeing"),
    [
        ("判断类别。\n理由：依据图片内容\n类别：名称", {"reason, label"}),
        ("判断类别。\n{% if ocr_text %}{{ ocr_text }}\n{% endif %}类别：名称\n理由：依据", {"label, reason"}),
        ("- 理由：...\n- 类别：...", {"reason, label"}),
        ("【理由】：...\n【类别】：...", {"reason, label"}),
        ("1. 分类原因：...\n2. 类别：...", set()),
        ("所见：征象\n印象：名称", {"findings"}),
        ("理由：\n类别：", {"reason, label"}),
        ("例如：\n理由：有按钮\n类别：购物车\n理由：有快递\n类别：物流", {"reason, label"}),
        ('只输出一个 JSON 对象：{"reason": "理由", "label": "类别"}', {"json"}),
        ('{"label": "...", "reason": "..."}', set()),
        ('{\n  "label": "...",\n  "reason": "..."\n}', set()),
        ("先写判断理由，再写类别名称。", {"reason, label", "bare", "json", "findings"}),
        ("先给出类别，然后说明理由", {"label, reason"}),
        ("只回答类别名称。", {"label"}),
        ("仅输出标签，不要解释", {"label"}),
        ("Answer with only the label.", {"label"}),
        ("Only output the class name", {"label"}),
        ("Reason: why\nLabel: its name", set()),
        ("格式如下：\n类别：名称", set()),
    ],
)
def test_stated_form_agrees_with_the_answers_of_that_form_only(text: str, agreeing: set[str]) -> None:
    assert statements(text)
    assert {name for name, turn in ALL.items() if conflict(text, turn) is None} == agreeing


@pytest.mark.parametrize(
    "text",
    [
        "判断图片属于哪一个类别。",
        "类别：\n{{ label_names }}",
        "类别：女装、男装、家电",
        "图片描述：{{ description }}",
        "类别与说明：\n{{ label_json }}",
        "类别：{{ a }}\n理由：{{ b }}",
        "{# 理由：x\n类别：y #}你好",
        "请回答：图里有什么？",
        "先看标题，再看按钮上的类别。",
        "只看图片回答。",
        "说明：这是一张截图\n注意：可能有误",
        "返回 {{ label_json }} 里的一个",
    ],
)
def test_text_that_states_no_form_agrees_with_every_answer(text: str) -> None:
    assert {name: conflict(text, turn) for name, turn in ALL.items()} == dict.fromkeys(ALL)


def test_line_is_that_of_the_template_with_its_comment() -> None:
    text = "{# one\ntwo #}\n{% if a %}\n{{ a }}\n{% endif %}\n理由：x\n类别：y"
    found = conflict(text, LABEL_REASON)
    assert found is not None
    assert (found.line, found.words) == (6, "理由：x / 类别：y")


def test_headings_are_found_in_lines_and_in_json() -> None:
    assert headings_of(FINDINGS) == ("所见", "印象")
    assert headings_of(JSON) == ("reason", "label")
    assert headings_of(LABEL) == ("",)


SHIPPED = {
    "ecom/classify.j2": "ecom/reason_then_label.j2",
    "medical/classify.j2": "medical/reason_then_label.j2",
    "ecom/classify_v1.j2": "answer/label_only.j2",
    "ecom/classify_v2.j2": "answer/label_only.j2",
    "ecom/ask_description.j2": "answer/two_turn_1.j2",
    "ecom/ask_label.j2": "answer/two_turn_2.j2",
}


@pytest.mark.parametrize("prompt", SHIPPED)
def test_shipped_prompts_agree_with_their_answers(prompt: str) -> None:
    (turn,) = AnswerFormat.of([SHIPPED[prompt]], TEMPLATES).turns
    assert conflict(TEMPLATES.source(prompt), turn) is None


@pytest.mark.parametrize("answer", ["label_first", "describe_reason_label", "label_only"])
def test_shipped_prompt_disagrees_with_answers_of_another_form(answer: str) -> None:
    (turn,) = AnswerFormat.of([f"answer/{answer}.j2"], TEMPLATES).turns
    found = conflict(TEMPLATES.source("ecom/classify.j2"), turn)
    assert found is not None
    assert found.line in (10, 11)
