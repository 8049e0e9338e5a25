"""Boxes of which a source does not say what their numbers are: by their marks, by a parameter, or told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datakit.artifacts.build_folder import BuildFolder
from datakit.library import build
from datakit.verdict import records_of
from tests.support.box_files import picture, rows

QWEN2_VL = "<|object_ref_start|>red<|object_ref_end|><|box_start|>(100,100),(500,500)<|box_end|>"
INTERN_VL = "<ref>red</ref><box>[[100, 100, 500, 500]]</box>"
DEEPSEEK = "<|ref|>red<|/ref|><|det|>[[100, 100, 500, 500]]<|/det|>"
MARKED = [QWEN2_VL, "<ref>red</ref><box>(100,100),(500,500)</box>", INTERN_VL, DEEPSEEK]
JSON = '[{"bbox_2d": [100, 100, 300, 150], "label": "red"}]'


def chat(answer: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": "<image>where?"}, {"from": "gpt", "value": answer}]


@pytest.mark.parametrize("answer", MARKED)
@pytest.mark.parametrize("in_chat", [True, False])
def test_marks_say_that_boxes_are_thousandths(answer: str, in_chat: bool, tmp_path: Path, read: Any) -> None:
    rows(tmp_path, {"id": "a", "where": chat(answer) if in_chat else answer})
    got = read("read.jsonl", path="rows.jsonl", boxes="where")
    assert (got.rejects, got.unclear, got.warnings) == ([], [], [])
    [(found,)] = got.column("boxes")
    assert (found["box"], found["label"]) == ([40, 20, 200, 100], "red")


def test_a_parameter_goes_before_marks(tmp_path: Path, read: Any) -> None:
    rows(tmp_path, {"id": "a", "where": "<box>(100,100),(300,150)</box>"})
    got = read("read.jsonl", path="rows.jsonl", boxes="where", box_units="pixels")
    assert got.column("boxes")[0][0]["box"] == [100, 100, 300, 150]
    assert got.unclear == []


@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        ("<box>(100,100),(1300,150)</box>", "box_units: pixels"),
        (
            "<ref>a</ref><box>[[1, 2, 30, 40]]</box><ref>b</ref><box>[[1, 2, 30, 4000]]</box>",
            "box_units: pixels",
        ),
        ("<ref>a</ref><box>[[0.1, 0.1, 0.5, 0.5]]</box>", "box_units: shares"),
    ],
)
def test_marks_that_the_numbers_contradict_reject_their_record(
    answer: str, remedy: str, tmp_path: Path, read: Any
) -> None:
    rows(tmp_path, {"id": "bad", "where": answer}, {"id": "good", "where": INTERN_VL})
    got = read("read.jsonl", path="rows.jsonl", boxes="where")
    assert got.reasons == {"bad": "boxes_unreadable"}
    assert remedy in got.rejects[0].detail


@pytest.mark.parametrize(
    "answer", ["<loc0100><loc0200><loc0300><loc0400> red", "<bbox>1, 2, 30, 40</bbox>", "red<loc_1><loc_2>"]
)
def test_marks_that_are_not_read_reject_their_record(answer: str, tmp_path: Path, read: Any) -> None:
    rows(tmp_path, {"id": "bad", "where": chat(answer)}, {"id": "good", "where": chat(INTERN_VL)})
    assert read("read.jsonl", path="rows.jsonl", boxes="where").reasons == {"bad": "boxes_unreadable"}


def of_sizes(folder: Path, *where: tuple[Any, tuple[int, int]]) -> None:
    lines = []
    for at, (value, size) in enumerate(where):
        Image.new("RGB", size).save(folder / f"{at}.png")
        lines.append(json.dumps({"id": str(at), "image": f"{at}.png", "where": value}))
    (folder / "rows.jsonl").write_text("\n".join(lines), "utf-8")


SMALL, HIGH = (800, 600), (1080, 2340)


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ([(JSON, SMALL)], True),
        ([([[100, 100, 300, 150]], SMALL)], True),
        ([({"bbox": [100, 100, 300, 150]}, SMALL)], True),
        ([("red(100,100),(300,150)", SMALL)], True),
        ([([[100, 100, 300, 150]], HIGH)] * 9, True),  # none of nine on tall pictures is below 1000
        ([([[100, 100, 300, 150]], SMALL)] * 4, False),  # all within, as thousandths would hardly be
        ([([[100, 100, 300, 150]], HIGH)] * 9 + [([[100, 100, 300, 1150]], HIGH)], False),
        ([({"ref": ["red"], "bbox": [[100, 100, 300, 150]]}, HIGH)], False),  # ms-swift: real
        ([(chat(JSON), (200, 160)), (chat(INTERN_VL), SMALL)], False),
        ([([], HIGH)], False),
    ],
)
def test_boxes_that_may_be_pixels_or_thousandths_are_told(
    where: list[Any], told: bool, tmp_path: Path, read: Any
) -> None:
    of_sizes(tmp_path, *where)
    got = read("read.jsonl", path="rows.jsonl", boxes="where")
    assert got.rejects == []
    assert bool(got.unclear) is told
    if told:
        assert got.unclear[0].startswith(f"{len(where)} with boxes that may be pixels or thousandths")
        assert "rows.jsonl:1" in got.unclear[0]
    assert read("read.jsonl", path="rows.jsonl", boxes="where", box_units="pixels").unclear == []


def test_boxes_that_fit_as_thousandths_alone_say_so_and_cast_doubt_on_the_others(
    tmp_path: Path, read: Any
) -> None:
    within, outside = [[1, 2, 30, 40]], [[810, 620, 990, 700]]
    of_sizes(tmp_path, *[(within, (200, 160))] * 20, (outside, SMALL))
    got = read("read.jsonl", path="rows.jsonl", boxes="where")
    assert got.reasons == {"20": "box_outside"}
    assert "box_units: thousandths" in got.rejects[0].detail
    assert [words[:2] for words in got.unclear] == ["20"]


def test_a_chat_with_marked_boxes_and_others_is_told(tmp_path: Path, read: Any) -> None:
    of_sizes(tmp_path, ([*chat(INTERN_VL), *chat('{"bbox_2d": [1, 2, 30, 40]}')], (200, 160)))
    got = read("read.jsonl", path="rows.jsonl", boxes="where")
    assert [entry["box"] for entry in got.column("boxes")[0]] == [[20, 16, 100, 80], [1, 2, 30, 40]]
    assert len(got.unclear) == 1


LABELLED = {"x": 10, "y": 10, "width": 40, "height": 30, "rotation": 0, "rectanglelabels": ["red"]}


def turned(
    folder: Path, orientation: int, size: tuple[int, int], *, sized: bool
) -> dict[str, dict[str, Any]]:
    """Parameters of the readers whose files have a box on a picture that EXIF turns, by reader."""
    picture(folder, "turned.jpg", size, orientation)
    given = {"width": size[0], "height": size[1]} if sized else {}
    sides = [size[0] * 0.1, size[1] * 0.1, size[0] * 0.4, size[1] * 0.3]
    coco = {
        "images": [{"id": 1, "file_name": "turned.jpg", **given}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": sides}],
        "categories": [{"id": 1, "name": "red"}],
    }
    drawn = {f"original_{name}": side for name, side in given.items()}
    region = {"id": "r", "type": "rectanglelabels", "to_name": "image", "value": LABELLED, **drawn}
    tasks = [{"id": 1, "data": {"image": "turned.jpg"}, "annotations": [{"result": [region]}]}]
    row = {"id": "1", "image": "turned.jpg", "where": [[10, 10, 40, 30]]}
    for name, document in (("coco", coco), ("label_studio", tasks), ("json", [row])):
        (folder / f"{name}.json").write_text(json.dumps(document), "utf-8")
    (folder / "rows.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    table = {"boxes": "where", "box_units": "percent"}
    return {
        "read.coco": {"path": "coco.json"},
        "read.label_studio": {"path": "label_studio.json"},
        "read.jsonl": {"path": "rows.jsonl", **table},
        "read.json": {"path": "json.json", **table},
    }


TOLD = ["1 with boxes on a picture that EXIF turns or mirrors"]


@pytest.mark.parametrize("reader", ["read.coco", "read.label_studio", "read.jsonl", "read.json"])
@pytest.mark.parametrize(
    ("orientation", "size"),
    [(2, (100, 80)), (3, (100, 80)), (4, (100, 80)), (5, (100, 100)), (6, (100, 100))],
)
def test_boxes_on_pictures_that_exif_turns_are_told_where_no_size_says_on_which_pixels(
    reader: str, orientation: int, size: tuple[int, int], tmp_path: Path, read: Any
) -> None:
    parameters = turned(tmp_path, orientation, size, sized=True)[reader]
    got = read(reader, **parameters)
    assert [words[: len(TOLD[0])] for words in got.unclear] == TOLD
    assert "boxes_on: stored" in got.unclear[0]
    upright, stored = (read(reader, **parameters, boxes_on=on) for on in ("upright", "stored"))
    assert (upright.unclear, stored.unclear) == ([], [])
    assert got.column("boxes") == upright.column("boxes") != stored.column("boxes")


@pytest.mark.parametrize("reader", ["read.coco", "read.label_studio"])
def test_a_size_that_says_on_which_pixels_boxes_stand_is_enough(
    reader: str, tmp_path: Path, read: Any
) -> None:
    assert read(reader, **turned(tmp_path, 6, (100, 80), sized=True)[reader]).unclear == []
    assert len(read(reader, **turned(tmp_path, 6, (100, 80), sized=False)[reader]).unclear) == 1
    assert read(reader, **turned(tmp_path, 1, (100, 80), sized=False)[reader]).unclear == []


RECIPE = """\
name: unsaid
steps:
  - read.jsonl: {path: ../rows.jsonl, image: image, boxes: where}
  - render.grounding: {tasks: [locate], label_is_text: true}
