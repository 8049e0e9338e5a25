"""Findings never hold the impression that they stand in front of."""

from __future__ import annotations

import pytest

from datakit.core.labels import Label
from datakit.core.without_label import without_label

HEART = Label("心影增大", aliases=("心脏增大", "大心影"))
NODULE = Label("Lung nodule", aliases=("pulmonary nodule",))


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("心影向两侧扩大，心尖左移，符合心影增大。", "心影向两侧扩大，心尖左移。"),
        ("心胸比约0.6，因此属于心脏增大。肋膈角锐利。", "心胸比约0.6，肋膈角锐利。"),
        ("心胸比约0.6；结论是“心影 增大”", "心胸比约0.6"),
        ("所见提示大心影，心尖左移。", "所见提示大心影，心尖左移。"),  # a short alias is a word of findings
        ("双肺野透亮，肋膈角锐利。", "双肺野透亮，肋膈角锐利。"),
        ("可以判断为心影增大。", ""),
        ("", ""),
    ],
)
def test_clauses_that_name_the_impression_are_left_out(text: str, findings: str) -> None:
    assert without_label(text, HEART) == findings


def test_english_findings_keep_their_numbers() -> None:
    text = "A round opacity of 1.5 cm, well defined. This suggests a Pulmonary Nodule. Heart normal."
    assert without_label(text, NODULE) == "A round opacity of 1.5 cm, well defined. Heart normal."
