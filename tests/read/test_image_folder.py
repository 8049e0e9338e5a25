"""read.image_folder: a folder's name is the label, every file a record or a reject."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from datakit.core.errors import UserError
from datakit.core.labels import Label, LabelSet


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_a_folder_that_cannot_be_listed_stops_the_reading_and_is_named(
    tmp_path: Path, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "set", "a/1.jpg", "b/2.jpg", "lost+found/3.jpg")
    assert read("read.image_folder", path="set").column("id") == ["a/1.jpg", "b/2.jpg"]
    listed = os.scandir

    def scandir(place: Any) -> Any:
        if str(place).endswith("b"):
            raise PermissionError(13, "Permission denied", str(place))  # root may list any real folder
        return listed(place)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UserError, match=r"cannot list the folder .*set/b: Permission denied") as error:
        read("read.image_folder", path="set")
    assert "chmod u+rx" in error.value.remedy


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


def folders_of(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


@pytest.mark.parametrize(
    ("parameters", "labels"),
    [
        ({}, ["女装/其他", "连衣裙", "男装/其他"]),
        ({"class_from": "leaf"}, ["其他", "连衣裙", "其他"]),
        ({"class_from": "path"}, ["女装/其他", "女装/连衣裙", "男装/其他"]),
        ({"class_from": "top"}, ["女装", "女装", "男装"]),
        ({"labelled": False}, [None, None, None]),
    ],
)
def test_nested_folders_of_one_name_stay_two_classes(
    parameters: dict[str, Any], labels: list[str | None], tmp_path: Path, read: Any
) -> None:
    folders_of(tmp_path / "p", "女装/其他/1.jpg", "女装/连衣裙/1.jpg", "男装/其他/1.jpg")
    got = read("read.image_folder", path="p", **parameters)
    assert got.column("id") == ["女装/其他/1.jpg", "女装/连衣裙/1.jpg", "男装/其他/1.jpg"]
    assert got.column("label") == labels


@pytest.mark.parametrize(
    ("train", "other"),
    [
        ("train", "test"),
        ("Train", "VAL"),
        ("training", "validation"),
        ("训练集", "测试集"),
        ("训练集", "验证集"),
    ],
)
def test_folders_of_splits_are_splits(train: str, other: str, tmp_path: Path, read: Any) -> None:
    folders_of(tmp_path / "p", f"{train}/猫/1.jpg", f"{train}/2.jpg", f"{other}/猫/1.jpg")
    got = read("read.image_folder", path="p")
    splits = dict(got.frame.select("id", "split").rows())
    assert splits == {f"{train}/猫/1.jpg": "train", f"{train}/2.jpg": "train", f"{other}/猫/1.jpg": "val"}
    labels = dict(got.frame.select("id", "label").rows())
    assert labels == {f"{train}/猫/1.jpg": "猫", f"{train}/2.jpg": None, f"{other}/猫/1.jpg": "猫"}
    whole = read("read.image_folder", path="p", split_folders=False)
    assert "split" not in whole.frame.columns


def test_a_class_that_is_called_test_is_a_class(tmp_path: Path, read: Any) -> None:
    folders_of(tmp_path / "p", "test/1.jpg", "猫/1.jpg")
    got = read("read.image_folder", path="p")
    assert "split" not in got.frame.columns
    assert sorted(got.column("label")) == ["test", "猫"]


def test_links_inside_the_root_are_followed_and_end(tmp_path: Path, read: Any) -> None:
    folders_of(tmp_path / "p", "store/1.jpg", "other/2.jpg")
    (tmp_path / "p/猫").symlink_to("store")
    (tmp_path / "p/store/up").symlink_to("..")
    (tmp_path / "p/store/side").symlink_to("../other")
    (tmp_path / "p/other/back").symlink_to("../store")
    ids = read("read.image_folder", path="p").column("id")
    assert {"猫/1.jpg", "store/1.jpg", "store/side/2.jpg", "other/back/1.jpg"} <= set(ids)
    assert len(ids) == len(set(ids)) < 12


def test_links_out_of_the_root_are_refused_unless_it_is_allowed(tmp_path: Path, read: Any) -> None:
    folders_of(tmp_path / "nas", "cats/1.jpg")
    folders_of(tmp_path / "p", "狗/1.jpg")
    (tmp_path / "p/猫").symlink_to("../nas/cats")
    assert read("read.image_folder", path="p").reasons == {"猫": "image_outside"}
    got = read("read.image_folder", path="p", image_root="nas")
    assert got.rejects == []
    assert sorted(got.column("label")) == ["狗", "猫"]
    assert read("read.image_folder", path="p", image_root="p").reasons == {"猫": "image_outside"}


@pytest.mark.parametrize(
    ("folder", "label"),
    [
        ("购物车​", "购物车"),
        ("﻿购物车", "购物车"),
        ("购物⁠车", "购物车"),
        ("shopping cart", "shopping cart"),
        ("café", "café"),
        ("がま", "がま"),
        ("购物车 ", "购物车"),
    ],
)
def test_folders_that_look_the_same_are_one_class_and_are_shown(
    folder: str, label: str, tmp_path: Path, read: Any
) -> None:
    put(tmp_path / "set", f"{folder}/1.jpg", f"{label}/2.jpg")
    got = read("read.image_folder", path="set")
    assert got.column("label") == [label, label]
    assert {*got.column("id")} == {f"{folder}/1.jpg", f"{label}/2.jpg"}
    assert [Path(images[0]).exists() for images in got.column("images")] == [True, True]
    (warning,) = got.warnings
    assert warning.startswith("1 label is read without hidden signs and odd blanks: `")


def test_folders_that_look_the_same_are_compared_as_they_look(tmp_path: Path, read: Any) -> None:
    put(tmp_path / "set", "女装/其他/1.jpg", "男装/其他​/1.jpg", "男装﻿/鞋/1.jpg", "男装/鞋/2.jpg")
    got = read("read.image_folder", path="set")
    assert dict(zip(got.column("id"), got.column("label"), strict=True)) == {
        "女装/其他/1.jpg": "女装/其他",
        "男装/其他​/1.jpg": "男装/其他",
        "男装﻿/鞋/1.jpg": "鞋",
        "男装/鞋/2.jpg": "鞋",
    }


def test_folders_of_splits_are_known_however_they_are_written(tmp_path: Path, read: Any) -> None:
    put(tmp_path / "set", "train​/a/1.jpg", "训练集/a/2.jpg", "test/a/3.jpg")
    got = read("read.image_folder", path="set")
    assert sorted(zip(got.column("split"), got.column("label"), strict=True)) == [
        ("train", "a"),
        ("train", "a"),
        ("val", "a"),
    ]


@pytest.mark.parametrize("labels", [None, LabelSet((Label("a"),))])
def test_a_folder_called_none_is_a_class(labels: LabelSet | None, tmp_path: Path, read: Any) -> None:
    put(tmp_path / "set", "none/1.jpg", "无/1.jpg")
    assert read("read.image_folder", path="set", labels=labels).column("label") == ["none", "无"]