emit: [llamafactory: {images: link}]
train: {model: Qwen/Qwen2.5-VL-7B-Instruct}
"""


@pytest.mark.fault(
    "boxes may be pixels or thousandths, or on the stored or the upright pixels of a picture that EXIF turns",
    "marks and sizes decide; where none does, the build tells what was assumed, of how many records",
    kind="bounds",
)
def test_what_was_assumed_of_boxes_stands_at_the_end_on_the_card_and_in_the_report(tmp_path: Path) -> None:
    for name in ("recipes", "data_cards"):
        (tmp_path / name).mkdir()
    picture(tmp_path, "turned.jpg", SMALL, 3)
    row = {"id": "a", "image": "turned.jpg", "where": JSON}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    (tmp_path / "recipes" / "unsaid.yaml").write_text(RECIPE, "utf-8")
    folder = BuildFolder(build(tmp_path / "recipes" / "unsaid.yaml", check=False).folder)
    found = {finding.kind: finding for finding in folder.report.verdict}["boxes_unclear"]
    assert (found.state, found.count) == ("warned", 2)
    assert "`box_units`" in found.words
    assert "`boxes_on: stored`" in found.words
    records = records_of(folder, "boxes_unclear")[1]
    assert records is not None
    assert records.collect()["place"].to_list() == ["rows.jsonl:1"] * 2
    card = (tmp_path / "data_cards" / "unsaid.md").read_text("utf-8")
    assert "按转正后的图片读取" in card
