from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from datakit.core.blur import BLUR, BLUR_COLUMN
from datakit.core.files import FileDigests
from datakit.emit._images import ImageFiles
from datakit.emit._records import with_places

BOX = [20.0, 10.0, 90.0, 30.0]


def noisy(path: Path, seed: int = 0) -> str:
    """A picture of 120 x 80 pixels of which none is like its neighbour."""
    pixels = np.random.default_rng(seed).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return str(path)


def placed(build: Path, rows: list[dict[str, Any]], **settings: Any) -> list[list[str]]:
    """Where the pictures of records stand in a build."""
    schema = {"id": pl.String, "images": pl.List(pl.String), BLUR: BLUR_COLUMN}
    frame = pl.DataFrame([{"id": str(at), **row} for at, row in enumerate(rows)], schema=schema)
    images = ImageFiles(build / "images", settings.pop("how", "link"), None, FileDigests(), 1, **settings)
    result = with_places(*images.place_for(frame, []))["images"].to_list()
    return [list(paths) for paths in result]


def boxes(*sides: list[float], image: int = 0) -> list[dict[str, Any]]:
    return [{"image": image, "box": side} for side in sides]


def test_box_is_smeared_and_the_rest_stays(tmp_path: Path) -> None:
    source = noisy(tmp_path / "a.png")
    before = Path(source).read_bytes()
    ((place,),) = placed(tmp_path, [{"images": [source], BLUR: boxes(BOX)}])
    old, new = (np.asarray(Image.open(path)).astype(int) for path in (source, tmp_path / place))
    assert np.abs(np.diff(new[12:28, 22:88, 0], axis=0)).max() == 0  # no shape is left from line to line
    assert (old[40:] == new[40:]).all()
    assert Path(source).read_bytes() == before


def test_record_without_boxes_keeps_the_very_file(tmp_path: Path) -> None:
    source = noisy(tmp_path / "a.png")
    rows = [{"images": [source], BLUR: None}, {"images": [source], BLUR: boxes(BOX)}]
    (plain,), (blurred,) = placed(tmp_path, rows)
    assert plain != blurred
    assert (tmp_path / plain).read_bytes() == Path(source).read_bytes()


def test_equal_boxes_in_another_order_are_one_file(tmp_path: Path) -> None:
    source, other = noisy(tmp_path / "a.png"), [5.0, 50.0, 60.0, 70.0]
    rows = [{"images": [source], BLUR: boxes(BOX, other)}, {"images": [source], BLUR: boxes(other, BOX)}]
    (first,), (second,) = placed(tmp_path, rows)
    assert first == second


def test_only_the_picture_with_the_box_is_blurred(tmp_path: Path) -> None:
    first, second = noisy(tmp_path / "a.png"), noisy(tmp_path / "b.png", 1)
    ((one, two),) = placed(tmp_path, [{"images": [first, second], BLUR: boxes(BOX, image=1)}])
    assert (tmp_path / one).read_bytes() == Path(first).read_bytes()
    assert (tmp_path / two).read_bytes() != Path(second).read_bytes()


def test_box_over_the_edge_and_one_without_area_are_no_fault(tmp_path: Path) -> None:
    source = noisy(tmp_path / "a.png")
    rows = [{"images": [source], BLUR: boxes([-50.0, -5.0, 500.0, 20.0], [300.0, 300.0, 310.0, 310.0])}]
    ((place,),) = placed(tmp_path, rows)
    assert (tmp_path / place).is_file()


def test_missing_picture_is_left_out_as_ever(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        [{"id": "a", "images": [str(tmp_path / "no.png")], BLUR: boxes(BOX)}],
        schema={"id": pl.String, "images": pl.List(pl.String), BLUR: BLUR_COLUMN},
    )
    rejects: list[Any] = []
    kept, _ = ImageFiles(tmp_path / "images", "link", None, FileDigests(), 1).place_for(frame, rejects)
    assert (kept.height, rejects[0].reason) == (0, "image_missing")
    assert "blurred:" not in rejects[0].detail
