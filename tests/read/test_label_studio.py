"""read.label_studio: rectangles that people drew become boxes of the upright picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datakit.core.errors import UserError
from tests.support.box_files import SAME, box, rows
from tests.support.in_chinese import english_left


def region(kind: str, id_: str, **value: Any) -> dict[str, Any]:
    return {"id": id_, "type": kind, "original_width": 400, "original_height": 200, "value": value}


PLACE = {"x": 10, "y": 10, "width": 40, "height": 40, "rotation": 0}
TASK: dict[str, Any] = {
    "id": 12,
    "data": {"title": "first", "image": "/data/upload/3/1.jpg"},
    "annotations": [
        {"was_cancelled": True, "result": []},
        {
            "result": [
                region("rectanglelabels", "r1", **PLACE, rectanglelabels=["结算按钮"]),
                region("polygonlabels", "p1", points=[[1, 1]], polygonlabels=["a"]),
                {"id": "c", "type": "choices", "value": {"choices": ["购物车页面"]}},
            ]
        },
    ],
}


def tasks(folder: Path, *found: dict[str, Any]) -> None:
    rows(folder)
    (folder / "tasks.json").write_text(json.dumps(found, ensure_ascii=False), "utf-8")


def test_rectangles_of_label_studio_are_boxes(tmp_path: Path, read: Any) -> None:
    tasks(tmp_path, TASK, {"id": 13, "data": {"image": "/data/local-files/?d=2.jpg"}, "annotations": []})
    got = read("read.label_studio", path="tasks.json")
    assert got.column("boxes") == [SAME, []]
    assert got.column("label") == ["购物车页面", None]
    assert [Path(images[0]).name for images in got.column("images")] == ["1.jpg", "2.jpg"]
    assert got.warnings == ["1 shapes of the type polygonlabels left out"]


def test_a_second_choice_and_a_second_opinion_are_told(tmp_path: Path, read: Any) -> None:
    def choice(tag: str, *names: str) -> dict[str, Any]:
        return {"id": tag, "from_name": tag, "type": "choices", "value": {"choices": list(names)}}

    def chose(*names: str) -> dict[str, Any]:
        return {"result": [choice("page", *names)]}

    data = {"image": "/data/upload/3/1.jpg"}
    two_tags = {"result": [choice("page", "购物车页面"), choice("quality", "模糊", "歪斜")]}
    tasks(
        tmp_path,
        {"id": 1, "data": data, "annotations": [chose("购物车页面", "退款页面")]},
        {"id": 2, "data": data, "annotations": [chose("购物车页面"), chose("退款页面"), chose("购物车页面")]},
        {"id": 3, "data": data, "annotations": [two_tags]},
    )
    got = read("read.label_studio", path="tasks.json")
    assert got.column("label") == ["购物车页面"] * 3
    assert got.warnings == [
        "1 further choices of a picture, which has one label, left out",
        "2 further annotations of a task left out",
        "1 annotations of a task that disagree with its first about the choice left out",
        "2 choices of the tag `quality` of a picture, which has one label, left out",
    ]
    tasks(tmp_path, {"id": 4, **data, "choice": "购物车页面", "quality": {"choices": ["模糊", "歪斜"]}})
    short = read("read.label_studio", path="tasks.json")
    assert (short.column("label"), short.warnings) == (["购物车页面"], got.warnings[3:])
    assert english_left(got.warnings) == []


def test_what_was_typed_for_a_rectangle_is_its_text(tmp_path: Path, read: Any) -> None:
    result = [
        region("rectangle", "r1", **PLACE),
        region("labels", "r1", **PLACE, labels=["按钮"]),
        region("textarea", "r1", **PLACE, text=["去结算"]),
    ]
    tasks(tmp_path, {**TASK, "annotations": [{"result": result}]})
    got = read("read.label_studio", path="tasks.json")
    assert got.column("boxes") == [[box(40, 20, 200, 100, label="按钮", text="去结算")]]


def test_the_short_export_is_read_too(tmp_path: Path, read: Any) -> None:
    shape = {**PLACE, "rectanglelabels": ["结算按钮"], "original_width": 400, "original_height": 200}
    tasks(tmp_path, {"id": 1, "image": "/data/upload/3/1.jpg", "label": [shape], "annotator": 1})
    assert read("read.label_studio", path="tasks.json").column("boxes") == [SAME]


def test_a_turned_rectangle_becomes_the_upright_one_around_it(tmp_path: Path, read: Any) -> None:
    shape = {**PLACE, "x": 50, "rotation": 90}  # 160 x 80 px, a quarter clockwise about (200, 20)
    tasks(tmp_path, {**TASK, "annotations": [{"result": [region("rectanglelabels", "r", **shape)]}]})
    [found] = read("read.label_studio", path="tasks.json").column("boxes")[0]
    assert found["box"] == pytest.approx([120, 20, 200, 180])


def test_addresses_are_rejected_and_an_export_without_pictures_is_an_error(tmp_path: Path, read: Any) -> None:
    tasks(tmp_path, {**TASK, "data": {"image": "https://example.org/a/1.jpg"}})
    assert read("read.label_studio", path="tasks.json").reasons == {"12": "image_not_a_path"}
    tasks(tmp_path, {**TASK, "data": {"text": "no picture"}})
    with pytest.raises(UserError, match="no task names a picture"):
        read("read.label_studio", path="tasks.json")


def on(picture: str, **changes: Any) -> dict[str, Any]:
    return {
        **region("rectanglelabels", f"on {picture}", **PLACE, rectanglelabels=["a"]),
        "to_name": picture,
    } | changes


SMALL = {"original_width": 100, "original_height": 100}
TWO = {"image": "1.jpg", "image2": "2.jpg"}
PAGES = {"pages": ["1.jpg", "2.jpg"]}


@pytest.mark.parametrize(
    ("data", "regions", "picture", "sides"),
    [
        (TWO, [on("image")], "1.jpg", [40, 20, 200, 100]),
        (TWO, [on("image2", **SMALL)], "2.jpg", [10, 10, 50, 50]),
        (PAGES, [on("pages")], "1.jpg", [40, 20, 200, 100]),
        (PAGES, [on("pages", item_index=1, **SMALL)], "2.jpg", [10, 10, 50, 50]),
        ({"pages": ["1.jpg"]}, [on("pages", item_index=0)], "1.jpg", [40, 20, 200, 100]),
        ({"image": "1.jpg"}, [on("img")], "1.jpg", [40, 20, 200, 100]),
    ],
)
def test_a_record_has_the_picture_that_its_boxes_are_on(
    data: dict[str, Any], regions: list[Any], picture: str, sides: list[int], tmp_path: Path, read: Any
) -> None:
    tasks(tmp_path, {"id": 1, "data": data, "annotations": [{"result": regions}]})
    got = read("read.label_studio", path="tasks.json")
    assert [Path(path).name for path in got.column("images")[0]] == [picture]
    assert got.column("boxes")[0][0]["box"] == sides
    assert ("1 further pictures of a task left out" in got.warnings) == (data in (TWO, PAGES))


@pytest.mark.parametrize(
    ("data", "regions", "reason"),
    [
        (TWO, [on("image"), on("image2")], "box_picture"),
        (TWO, [on("left")], "box_picture"),
        (PAGES, [on("pages"), on("pages", item_index=1)], "box_picture"),
        ({"image": "1.jpg"}, [on("image"), on("image", id="b", original_width=800)], "box_other_size"),
        (
            {"image": "1.jpg"},
            [on("image", original_width=800), {"type": "choices", "value": {"choices": ["a"]}}],
            "box_other_size",
        ),
    ],
)
def test_boxes_on_several_pictures_or_sizes_reject_their_task(
    data: dict[str, Any], regions: list[Any], reason: str, tmp_path: Path, read: Any
) -> None:
    tasks(
        tmp_path,
        {"id": 1, "data": data, "annotations": [{"result": regions}]},
        {"id": 2, "data": {"image": "1.jpg"}, "annotations": []},
    )
    got = read("read.label_studio", path="tasks.json")
    assert list(got.reasons.values()) == [reason]
    assert got.column("id") == ["2"]


def test_what_the_short_export_has_beside_rectangles_is_read_or_counted(tmp_path: Path, read: Any) -> None:
    sizes = {"original_width": 400, "original_height": 200}
    task = {
        "id": 1,
        "image": "1.jpg",
        "bbox": [{**PLACE, **sizes}],
        "label": [
            {**PLACE, **sizes, "labels": ["结算按钮"]},
            {"points": [[1, 2], [3, 4], [5, 6]], "polygonlabels": ["a"], **sizes},
            {"x": 10, "y": 10, "width": 0.5, "keypointlabels": ["b"], **sizes},
        ],
        "transcription": ["去结算"],
        "choice": "购物车页面",
    }
    tasks(tmp_path, task)
    got = read("read.label_studio", path="tasks.json")
    assert got.reasons == {}
    assert (got.column("boxes"), got.column("label")) == ([SAME], ["购物车页面"])
    assert sorted(got.warnings) == [
        "1 shapes of the type keypointlabels left out",
        "1 shapes of the type polygonlabels left out",
        "1 texts of `transcription`, which JSON-MIN gives to no rectangle (export as JSON), left out",
    ]


@pytest.mark.parametrize("turn", ["left", [90], True])
def test_a_turn_that_is_no_number_rejects_its_task(turn: Any, tmp_path: Path, read: Any) -> None:
    shape = {**PLACE, "rotation": turn}
    tasks(tmp_path, {**TASK, "annotations": [{"result": [region("rectanglelabels", "r", **shape)]}]})
    assert read("read.label_studio", path="tasks.json").reasons == {"12": "boxes_unreadable"}


def test_boxes_on_a_picture_that_was_turned_in_the_editor_reject_their_task(
    tmp_path: Path, read: Any
) -> None:
    turned = region("rectanglelabels", "r", **PLACE) | {"image_rotation": 90}
    short = {**PLACE, "rectanglelabels": ["a"], "original_width": 400, "original_height": 200}
    tasks(
        tmp_path,
        {**TASK, "annotations": [{"result": [turned]}]},
        {"id": 13, "image": "1.jpg", "label": [{**short, "image_rotation": 270}]},
        {"id": 14, "image": "1.jpg", "label": [{**short, "image_rotation": 0}]},
    )
    got = read("read.label_studio", path="tasks.json")
    assert list(got.reasons.values()) == ["boxes_unreadable"] * 2
    assert got.column("id") == ["14"]
