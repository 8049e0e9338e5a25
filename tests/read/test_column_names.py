"""Readers know what the field calls pictures, labels and texts, and say in one line what they took."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from datakit.core.errors import UserError
from datakit.core.outcome import Batch
from datakit.core.parameters import validated
from datakit.core.registry import find
from datakit.core.step_context import StepContext
from datakit.core.transform import Reader


def table(folder: Path, *rows: dict[str, str]) -> None:
    with open(folder / "rows.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def note_of(folder: Path, **parameters: Any) -> str:
    """The line that a build and its card show."""
    reader = validated(find("read.csv"), {"path": "rows.csv", **parameters})
    assert isinstance(reader, Reader)
    batches: list[Batch] = list(reader.read(StepContext(base=folder, project=folder)))
    return "".join(batch.notes.get("columns", "") for batch in batches)


@pytest.mark.parametrize(
    "name",
    [
        *("image", "images", "file_name", "File Name", "img", "IMG_PATH", "path", "image-path", "filename"),
        *("ImagePath", "picture", "图片", "图片路径", " 图片 "),
    ],
)
def test_a_column_of_pictures_is_known_by_its_name(name: str, tmp_path: Path, read: Any) -> None:
    table(tmp_path, {"id": "a", name: "x/1.jpg", "label": "c"})
    assert read("read.csv", path="rows.csv").column("images") == [[str(tmp_path / "x/1.jpg")]]


@pytest.mark.parametrize(
    "name", ["label", "Label", "category", "class", "GT", "类别", "标签", "class name", "分类"]
)
def test_a_column_of_labels_is_known_by_its_name(name: str, tmp_path: Path, read: Any) -> None:
    table(tmp_path, {"id": "a", "image": "1.jpg", name: "购物车"})
    assert read("read.csv", path="rows.csv").column("label") == ["购物车"]


def test_what_was_taken_is_said_in_one_line(tmp_path: Path) -> None:
    table(tmp_path, {"id": "a", "file_name": "1.jpg", "类别": "c"})
    assert note_of(tmp_path) == "took `file_name` as picture, `类别` as label"


def test_usual_names_need_no_word(tmp_path: Path) -> None:
    table(tmp_path, {"id": "a", "image": "1.jpg", "label": "c", "note": "n"})
    assert note_of(tmp_path) == ""


def test_of_two_labels_the_more_usual_is_taken_and_the_other_named(tmp_path: Path, read: Any) -> None:
    table(tmp_path, {"id": "a", "image": "1.jpg", "gt": "two", "category": "one"})
    assert read("read.csv", path="rows.csv").column("label") == ["one"]
    assert note_of(tmp_path) == "took `category` as label (not `gt`)"


def test_a_column_that_names_no_picture_is_not_taken_for_one(tmp_path: Path, read: Any) -> None:
    table(
        tmp_path, {"id": "a", "path": "home/phones", "img": "1.jpg"}, {"id": "b", "path": "", "img": "2.jpg"}
    )
    assert [len(paths) for paths in read("read.csv", path="rows.csv").column("images")] == [1, 1]
    assert note_of(tmp_path) == "took `img` as picture"


def test_two_columns_that_name_pictures_are_refused(tmp_path: Path, read: Any) -> None:
    table(tmp_path, {"id": "a", "file_name": "1.jpg", "img_path": "2.jpg"})
    with pytest.raises(
        UserError, match=r"`file_name` and `img_path` all name pictures\n.*`image: file_name`"
    ):
        read("read.csv", path="rows.csv")


def test_the_documented_name_wins_and_the_other_column_is_named(tmp_path: Path, read: Any) -> None:
    table(tmp_path, {"id": "a", "image": "1.jpg", "thumb": "t.jpg", "img_path": "2.jpg"})
    assert read("read.csv", path="rows.csv").column("images") == [[str(tmp_path / "1.jpg")]]
    assert note_of(tmp_path) == "took `image` as picture (not `img_path`)"


def test_parameters_win(tmp_path: Path, read: Any) -> None:
    table(tmp_path, {"id": "a", "image": "1.jpg", "file_name": "2.jpg", "category": "x", "gt": "y"})
    got = read("read.csv", path="rows.csv", image="file_name", label="gt")
    assert got.column("images") == [[str(tmp_path / "2.jpg")]]
    assert got.column("label") == ["y"]
    assert read("read.csv", path="rows.csv", label=None).column("label") == [None]


def test_a_column_that_was_found_stays_what_templates_call_it(tmp_path: Path, read: Any) -> None:
    table(tmp_path, {"id": "a", "file_name": "1.jpg", "category": "c"})
    got = read("read.csv", path="rows.csv")
    assert got.column("category") == got.column("label") == ["c"]
    assert got.column("file_name") == ["1.jpg"]


def test_none_for_images_looks_for_none(tmp_path: Path, read: Any) -> None:
    table(tmp_path, {"id": "a", "image": "1.jpg", "label": "c"})
    assert read("read.csv", path="rows.csv", images="none").column("images") == [[]]


def test_a_category_beside_a_chat_is_no_label(tmp_path: Path, read: Any) -> None:
    chat = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    (tmp_path / "rows.jsonl").write_text(json.dumps({"messages": chat, "category": "math"}))
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column("label") == [None]
    assert got.column("category") == ["math"]
