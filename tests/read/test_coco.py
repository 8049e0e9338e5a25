"""read.coco: a record per picture, its boxes in pixels of the upright picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datakit.core.errors import UserError
from datakit.core.image import load_rgb
from tests.support.box_files import EXIF_ORIENTATION, SAME, WIDE, picture, rows
from tests.support.in_chinese import english_left


def coco(folder: Path, **changes: Any) -> None:
    document = {
        "images": [
            {"id": 7, "file_name": "1.jpg", "width": 400, "height": 200},
            {"id": 8, "file_name": "2.jpg", "width": 100, "height": 100},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [40, 20, 160, 80], "iscrowd": 0, "area": 1},
            {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 1, 1], "iscrowd": 1},
            {"id": 3, "image_id": 9, "category_id": 3, "bbox": [0, 0, 1, 1]},
        ],
        "categories": [{"id": 3, "name": "结算按钮", "supercategory": "按钮"}],
        **changes,
    }
    rows(folder)
    (folder / "instances.json").write_text(json.dumps(document, ensure_ascii=False), "utf-8")


def test_a_coco_file_is_a_record_per_picture(tmp_path: Path, read: Any) -> None:
    coco(tmp_path)
    got = read("read.coco", path="instances.json")
    assert got.column("id") == ["7", "8"]
    assert got.column("boxes") == [SAME, []]
    assert [Path(images[0]).name for images in got.column("images")] == ["1.jpg", "2.jpg"]
    assert got.warnings == [
        "instances.json: 1 boxes of crowds (`iscrowd`) are left out",
        "instances.json: 1 annotations are of pictures that the file does not list",
    ]
    assert english_left(got.warnings) == ["instances.json", "instances.json"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_on_stored_pixels_turn_with_their_picture(orientation: int, tmp_path: Path, read: Any) -> None:
    """A red patch on a picture that EXIF turns is where the box says, in the picture as it is decoded."""
    coco(tmp_path)
    image = Image.new("RGB", WIDE, "white")
    image.paste("red", (40, 20, 200, 100))
    exif = image.getexif()
    exif[EXIF_ORIENTATION] = orientation
    image.save(tmp_path / "1.jpg", exif=exif, quality=95)
    by_size = orientation == 1 or orientation >= 5
    on = {} if by_size else {"boxes_on": "stored"}
    got = read("read.coco", path="instances.json", **on)
    [found] = got.column("boxes")[0]
    assert got.unclear == []
    upright = load_rgb(tmp_path / "1.jpg")
    left, top, right, bottom = (int(side) for side in found["box"])
    red = [
        (x, y)
        for x in range(0, upright.width, 4)
        for y in range(0, upright.height, 4)
        if upright.getpixel((x, y))[1] < 128
    ]
    assert all(left <= x <= right and top <= y <= bottom for x, y in red)
    assert len(red) == pytest.approx((right - left) * (bottom - top) / 16, rel=0.01)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"categories": []},
            "annotation 1 is of category 3, which `categories` does not list",
        ),
        (
            {"annotations": [{"id": 90 + at, "image_id": 7, "bbox": [1, 2, 3, 4]} for at in range(5)]},
            r"5 annotations \(90, 91, 92 and 2 more\) are of category None",
        ),
        (
            {"annotations": [{"id": at, "image_id": 7} for at in (41, 57)]},
            r"2 annotations \(41, 57\) have no `bbox`",
        ),
        ({"annotations": [{"image_id": 7, "caption": "a cart"}]}, "captions as COCO has them"),
        ({"annotations": [{"image_id": 7}]}, "annotation at place 1 has no `bbox`"),
        ({"annotations": {}}, "no COCO file"),
        (
            {"images": [{"id": 7, "file_name": "1.jpg"}, {"id": 7, "file_name": "2.jpg"}]},
            "2 times in `images`",
        ),
        ({"categories": [{"id": 3, "name": "cat"}, {"id": 3, "name": "horse"}]}, "2 times in `categories`"),
    ],
)
def test_a_file_that_is_no_coco_of_boxes_is_an_error(
    changes: dict[str, Any], words: str, tmp_path: Path, read: Any
) -> None:
    coco(tmp_path, **changes)
    with pytest.raises(UserError, match=words):
        read("read.coco", path="instances.json")


def test_a_coco_picture_of_another_size_is_rejected(tmp_path: Path, read: Any) -> None:
    coco(tmp_path, images=[{"id": 7, "file_name": "1.jpg", "width": 800, "height": 400}])
    assert read("read.coco", path="instances.json").reasons == {"7": "box_other_size"}


def of_size(width: Any, height: Any) -> list[dict[str, Any]]:
    return [{"id": 7, "file_name": "1.jpg", "width": width, "height": height}]


@pytest.mark.parametrize("kind", [float, str, lambda side: f" {side}.0 "])
def test_sizes_in_other_notations_are_compared_too(kind: Any, tmp_path: Path, read: Any) -> None:
    coco(tmp_path, images=of_size(kind(400), kind(200)))
    assert read("read.coco", path="instances.json").column("boxes") == [SAME]
    coco(tmp_path, images=of_size(kind(800), kind(400)))
    assert read("read.coco", path="instances.json").reasons == {"7": "box_other_size"}


@pytest.mark.parametrize("kind", [float, str])
def test_boxes_turn_with_their_picture_whatever_its_size_is_written_as(
    kind: Any, tmp_path: Path, read: Any
) -> None:
    coco(tmp_path, images=of_size(kind(400), kind(200)))
    picture(tmp_path, "1.jpg", orientation=6)
    [[found]] = read("read.coco", path="instances.json").column("boxes")
    assert found["box"] == [100, 40, 180, 200]


@pytest.mark.parametrize(
    "size", [("wide", 200), (400.5, 200), (400, None), (True, True), ("nan", 1), ("", ""), ([400], [200])]
)
def test_a_size_that_is_none_rejects_its_boxes(size: Any, tmp_path: Path, read: Any) -> None:
    coco(tmp_path, images=of_size(*size))
    assert read("read.coco", path="instances.json").reasons == {"7": "box_other_size"}


def test_a_file_without_sizes_is_read_as_it_stands(tmp_path: Path, read: Any) -> None:
    coco(tmp_path, images=[{"id": 7, "file_name": "1.jpg"}])
    assert read("read.coco", path="instances.json").column("boxes") == [SAME]


def annotation(**changes: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 7, "category_id": 3, "bbox": [120, 60, 160, 80], **changes}


@pytest.mark.fault(
    "a COCO file has rectangles that CVAT turned (`attributes.rotation`)",
    "boxes are the upright ones around them; a turn about a point that nothing names rejects the record",
    kind="bounds",
)
@pytest.mark.parametrize(
    ("turn", "sides"),
    [
        (0, [120, 60, 280, 140]),
        (90, [160, 20, 240, 180]),
        ("90.0", [160, 20, 240, 180]),
        (-90, [160, 20, 240, 180]),
        (180, [120, 60, 280, 140]),
        (360, [120, 60, 280, 140]),
        (45, [200 - 120 / 2**0.5, 100 - 120 / 2**0.5, 200 + 120 / 2**0.5, 100 + 120 / 2**0.5]),
    ],
)
def test_a_rectangle_that_cvat_turned_becomes_the_upright_one_around_it(
    turn: Any, sides: list[float], tmp_path: Path, read: Any
) -> None:
    coco(tmp_path, annotations=[annotation(attributes={"occluded": False, "rotation": turn})])
    [found] = read("read.coco", path="instances.json").column("boxes")[0]
    assert found["box"] == pytest.approx(sides)


def test_a_turned_rectangle_holds_every_pixel_of_what_it_was_drawn_around(tmp_path: Path, read: Any) -> None:
    """A red rectangle that Pillow turns by 30 degrees about its centre fills the box from edge to edge."""
    coco(tmp_path, annotations=[annotation(attributes={"rotation": 30})])
    image = Image.new("RGB", WIDE, "white")
    image.paste("red", (120, 60, 280, 140))
    turned = image.rotate(-30, center=(200, 100), fillcolor="white", resample=Image.Resampling.BICUBIC)
    turned.save(tmp_path / "1.jpg", quality=95)
    [found] = read("read.coco", path="instances.json").column("boxes")[0]
    mask = turned.getchannel("G").point(lambda value: 255 * (value < 128))
    assert found["box"] == pytest.approx(mask.getbbox(), abs=2)


@pytest.mark.parametrize(
    "changes",
    [
        {"attributes": {"rotation": "left"}},
        {"attributes": {"rotation": [1]}},
        {"attributes": {"rotation": True}},
    ],
)
def test_a_turn_that_is_no_number_rejects_its_picture(
    changes: dict[str, Any], tmp_path: Path, read: Any
) -> None:
    coco(tmp_path, annotations=[annotation(**changes)])
    got = read("read.coco", path="instances.json")
    assert got.reasons == {"7": "boxes_unreadable"}
    assert "annotation" not in got.rejects[0].detail
    assert "turned by" in got.rejects[0].detail


@pytest.mark.parametrize("sides", [[120, 60, -20, 80], [120, 60, 0, 80]])
@pytest.mark.parametrize("turn", [0, 90])
def test_a_box_without_an_area_stays_one_however_it_is_turned(
    turn: int, sides: list[int], tmp_path: Path, read: Any
) -> None:
    coco(tmp_path, annotations=[annotation(bbox=sides, attributes={"rotation": turn})])
    assert read("read.coco", path="instances.json").reasons == {"7": "box_empty"}


@pytest.mark.parametrize("image", [7, 7.0, "7"])
@pytest.mark.parametrize("category", [3, 3.0, "3"])
def test_ids_join_whatever_they_are_written_as(image: Any, category: Any, tmp_path: Path, read: Any) -> None:
    entry = annotation(image_id=image, category_id=category, bbox=[40, 20, 160, 80], iscrowd="0")
    coco(tmp_path, annotations=[entry])
    got = read("read.coco", path="instances.json")
    assert (got.column("boxes"), got.warnings) == ([SAME, []], [])


@pytest.mark.parametrize("value", [[7], {"a": 1}, None])
def test_ids_that_are_none_are_told(value: Any, tmp_path: Path, read: Any) -> None:
    coco(tmp_path, annotations=[annotation(image_id=value)])
    strange = ["instances.json: 1 annotations are of pictures that the file does not list"]
    assert read("read.coco", path="instances.json").warnings == strange
    coco(tmp_path, annotations=[annotation(category_id=value)])
    with pytest.raises(UserError, match="annotation 1 is of category"):
        read("read.coco", path="instances.json")


def test_boxes_in_shares_of_the_sides_are_no_coco(tmp_path: Path, read: Any) -> None:
    coco(tmp_path, annotations=[annotation(bbox=[0.1, 0.1, 0.4, 0.4])])
    with pytest.raises(UserError, match="shares of the sides"):
        read("read.coco", path="instances.json")


@pytest.mark.parametrize("sides", [[], None, [1, 2, 3], ["1", "2", "3", "4"], [1e308, 0, 1e308, 1], {}])
def test_a_bbox_that_is_none_rejects_its_picture(sides: Any, tmp_path: Path, read: Any) -> None:
    segments = [[10, 10, 50, 10, 50, 50]]
    coco(tmp_path, annotations=[annotation(bbox=sides, segmentation=segments)])
    assert set(read("read.coco", path="instances.json").reasons) == {"7"}
