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


@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 7, 8])
def test_boxes_on_stored_pixels_turn_with_their_picture(orientation: int, tmp_path: Path, read: Any) -> None:
    """A red patch on a picture that EXIF turns is where the box says, in the picture as it is decoded."""
    coco(tmp_path)
    image = Image.new("RGB", WIDE, "white")
    image.paste("red", (40, 20, 200, 100))
    exif = image.getexif()
    exif[EXIF_ORIENTATION] = orientation
    image.save(tmp_path / "1.jpg", exif=exif, quality=95)
    [found] = read("read.coco", path="instances.json").column("boxes")[0]
    upright = load_rgb(tmp_path / "1.jpg")
    if orientation == 3:  # its sides say nothing: the box is taken as it stands
        assert found["box"] == SAME[0]["box"]
        return
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
        ({"categories": []}, "annotation 1 is of category 3"),
        ({"annotations": [{"image_id": 7, "caption": "a cart"}]}, "annotation 1 has no `bbox`"),
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
