"""What a form forces upon values: said for each value that is not written as it came, and for no other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.core import contract_values as values
from datakit.core.contract import AnswerContract, AnswerField
from datakit.core.contract_changes import WORDS, changes
from datakit.core.labels import load_labels
from datakit.core.outcome import Rejected
from tests.core.test_contract import HOSTILE
from tests.support.chat_records import ROOT

LABELS = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")


def kinds(kind: str, value: Any, **settings: Any) -> list[str]:
    field = AnswerField.model_validate({"name": settings.pop("name", kind), "kind": kind, **settings})
    return [change.kind for change in changes(field, value, "zh", None)]


@pytest.mark.parametrize(
    ("kind", "value", "changed"),
    [
        ("line", "  有结算按钮 \n", []),
        ("line", "第一行\n第二行", ["line_breaks"]),
        ("line", "第一行\r\n  第二行", ["line_breaks"]),
        ("line", "第一行\u2028第二行", ["line_breaks"]),
        ("line", "a  b", ["white_space"]),
        ("line", "a\tb", ["white_space"]),
        ("line", "a\u3000b", ["white_space"]),
        ("line", "a\u00a0b\nc", ["line_breaks", "white_space"]),
        ("line", "a b", []),
        ("text", " 第一行\n  第二行\t", []),
        ("label", "a  b", ["white_space"]),
        ("number", "007", ["number_spelling"]),
        ("number", "1e3", ["number_spelling"]),
        ("number", "1,234", ["number_spelling"]),
        ("number", "7.50", ["number_spelling"]),
        ("number", "+7", ["number_spelling"]),
        ("number", "３", ["number_spelling"]),
        ("number", " 42 ", []),
        ("number", 7.0, []),
        ("labels", ["a", "b"], []),
        ("labels", "a、b", []),
        ("labels", "“a”、b。", ["label_marks"]),
        ("labels", ["a\nb"], ["line_breaks"]),
        ("boxes", [{"box": [0, 1, 2, 3], "text": "结算"}], []),
        ("boxes", [{"bbox_2d": [0, 1, 2, 3], "label": "x", "score": None, "sub_label": ""}], []),
        ("boxes", [{"bbox_2d": [0, 1, 2, 3], "label": "x", "score": 0.9, "sub_label": "y"}], ["box_keys"]),
        ("boxes", [{"box": [0, 1, 2, 3], "label": "x", "text": "y"}], ["box_keys"]),
        ("boxes", '[{"box": [0, 1, 2, 3], "score": 0}]', ["box_keys"]),
        ("boxes", 'two boxes: [{"box": [0, 1, 2, 3]}]', ["box_words"]),
        ("boxes", [{"box": [0, 1, 2, 3], "label": "a\nb"}], ["line_breaks"]),
        ("boxes", [[0, 1, 2, 3]], []),
        ("line", None, []),
    ],
)
def test_each_kind_of_change_has_its_word(kind: str, value: Any, changed: list[str]) -> None:
    assert kinds(kind, value, **({"name": "label"} if kind == "label" else {})) == changed
    assert set(changed) <= WORDS.keys()


def test_keys_that_a_box_loses_are_named() -> None:
    boxes = [{"box": [0, 1, 2, 3], "score": 0.9}, {"box": [0, 1, 2, 3], "sub_label": "y"}]
    (change,) = changes(AnswerField(name="boxes", kind="boxes"), boxes, "zh", None)
    assert change.details == ("score", "sub_label")


def test_a_box_named_zero_keeps_its_name() -> None:
    field = AnswerField(name="boxes", kind="boxes")
    assert values.written(field, [{"box": [0, 1, 2, 3], "label": 0}], "zh", None) == (
        '[{"bbox_2d": [0, 1, 2, 3], "label": "0"}]'
    )


def test_marks_that_become_an_empty_answer_are_said() -> None:
    assert kinds("line", "……。", name="reason", optional=True) == []
    assert kinds("line", "。", name="reason", optional=True) == ["blank"]
    assert kinds("line", "无", name="reason", optional=True) == []


def test_spelling_of_the_label_file_is_no_change() -> None:
    assert changes(AnswerField(name="label", kind="label"), "购物车 页面", "zh", LABELS) == []


@given(HOSTILE | st.text(max_size=12), st.sampled_from(["line", "text"]))
def test_a_text_is_written_to_the_letter_or_its_change_is_said(text: str, kind: Any) -> None:
    contract = AnswerContract.of({"fields": [{"name": "reason", "kind": kind}, "label"]})
    turns = contract.write({"reason": text, "label": "x"})
    if not isinstance(turns, Rejected):
        whole = turns[0] == f"理由：{text.strip()}\n类别：x"
        assert whole == (not contract.changes({"reason": text, "label": "x"}))


@given(st.integers().map(str) | st.from_regex(r"\A[-+]?[0-9]{1,6}(\.[0-9]{1,4})?(e[0-9])?\Z"))
def test_a_number_is_written_to_the_letter_or_its_change_is_said(text: str) -> None:
    field = AnswerField(name="number", kind="number")
    spelt = values.written(field, text, "en", None)
    if not isinstance(spelt, Rejected):
        assert (spelt == text) == (not changes(field, text, "en", None))


def test_a_line_that_begins_like_the_next_heading_is_said() -> None:
    contract = AnswerContract.of({"fields": [{"name": "reason", "kind": "text"}, "label"]})
    record = {"reason": "有结算\n类别：按钮", "label": "x"}
    assert [(field.name, change.kind) for field, change in contract.changes(record)] == [
        ("reason", "next_heading")
    ]
