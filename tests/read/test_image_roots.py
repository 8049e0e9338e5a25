"""The folder that pictures may not leave, and the folder that their paths start from, are two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """`data/rows.jsonl` names pictures in `data/images`, a link to `nas/x`."""
    (tmp_path / "nas/x").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "nas/x/a.jpg").write_bytes(b"")
    (tmp_path / "secret.jpg").write_bytes(b"")
    (tmp_path / "nas/x/out.jpg").symlink_to("../../secret.jpg")
    (tmp_path / "data/images").symlink_to("../nas/x")
    return tmp_path


def rows(project: Path, *pictures: str) -> None:
    lines = [json.dumps({"id": picture, "image": picture}) for picture in pictures]
    (project / "data/rows.jsonl").write_text("\n".join(lines))


@pytest.mark.parametrize(
    "roots",
    [
        {"image_root": "nas", "image_base": "data"},
        {"image_root": "nas/x", "image_base": "data"},
        {"image_root": ".", "image_base": "data"},
    ],
)
def test_a_linked_folder_is_read_where_its_place_is_allowed(roots: Any, project: Path, read: Any) -> None:
    rows(project, "images/a.jpg", "b.jpg")
    got = read("read.jsonl", path="data/rows.jsonl", **roots)
    assert got.column("images") == [[str(project / "data/images/a.jpg")], [str(project / "data/b.jpg")]]


@pytest.mark.parametrize(
    ("roots", "words"),
    [
        ({}, "image_base"),
        ({"image_base": "data"}, "image_root"),
        ({"image_root": "."}, "add `image_base` with the folder"),
        ({"image_root": "nas"}, "add `image_base` with the folder"),
        ({"image_root": "data", "image_base": "data"}, "image_root"),
    ],
)
def test_a_linked_folder_is_refused_with_the_parameters_to_set(
    roots: Any, words: str, project: Path, read: Any
) -> None:
    rows(project, "images/a.jpg")
    (reject,) = read("read.jsonl", path="data/rows.jsonl", **roots).rejects
    assert reject.reason == "image_outside"
    assert words in reject.detail


@pytest.mark.fault("a path leaves the folders of the pictures", "rejected", kind="bounds")
@pytest.mark.parametrize(
    "picture",
    [
        "images/out.jpg",
        "../secret.jpg",
        "images/../../secret.jpg",
        "/etc/passwd",
        "images/../../nas/../secret.jpg",
    ],
)
def test_no_path_leaves_both_folders(picture: str, project: Path, read: Any) -> None:
    rows(project, picture, "images/a.jpg")
    got = read("read.jsonl", path="data/rows.jsonl", image_root="nas", image_base="data")
    assert got.reasons == {picture: "image_outside"}
