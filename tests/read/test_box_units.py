"""Units that the objects of boxes state themselves are read, or the record is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.box_files import rows


@pytest.mark.parametrize(
    "where",
    [
        {"bbox": [40, 20, 160, 80], "bbox_mode": 1},
        {"bbox": [40, 20, 200, 100], "bbox_mode": 0},
        {"bbox": [40, 20, 160, 80], "bbox_mode": "BoxMode.XYWH_ABS"},
        {"bbox": [0.1, 0.1, 0.5, 0.5], "bbox_mode": 2},
        {"bbox": [40, 20, 160, 80], "bbox_type": "xywh"},
        {"bbox": [40, 20, 160, 80], "format": "coco"},
        {"bbox": [100, 100, 500, 500], "bbox_type": "norm_1000"},
        {"bbox": [0.1, 0.1, 0.5, 0.5], "bbox_type": "norm1"},
        {"bbox": [0.1, 0.1, 0.5, 0.5], "normalized": True},
        {"bbox": [40, 20, 200, 100], "normalized": False, "bbox_type": "real"},
        {"bbox": [10, 10, 40, 40], "unit": "percent", "bbox_format": "xywh"},
        {"x": 10, "y": 10, "width": 40, "height": 40, "unit": "percent"},
        {"bbox": [40, 20, 200, 100], "unit": "px"},
        {"bbox": [40, 20, 200, 100], "unit": "kg", "format": "png"},
        {"bbox": [[40, 20, 160, 80]], "bbox_mode": 1},
    ],
)
def test_units_that_an_object_states_are_read(where: Any, tmp_path: Path, read: Any) -> None:
    rows(tmp_path, {"id": "a", "where": where})
    got = read("read.jsonl", path="rows.jsonl", boxes="where")
    assert got.rejects == []
    assert got.column("boxes")[0][0]["box"] == pytest.approx([40, 20, 200, 100])
    assert got.warnings == []


@pytest.mark.parametrize(
    ("where", "units"),
    [
        ({"bbox": [10, 10, 50, 50], "unit": "percent"}, None),
        ({"bbox": [0.1, 0.1, 0.4, 0.4], "bbox_mode": 3}, None),
        ({"bbox": [40, 20, 160, 80], "bbox_mode": 4}, None),
        ({"bbox": [40, 20, 160, 80], "bbox_type": "cxcywh"}, None),
        ({"bbox": [40, 20, 160, 80], "bbox_format": ["x"]}, None),
        ({"bbox": [40, 20, 160, 80], "unit": "pt"}, None),
        ({"bbox": [40, 20, 160, 80], "bbox_mode": 1, "bbox_format": "xyxy"}, None),
        ({"bbox": [40, 20, 160, 80], "bbox_mode": 1}, "pixels"),
        ({"bbox": [100, 100, 400, 400], "bbox_type": "norm1000"}, "xywh"),
    ],
)
def test_units_that_are_not_known_or_not_agreed_reject_their_record(
    where: Any, units: str | None, tmp_path: Path, read: Any
) -> None:
    rows(tmp_path, {"id": "a", "where": [where]})
    got = read("read.jsonl", path="rows.jsonl", boxes="where", box_units=units)
    assert got.reasons == {"a": "boxes_unreadable"}


def test_the_recipe_says_what_a_word_that_is_not_known_means(tmp_path: Path, read: Any) -> None:
    rows(tmp_path, {"id": "a", "where": [{"bbox": [100, 100, 500, 500], "bbox_type": "qwen"}]})
    got = read("read.jsonl", path="rows.jsonl", boxes="where", box_units="thousandths")
    assert got.column("boxes")[0][0]["box"] == pytest.approx([40, 20, 200, 100])


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ({"category": ["红块"]}, ("红块", None)),
        ({"label": ["红块"], "text": ["结算"]}, ("红块", "结算")),
        ({"category": [3]}, (None, None)),
    ],
)
def test_lists_of_names_beside_a_list_of_boxes_are_read(
    names: Any, found: Any, tmp_path: Path, read: Any
) -> None:
    rows(tmp_path, {"id": "a", "where": {"bbox": [[40, 20, 200, 100]], **names}})
    [[box]] = read("read.jsonl", path="rows.jsonl", boxes="where").column("boxes")
    assert (box["label"], box["text"]) == found


@pytest.mark.parametrize("key", ["text", "text_content", "transcription"])
def test_the_text_of_a_box_is_read_under_every_usual_key(key: str, tmp_path: Path, read: Any) -> None:
    rows(tmp_path, {"id": "a", "where": [{"bbox_2d": [40, 20, 200, 100], key: "你好"}]})
    got = read("read.jsonl", path="rows.jsonl", boxes="where")
    assert [(found["label"], found["text"]) for found in got.column("boxes")[0]] == [(None, "你好")]
