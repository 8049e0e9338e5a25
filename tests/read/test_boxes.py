"""Boxes in the forms that data sets have become one column, in pixels of the upright pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.box_files import SAME, box, rows

CHAT = [
    {"from": "human", "value": "<image>在哪里？[[1, 2, 3, 4]]"},
    {
        "from": "gpt",
        "value": "<|object_ref_start|>结算按钮<|object_ref_end|><|box_start|>(100,100),(500,500)<|box_end|>",
    },
]
FENCED = '```json\n[\n\t{"bbox_2d": [40, 20, 200, 100], "label": "结算按钮"}\n]\n```'


@pytest.mark.parametrize(
    ("value", "units"),
    [
        ([{"bbox_2d": [40, 20, 200, 100], "label": "结算按钮"}], "pixels"),
        ({"bbox_2d": [40, 20, 200, 100], "label": "结算按钮"}, "pixels"),
        ([{"box": [40, 20, 200, 100], "label": "结算按钮", "image": 0}], "pixels"),
        (FENCED, "pixels"),
        ([{"bbox": [40, 20, 160, 80], "category": "结算按钮"}], "xywh"),
        ([{"bbox": [0.1, 0.1, 0.5, 0.5], "name": "结算按钮"}], "shares"),
        ([{"bbox_2d": [100, 100, 500, 500], "label": "结算按钮"}], "thousandths"),
        ([{"x": 10, "y": 10, "width": 40, "height": 40, "label": ["结算按钮"]}], "percent"),
        ("<ref>结算按钮</ref><box>(100,100),(500,500)</box>", "thousandths"),
        ("<ref>结算按钮</ref><box>[[100, 100, 500, 500]]</box>", "thousandths"),
        ("结算按钮(100,100),(500,500)", "thousandths"),
        ("结算按钮 [0.1, 0.1, 0.5, 0.5]", "shares"),
        ("结算按钮 [0.1, 0.3, 0.5, 0.5]", "square_shares"),  # 400 x 200 has 100 pixels above and below
        (CHAT, "thousandths"),
        ({"ref": ["结算按钮"], "bbox": [[40, 20, 200, 100]]}, "pixels"),
        ({"ref": ["结算按钮"], "bbox": [[0.1, 0.1, 0.5, 0.5]], "bbox_type": "norm1"}, "pixels"),
        ({"ref": ["结算按钮"], "bbox": [[40, 20, 200, 100]], "bbox_type": "real", "image_id": [0]}, "pixels"),
    ],
)
def test_one_box_is_the_same_in_every_form(value: Any, units: str, tmp_path: Path, read: Any) -> None:
    rows(tmp_path, {"id": "a", "where": value})
    got = read("read.jsonl", path="rows.jsonl", boxes="where", box_units=units)
    assert got.rejects == []
    [(found,)] = got.column("boxes")
    assert found["label"] == "结算按钮"
    assert found["box"] == pytest.approx(SAME[0]["box"], abs=0.01)
    assert "where" not in got.frame.columns


def test_boxes_after_the_processors_own_resize_come_back(tmp_path: Path, read: Any) -> None:
    rows(tmp_path, {"id": "a", "where": [[39.2, 19.6, 196, 98]]})  # 400 x 200 is seen as 392 x 196
    got = read("read.jsonl", path="rows.jsonl", boxes="where", box_units="resized")
    assert got.column("boxes")[0][0]["box"] == pytest.approx([40, 20, 200, 100])


def test_boxes_of_the_answers_stand_beside_the_chat_that_holds_them(tmp_path: Path, read: Any) -> None:
    rows(
        tmp_path,
        {"id": "a", "conversations": CHAT},
        {"id": "b", "conversations": [CHAT[0], {**CHAT[1], "value": "没有"}]},
    )
    got = read("read.jsonl", path="rows.jsonl", boxes="conversations", box_units="thousandths")
    assert got.column("boxes") == [SAME, []]
    assert got.column("messages")[0][1]["content"] == CHAT[1]["value"]


def test_records_without_boxes_and_pictures_have_none(tmp_path: Path, read: Any) -> None:
    rows(
        tmp_path,
        {"id": "a", "where": None},
        {"id": "b", "where": []},
        {"id": "c", "image": None, "where": None},
    )
    assert read("read.jsonl", path="rows.jsonl", boxes="where").column("boxes") == [[], [], []]


def test_boxes_are_on_the_picture_that_they_name(tmp_path: Path, read: Any) -> None:
    boxes = [{"bbox": [0, 0, 50, 100], "image": 1, "text": "总价"}, {"bbox": [0, 0, 400, 200]}]
    rows(tmp_path, {"id": "a", "image": ["1.jpg", "2.jpg"], "where": boxes})
    got = read("read.jsonl", path="rows.jsonl", boxes="where")
    assert got.column("boxes") == [[box(0, 0, 50, 100, text="总价", image=1), box(0, 0, 400, 200)]]


def test_another_column_that_is_called_boxes_keeps_its_values(tmp_path: Path, read: Any) -> None:
    rows(tmp_path, {"id": "a", "where": [[0, 0, 1, 1]], "boxes": "three"})
    got = read("read.jsonl", path="rows.jsonl", boxes="where")
    assert got.column("source_boxes") == ["three"]
    assert read("read.jsonl", path="rows.jsonl").column("boxes") == ["three"]


def test_boxes_that_hang_over_the_edge_are_clipped_and_counted(tmp_path: Path, read: Any) -> None:
    rows(
        tmp_path,
        {"id": "a", "where": [[0, 0, 9, 9]]},
        {"id": "b", "where": [[-2, -1, 20, 10], [390, 0, 409, 9]]},
    )
    got = read("read.jsonl", path="rows.jsonl", boxes="where")
    assert [found["box"] for found in got.column("boxes")[1]] == [[0, 0, 20, 10], [390, 0, 400, 9]]
    assert got.warnings == ["2 boxes hung over the edge of their picture and were clipped (rows.jsonl:2)"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([[5, 5, 5, 9]], "box_empty"),
        ([[500, 5, 600, 9]], "box_outside"),
        ([{"bbox": [1, 1, 2, 2], "image": 1}], "box_picture"),
        ([{"bbox": [1, 1, 2, 2], "image": "0"}], "box_picture"),
        ([[1, 1, 2]], "boxes_unreadable"),
        ([{"polygon": [1, 1, 2, 2]}], "boxes_unreadable"),
        ("nothing there", "boxes_unreadable"),
        (7, "boxes_unreadable"),
        ({"bbox": [[1, 1, 2, 2]], "bbox_type": "norm1000"}, "objects_format"),
        ({"bbox": [[1, 1, 2, 2]], "ref": ["a", "b"]}, "objects_format"),
        ({"bbox": [[1, 1, 2, 2]], "image_id": [0, 0]}, "objects_format"),
    ],
)
def test_boxes_that_cannot_be_meant_reject_their_record(
    value: Any, reason: str, tmp_path: Path, read: Any
) -> None:
    rows(tmp_path, {"id": "bad", "where": value}, {"id": "good", "where": [[0, 0, 1, 1]]})
    got = read("read.jsonl", path="rows.jsonl", boxes="where")
    assert got.reasons == {"bad": reason}
    assert got.column("id") == ["good"]


def test_a_picture_that_is_not_there_rejects_boxes_on_it(tmp_path: Path, read: Any) -> None:
    rows(tmp_path, {"id": "a", "image": "9.jpg", "where": [[0, 0, 1, 1]]}, {"id": "b", "image": "9.jpg"})
    got = read("read.jsonl", path="rows.jsonl", boxes="where")
    assert got.reasons == {"a": "image_missing"}
    assert got.column("id") == ["b"]  # guard.image says more of it


KEYED = '[{"bbox_2d": [40, 20, 200, 100], "label": "a"}]'


def asked(*answers: Any) -> list[dict[str, Any]]:
    return [
        turn
        for answer in answers
        for turn in ({"from": "human", "value": "where?"}, {"from": "gpt", "value": answer})
    ]


@pytest.mark.parametrize(
    "answers",
    [
        [KEYED, "b(40,20),(200,100)"],
        ["b(40,20),(200,100)", "nothing", KEYED],
        ["<|object_ref_start|>b<|object_ref_end|><|box_start|>(40,20),(200,100)<|box_end|>", KEYED],
        [KEYED, "b [40, 20, 200, 100]"],
        [[{"type": "text", "text": KEYED}], KEYED],
    ],
)
def test_boxes_of_every_answer_are_read_whatever_its_notation(
    answers: list[Any], tmp_path: Path, read: Any
) -> None:
    rows(tmp_path, {"id": "a", "turns": asked(*answers)})
    got = read("read.jsonl", path="rows.jsonl", boxes="turns", box_units="pixels")
    assert [entry["box"] for entry in got.column("boxes")[0]] == [[40, 20, 200, 100]] * 2


@pytest.mark.parametrize(
    "answer",
    [
        '{"bbox_2d": [1, 2, 3], "label": "a"}',
        KEYED[:-1] + ', {"bbox_2d": [10, 20, "x", 200], "label": "b"}]',
        KEYED[:-1] + ', {"bbox_2d": [200, 200, 300',
        '[{"bbox_2d": [[10, 20, 100, 200], [300, 30, 400, 40]], "label": "a"}]',
        "<|object_ref_start|>a<|object_ref_end|><|box_start|>(10,20),(100,200)<|box_end|> and " + KEYED,
        "a(1,2),(30,40) and " + KEYED,
        "<|box_start|>(10,20),(100)<|box_end|>",
        "<ref>a</ref><box>[[10, 20, 100]]</box>",
        "<ref>a</ref><quad>(1,2),(30,2),(30,40),(1,40)</quad>",
        '{"bbox_2D": [1, 2, 30, 40]}',
        "{bbox_2d: [1, 2, 30, 40]}",
        '{\\"bbox_2d\\": [1, 2, 30, 40]}',
    ],
)
@pytest.mark.parametrize("in_chat", [True, False])
def test_a_text_of_which_a_box_cannot_be_read_rejects_its_record(
    answer: str, in_chat: bool, tmp_path: Path, read: Any
) -> None:
    value = asked(KEYED, answer) if in_chat else f"answer: {answer}"
    rows(tmp_path, {"id": "bad", "turns": value}, {"id": "good", "turns": asked("no such thing", KEYED)})
    got = read("read.jsonl", path="rows.jsonl", boxes="turns")
    assert got.reasons == {"bad": "boxes_unreadable"}
    assert got.column("id") == ["good"]


@pytest.mark.parametrize("value", [asked(KEYED), FENCED])
def test_boxes_of_a_text_beside_several_pictures_are_on_none_of_them(
    value: Any, tmp_path: Path, read: Any
) -> None:
    rows(tmp_path, {"id": "two", "image": ["1.jpg", "2.jpg"], "turns": value}, {"id": "one", "turns": value})
    got = read("read.jsonl", path="rows.jsonl", boxes="turns")
    assert got.reasons == {"two": "box_picture"}
    assert got.column("id") == ["one"]


@pytest.mark.parametrize(
    "value",
    [
        {"ref": ["a"], "bbox": [[0.1, 0.2, 0.5, 0.6]]},
        {"ref": ["a"], "bbox": [[0.1, 0.2, 0.5, 0.6]], "bbox_type": "real"},
        [[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1]],
        asked('{"bbox_2d": [0.1, 0.2, 0.5, 0.6]}'),
    ],
)
def test_shares_that_are_read_as_pixels_are_warned_of(value: Any, tmp_path: Path, read: Any) -> None:
    rows(tmp_path, {"id": "a", "where": [[0, 0, 9, 9]]}, {"id": "b", "where": value})
    [warning] = read("read.jsonl", path="rows.jsonl", boxes="where").warnings
    assert warning.startswith("1 records have boxes whose numbers are all 0 to 1")
    assert "rows.jsonl:2" in warning


def test_shares_that_are_named_so_are_not_warned_of(tmp_path: Path, read: Any) -> None:
    shares = [[0.1, 0.2, 0.5, 0.6]]
    rows(tmp_path, {"id": "a", "where": {"ref": ["a"], "bbox": shares, "bbox_type": "norm1"}})
    assert read("read.jsonl", path="rows.jsonl", boxes="where").warnings == []
    rows(tmp_path, {"id": "a", "where": shares})
    assert read("read.jsonl", path="rows.jsonl", boxes="where", box_units="shares").warnings == []


@pytest.mark.parametrize(
    "turn", [{"rotation": 30}, {"angle": "30"}, {"attributes": {"rotation": -30}}, {"rotation": "left"}]
)
def test_a_turned_box_of_which_nothing_says_how_it_is_turned_rejects_its_record(
    turn: dict[str, Any], tmp_path: Path, read: Any
) -> None:
    rows(tmp_path, {"id": "a", "where": [{"bbox": [40, 20, 160, 80], **turn}]})
    got = read("read.jsonl", path="rows.jsonl", boxes="where", box_units="xywh")
    assert got.reasons == {"a": "boxes_unreadable"}
    assert "turned by" in got.rejects[0].detail


@pytest.mark.parametrize("value", [json.dumps({"bbox_2d": [10**400, 1, 2, 3]}), [[[1, 2, 3, 4]]], [True] * 4])
def test_numbers_that_are_none_reject_their_record(value: Any, tmp_path: Path, read: Any) -> None:
    rows(tmp_path, {"id": "a", "where": value}, {"id": "b", "where": [[1, 2, 30, 40]]})
    assert read("read.jsonl", path="rows.jsonl", boxes="where").reasons == {"a": "boxes_unreadable"}
