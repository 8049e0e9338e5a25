"""emit.ms_swift: rows, roles, pictures and boxes as ms-swift reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pytest

from datakit.core.errors import RecipeErrors
from datakit.core.outcome import Reject
from datakit.emit.ms_swift import MsSwift
from datakit.read._boxes import BOX_COLUMN
from tests.support.emitter_records import emit, picture, record, several

CARRIED = {"objects": pl.String()}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def boxed(id_: str, *images: Path, content: str, boxes: list[tuple[str, Any, int]]) -> dict[str, Any]:
    """A record with lines of OCR."""
    ocr = [{"text": text, "score": 0.9, "box": box, "image": image} for text, box, image in boxes]
    messages = [{"role": "user", "content": content}, {"role": "assistant", "content": "购物车页面"}]
    return record(id_, *images, messages=messages, ocr=ocr)


def test_rows_are_the_records_with_pictures_in_the_build(tmp_path: Path) -> None:
    given = several(tmp_path)
    folder, artifacts = emit(MsSwift(), tmp_path, given)
    assert {item.path: item.records for item in artifacts} == {
        "shop_swift_train.jsonl": 4,
        "shop_swift_train_text.jsonl": 1,
        "shop_swift_val.jsonl": 1,
        "shop_swift_val_text.jsonl": 1,
        "shop_swift_general.jsonl": 1,
    }
    rows = lines(folder / "shop_swift_train.jsonl")
    assert [row["id"] for row in rows] == ["plain", "dialogue", "plain", "plain"]
    assert rows[1]["messages"] == given[2]["messages"]
    for row in rows:
        places = sum(turn["content"].count("<image>") for turn in row["messages"])
        assert places == len(row["images"])
        assert all((folder / path).is_file() for path in row["images"])
        assert "objects" not in row
    assert all("images" not in row for row in lines(folder / "shop_swift_train_text.jsonl"))


def test_boxes_are_shares_of_the_upright_picture(tmp_path: Path) -> None:
    one, two = picture(tmp_path / "1.jpg", (100, 200)), picture(tmp_path / "2.jpg", (400, 50))
    content = "<image><image>图中文字：<ref-object><bbox>，<ref-object><bbox>。这是什么？"
    boxes = [("结算", [10.0, 20.0, 50.0, 100.0], 0), ("全选", [40.0, 0.0, 500.0, 50.0], 1)]
    rows = [boxed("a", one, two, content=content, boxes=boxes)]
    folder, _ = emit(MsSwift(boxes="ocr", images="resize", image_max_pixels=2000), tmp_path, rows)
    row = lines(folder / "shop_swift_train.jsonl")[0]
    assert row["objects"] == {
        "ref": ["结算", "全选"],
        "bbox": [[0.1, 0.1, 0.5, 0.5], [0.1, 0.0, 1.0, 1.0]],
        "bbox_type": "norm1",
        "image_id": [0, 1],
    }
    assert row["messages"][0]["content"] == content


def test_tags_that_stand_in_a_text_by_chance_are_no_places(tmp_path: Path) -> None:
    one = picture(tmp_path / "1.jpg")
    rows = [boxed("a", one, content="<image>他写道：<bbox>、<video>", boxes=[])]
    folder, _ = emit(MsSwift(), tmp_path, rows)
    assert (
        lines(folder / "shop_swift_train.jsonl")[0]["messages"][0]["content"]
        == "<image>他写道：＜bbox＞、＜video＞"
    )


def test_tokens_in_the_texts_of_boxes_are_escaped(tmp_path: Path) -> None:
    one = picture(tmp_path / "1.jpg")
    boxes = [("<|im_end|><image><bbox>", [0.0, 0.0, 9.0, 9.0], 0)]
    rows = [boxed("a", one, content="<image><ref-object><bbox>", boxes=boxes)]
    folder, _ = emit(MsSwift(boxes="ocr"), tmp_path, rows)
    objects = lines(folder / "shop_swift_train.jsonl")[0]["objects"]
    assert objects["ref"] == ["＜|im_end|＞＜image＞＜bbox＞"]


@pytest.mark.parametrize("content", ["<image><bbox>", "<image><ref-object><bbox><bbox>"])
def test_places_must_be_as_many_as_boxes(tmp_path: Path, content: str) -> None:
    one = picture(tmp_path / "1.jpg")
    boxes = [("结算", [0.0, 0.0, 9.0, 9.0], 0), ("全选", [0.0, 9.0, 9.0, 19.0], 0)]
    left_out: list[Reject] = []
    rows = [boxed("a", one, content=content, boxes=boxes), record("b", one)]
    folder, _ = emit(MsSwift(boxes="ocr"), tmp_path, rows, left_out)
    assert [(reject.id, reject.reason) for reject in left_out] == [("a", "box_places")]
    assert [row["id"] for row in lines(folder / "shop_swift_train.jsonl")] == ["b"]


@pytest.mark.parametrize(
    ("box", "number", "reason"),
    [
        ([0.0, 0.0, 9.0, 9.0], 1, "objects_format"),
        (None, 0, "boxes_unreadable"),
        ([0.0, None, 9.0, 9.0], 0, "boxes_unreadable"),
    ],
    ids=["no such picture", "no box", "half a box"],
)
def test_a_box_that_cannot_be_placed_leaves_its_record_out(
    tmp_path: Path, box: Any, number: int, reason: str
) -> None:
    one = picture(tmp_path / "1.jpg")
    left_out: list[Reject] = []
    rows = [boxed("a", one, content="<image><bbox>", boxes=[("x", box, number)]), record("b", one)]
    emit(MsSwift(boxes="ocr"), tmp_path, rows, left_out)
    assert [(reject.id, reject.reason) for reject in left_out] == [("a", reason)]


def test_turns_of_tools_get_the_names_of_ms_swift(tmp_path: Path) -> None:
    roles = ["user", "function_call", "observation", "assistant"]
    turns = [{"role": role, "content": f"{role} {number}"} for number, role in enumerate(roles)]
    folder, _ = emit(MsSwift(), tmp_path, [record("tools", messages=turns)])
    row = lines(folder / "shop_swift_train.jsonl")[0]
    assert [turn["role"] for turn in row["messages"]] == ["user", "tool_call", "tool_response", "assistant"]


def test_datasets_loads_rows_with_and_without_boxes_together(tmp_path: Path) -> None:
    one = picture(tmp_path / "1.jpg", (100, 200))
    boxes = [("结算", [10.0, 20.0, 50.0, 100.0], 0)]
    rows = [
        boxed("without", one, content="<image>这是什么？", boxes=boxes),
        boxed("with", one, content="<image><ref-object><bbox>这是什么？", boxes=boxes),
    ]
    folder, _ = emit(MsSwift(boxes="ocr"), tmp_path, rows)
    found = datasets.load_dataset(
        "json",
        data_files=str(folder / "shop_swift_train.jsonl"),
        split="train",
        cache_dir=str(tmp_path / "c"),
    )
    assert [len(row["objects"]["bbox"]) for row in found] == [0, 1]


@pytest.mark.parametrize("parameters", [{"images": "resize"}, {"image_max_pixels": 1000}])
def test_limit_and_resize_belong_together(parameters: dict[str, Any]) -> None:
    with pytest.raises(RecipeErrors):
        MsSwift(**parameters)


def test_boxes_are_called_by_their_label_or_else_their_text(tmp_path: Path) -> None:
    one = picture(tmp_path / "1.jpg", (100, 200))
    turns = [
        {"role": "user", "content": "<image>找<ref-object>和<ref-object>"},
        {"role": "assistant", "content": "<bbox><bbox>"},
    ]
    boxes = [
        {"image": 0, "box": [10.0, 20.0, 50.0, 100.0], "label": "红块", "text": None},
        {"image": 0, "box": [0.0, 0.0, 50.0, 100.0], "label": None, "text": "结算"},
    ]
    left_out: list[Reject] = []
    rows = [
        record("a", one, messages=turns, boxes=boxes),
        record("b", one, messages=turns, boxes=[boxes[0], {**boxes[1], "text": None}]),
        record("c", one, messages=turns, boxes=[boxes[0], {**boxes[1], "box": [60.0, 50.0, 20.0, 10.0]}]),
    ]
    folder, _ = emit(MsSwift(boxes="boxes"), tmp_path, rows, left_out, {"boxes": BOX_COLUMN})
    [row] = lines(folder / "shop_swift_train.jsonl")
    assert row["objects"]["ref"] == ["红块", "结算"]
    assert [(reject.id, reject.reason) for reject in left_out] == [("b", "box_places"), ("c", "box_empty")]


@pytest.mark.parametrize("kind", ["real", "norm1"])
@pytest.mark.parametrize(
    ("box", "outcome"),
    [
        ([60, 40, 300, 200], [0.1, 0.1, 0.5, 0.5]),
        ([540, 40, 660, 200], [0.9, 0.1, 1.0, 0.5]),
        ([60, 40], [0.1, 0.1]),
        ([0, 0, 60, 0, 60, 40], [0, 0, 0.1, 0, 0.1, 0.1]),
        ([700, 500, 900, 800], "box_outside"),
        ([-300, -200, 60, 40], "box_outside"),
        ([601, 40], "box_outside"),
        ([300, 200, 60, 40], "box_empty"),
        ([], "boxes_unreadable"),
    ],
)
def test_boxes_that_chats_came_with_are_checked(
    tmp_path: Path, box: list[int], outcome: Any, kind: str
) -> None:
    one = picture(tmp_path / "1.jpg", (600, 400))
    turns = [{"role": "user", "content": "<image>找<ref-object>"}, {"role": "assistant", "content": "<bbox>"}]
    given = box if kind == "real" else [value / (600, 400)[at % 2] for at, value in enumerate(box)]
    objects = json.dumps({"ref": ["猫"], "bbox": [given], "bbox_type": kind})
    left_out: list[Reject] = []
    rows = [record("a", one, messages=turns, objects=objects), record("b", one)]
    folder, _ = emit(MsSwift(), tmp_path, rows, left_out, CARRIED)
    written = [row["objects"] for row in lines(folder / "shop_swift_train.jsonl") if "objects" in row]
    if isinstance(outcome, str):
        assert ([(reject.id, reject.reason) for reject in left_out], written) == ([("a", outcome)], [])
    else:
        assert (left_out, written[0]["bbox"], written[0]["bbox_type"]) == ([], [outcome], "norm1")


def test_boxes_in_units_that_ms_swift_does_not_know_leave_their_chat_out(tmp_path: Path) -> None:
    one = picture(tmp_path / "1.jpg", (600, 400))
    objects = json.dumps({"bbox": [[60, 40, 300, 200]], "bbox_type": "norm1000"})
    left_out: list[Reject] = []
    rows = [record("a", one, objects=objects), record("b", one)]
    emit(MsSwift(), tmp_path, rows, left_out, CARRIED)
    assert [(reject.id, reject.reason) for reject in left_out] == [("a", "objects_format")]
