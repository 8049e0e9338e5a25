"""read.image_folder: a folder's name is the label, every file a record or a reject."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datakit.core.errors import UserError


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_pictures_come_by_path_with_the_name_of_their_folder_as_label(tmp_path: Path, read: Any) -> None:
    put(tmp_path / "set", "退货页面/2.JPG", "退货页面/10.png", "购物车页面/深/1.webp", "loose.jpg")
    for batch_rows in (1, 4096):
        got = read("read.image_folder", path="set", batch_rows=batch_rows)
        assert got.column("id") == ["loose.jpg", "购物车页面/深/1.webp", "退货页面/10.png", "退货页面/2.JPG"]
        assert got.column("label") == [None, "深", "退货页面", "退货页面"]
        assert got.column("images") == [[str(tmp_path / "set" / id_)] for id_ in got.column("id")]
        assert got.column("source_line") == [None] * 4


def test_ids_stay_when_the_folder_is_renamed_and_pictures_are_added(tmp_path: Path, read: Any) -> None:
    put(tmp_path / "set", "a/1.jpg", "b/1.jpg")
    before = read("read.image_folder", path="set").column("id")
    (tmp_path / "set").rename(tmp_path / "新 set")
    put(tmp_path / "新 set", "a/0.jpg")
    after = read("read.image_folder", path="新 set").column("id")
    assert set(after) == {*before, "a/0.jpg"}


def test_labels_can_be_left_out(tmp_path: Path, read: Any) -> None:
    put(tmp_path / "set", "a/1.jpg")
    assert read("read.image_folder", path="set", labelled=False).column("label") == [None]


def test_other_files_are_rejected_and_what_systems_leave_is_passed_over(tmp_path: Path, read: Any) -> None:
    put(tmp_path / "set", "a/1.jpg", "a/notes.txt", "a/none", "a/.DS_Store", "a/Thumbs.db", ".git/1.jpg")
    got = read("read.image_folder", path="set")
    assert got.column("id") == ["a/1.jpg"]
    assert got.reasons == {"a/none": "not_a_picture", "a/notes.txt": "not_a_picture"}


def test_a_link_out_of_the_folder_is_rejected_and_a_linked_folder_not_entered(
    tmp_path: Path, read: Any
) -> None:
    put(tmp_path, "outside/1.jpg", "set/a/1.jpg")
    (tmp_path / "set" / "a" / "2.jpg").symlink_to(tmp_path / "outside" / "1.jpg")
    (tmp_path / "set" / "a" / "3.jpg").symlink_to(tmp_path / "set" / "a" / "1.jpg")
    (tmp_path / "set" / "loop").symlink_to(tmp_path / "set")
    got = read("read.image_folder", path="set")
    assert got.column("id") == ["a/1.jpg", "a/3.jpg"]
    assert got.reasons == {"a/2.jpg": "image_outside"}


def test_no_folder_a_file_and_an_empty_folder_are_errors(tmp_path: Path, read: Any) -> None:
    put(tmp_path, "set.jpg", "images/none.txt")
    with pytest.raises(UserError, match="Did you mean `images`"):
        read("read.image_folder", path="image")
    with pytest.raises(UserError, match="is a file, not a folder"):
        read("read.image_folder", path="set.jpg")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no picture"):
        read("read.image_folder", path="empty")
