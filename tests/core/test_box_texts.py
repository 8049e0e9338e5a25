"""Boxes as texts have them: written in special tokens, and read out of every usual form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.core.box_texts import entries_in, with_tokens
from datakit.core.contract import AnswerContract
from datakit.core.outcome import Rejected

ONE = [{"bbox_2d": [1, 2, 3, 4], "label": "杯子"}]
TWO = [*ONE, {"bbox_2d": [5, 6, 7, 8], "label": "a [b] (c)"}]
TOKENS = "<|object_ref_start|>杯子<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>"


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        (TOKENS, ONE),
        (f"图中有{TOKENS}。", ONE),
        ("杯子(1,2),(3,4)", ONE),
        ("杯子 (1, 2), (3, 4)", ONE),
        ("<ref>杯子</ref><box>(1,2),(3,4)</box>", ONE),
        ("<ref>杯子</ref><box>[[1, 2, 3, 4]]</box>", ONE),
        ('[{"bbox_2d": [1, 2, 3, 4], "label": "杯子"}]', ONE),
        ('{"bbox_2d": [1, 2, 3, 4], "label": "杯子"}', ONE),
        ('```json\n[\n\t{"bbox_2d": [1, 2, 3, 4], "label": "杯子"}\n]\n```', ONE),
        ('[{"bbox": [1, 2, 3, 4], "text": "杯子"}]', ONE),
        ("杯子 [1, 2, 3, 4]", ONE),
        ("[0.25, 0.5, 0.75, 1]", [{"bbox_2d": [0.25, 0.5, 0.75, 1]}]),
        ("<|box_start|>(1,2),(3,4)<|box_end|>", [{"bbox_2d": [1, 2, 3, 4]}]),
        (
            "杯子(1,2),(3,4)<|box_end|><|box_start|>(5,6),(7,8)",
            [*ONE, {"bbox_2d": [5, 6, 7, 8], "label": "杯子"}],
        ),
        ('```json\n[{"bbox_2d": [1, 2, 3, 4], "label": "杯子"}, {"bbox_2d": [5, 6', ONE),
        ('[{"bbox_2d": [1, 2, 3, 4], "label": "杯子"}, {"bbox_2d": [5, 6, 7, 8], "label": "杯', ONE),
        ('[{"bbox_2d": [1, 2, 3, 4], "label": "杯子"},]', ONE),
        ("[{'bbox_2d': [1, 2, 3, 4], 'label': '杯子'}]", ONE),
        ('{"bbox_2d": [1, 2, 3, 4], "label": "杯子"}\n{"bbox_2d": [5, 6, 7, 8], "label": "a [b] (c)"}', TWO),
        ('{"objects": [{"bbox_2d": [1, 2, 3, 4], "label": "杯子"}]}', ONE),
        ('图中：\n```json\n{"bbox_2d": [1, 2, 3, 4], "label": "杯子"}\n```\n共一个。', ONE),
        ('[{"bbox_2d": [1, 2, 3, 4], "label": "(5,6),(7,8)"}]', [{**ONE[0], "label": "(5,6),(7,8)"}]),
        (
            '[{"bbox_2d": [1, 2, 3, 4], "label": "“满减\\"{1}<|box_end|>"}',
            [{**ONE[0], "label": '“满减"{1}<|box_end|>'}],
        ),
        ('[{"bbox_2d": [1, 2, 3, 4], "label": "杯子"}, {"point_2d": [5, 6], "label": "把手"}]', None),
        ('[{"bbox_2d": [1, 2, 3, 4], "label": "杯子"}, {"bbox_2d": [5, 6], "label": "把手"}, {"bb', None),
        ('[{"point_2d": [1, 2], "label": "杯子"}]', None),
        ('[{"bbox_2d": [1, 2, 3, NaN]}]', None),
        ("[" * 100_000, None),
        ('{"a":' * 50_000, None),
        ("没有杯子", None),
        ("[1, 2, 3]", None),
        ('[{"bbox_2d": [1, 2, 3]}]', None),
        ('[{"label": "杯子"}]', None),
        ("", None),
    ],
)
def test_boxes_are_read_out_of_every_usual_form(text: str, entries: Any) -> None:
    assert entries_in(text) == entries


NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=8).filter(
    lambda name: "<|" not in name
)
BOXES = st.tuples(*[st.integers(0, 1000)] * 4)


@given(st.lists(st.tuples(NAMES.filter(bool), BOXES), min_size=1, max_size=5))
def test_what_is_written_in_tokens_is_read_back(boxes: list[tuple[str, tuple[int, ...]]]) -> None:
    entries = [{"bbox_2d": list(sides), "label": name} for name, sides in boxes]
    assert entries_in(with_tokens(entries)) == entries


def tokens() -> AnswerContract:
    return AnswerContract.of({"fields": [{"name": "boxes", "notation": "tokens"}]})


def test_a_contract_writes_and_reads_special_tokens() -> None:
    contract = tokens()
    assert contract.write({"boxes": ONE}) == (TOKENS,)
    answer = contract.read(TOKENS)
    assert contract.typed(answer) == {"boxes": ONE}
    assert answer.exact
    assert contract.typed(contract.read("杯子(1,2),(3,4)")) == {"boxes": ONE}
    assert contract.read("没有").problem == "boxes_unreadable"
    assert contract.reward(TOKENS, ONE) == {"format": 1.0, "accuracy": 1.0}
    assert contract.guide() is None
    assert "<|box_start|>" in contract.prompt_lines()


@pytest.mark.parametrize(
    ("boxes", "reason"),
    [
        ([{"bbox_2d": [0.5, 2, 3, 4]}], "boxes_unreadable"),
        ([{"bbox_2d": [1, 2, 3, 4], "label": "<|box_end|>"}], "answer_unreadable"),
        ([*ONE, {"bbox_2d": [1, 2, 3, 4]}], "answer_unreadable"),
    ],
)
def test_what_tokens_cannot_say_is_rejected(boxes: Any, reason: str) -> None:
    outcome = tokens().write({"boxes": boxes})
    assert isinstance(outcome, Rejected)
    assert outcome.reason == reason


def test_a_list_that_is_cut_off_is_read_and_is_not_of_the_form() -> None:
    contract = AnswerContract.of({"fields": ["boxes"]})
    text = '```json\n[{"bbox_2d": [1, 2, 3, 4], "label": "杯子"}, {"bbox_2d": [5,'
    answer = contract.read(text)
    assert contract.typed(answer) == {"boxes": ONE}
    assert not answer.problem
    assert contract.reward(text, TWO) == {"format": 0.0, "accuracy": pytest.approx(2 / 3)}
    assert contract.reward('[{"bbox_2d": [1, 2, 3, 4], "label": "杯子"}]', ONE)["format"] == 1.0
    assert contract.read('[{"bbox_2d": [1, 2').problem == "boxes_unreadable"


def test_a_record_whose_list_is_cut_off_is_rejected() -> None:
    outcome = AnswerContract.of({"fields": ["boxes"]}).write({"boxes": '[{"bbox_2d": [1, 2, 3, 4]}, {"bb'})
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "boxes_unreadable"


def test_one_object_alone_is_a_list_of_one() -> None:
    contract = AnswerContract.of({"fields": ["label", "boxes"]})
    answer = contract.read('类别：杯\n位置：{"bbox_2d": [1, 2, 3, 4], "label": "杯子"}')
    assert contract.typed(answer) == {"label": "杯", "boxes": ONE}


@pytest.mark.parametrize(
    "text",
    [
        '[{"bbox_2d": [1, 2, 3, 4], "text_content": "杯子"}]',
        '{"bbox_2d": [1, 2, 3, 4], "name": "杯子"}',
        '{"杯子": [1, 2, 3, 4]}',
        "{'杯子': [[1, 2, 3, 4]]}",
        '```json\n{"杯子": [1, 2, 3, 4]}\n```',
    ],
)
def test_a_box_keeps_its_name_under_every_usual_key_and_as_a_key(text: str) -> None:
    assert entries_in(text) == ONE


def test_names_as_keys_are_those_of_their_own_boxes() -> None:
    assert entries_in('{"杯子": [1, 2, 3, 4], "a \\"b\\"": [5, 6, 7, 8]}') == [
        *ONE,
        {"bbox_2d": [5, 6, 7, 8], "label": 'a "b"'},
    ]
    assert entries_in('"杯子" [1, 2, 3, 4]') == [{"bbox_2d": [1, 2, 3, 4], "label": '"杯子"'}]


def test_the_name_of_what_holds_the_boxes_is_none_of_theirs() -> None:
    assert entries_in('{"name": "页面", "objects": [{"bbox_2d": [1, 2, 3, 4], "label": "杯子"}]}') == ONE
