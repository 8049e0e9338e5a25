"""The folder that pictures may not leave, and the folder that their paths start from, are two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datakit.core.errors import RecipeErrors
from datakit.core.remote_pictures import copy_of, url_of
from datakit.recipe.recipe import load_recipe


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


def test_a_copy_lies_where_its_url_says(tmp_path: Path) -> None:
    for url in (
        "s3://a/b.png",
        f"oss://a/{'图' * 300}.png",
        "gs://a/../b",
        "s3://a/b+/c",
        f"s3://{'a' * 189}/b",
    ):
        path = copy_of(url, tmp_path / "pictures")
        assert url_of(path) == url
        assert max(map(len, path.split("/"))) <= 201
        assert Path(path).resolve().is_relative_to(tmp_path)
    for foreign in ("ab/1.png", "pictures/ab/1.png", "pictures/remote/00/s3%3A%2F%2Fa%2Fb.png"):
        assert url_of(str(tmp_path / foreign)) is None


@pytest.mark.fault(
    "data names an object outside of the recipe's bucket and folder",
    "rejected without a request: data cannot read with the user's credentials what the recipe does not name",
    kind="bounds",
)
@pytest.mark.parametrize(
    ("named", "root", "reason", "words"),
    [
        ("s3://other/a.png", "s3://mine/shop", "image_outside", "set `image_root` to an address above it"),
        ("s3://mine/shopping/a.png", "s3://mine/shop", "image_outside", "leaves its root s3://mine/shop"),
        ("../a.png", "s3://mine/shop", "image_outside", "leaves its root"),
        ("/etc/passwd", "s3://mine/shop", "image_outside", "leaves its root"),
        ("http://169.254.169.254/a", "s3://mine/shop", "image_outside", "leaves its root"),
        ("s3://mine/a.png", ".", "image_not_a_path", "`image_root: s3://mine`"),
    ],
)
def test_an_object_outside_of_the_root_is_never_asked_for(
    named: str, root: str, reason: str, words: str, project: Path, read: Any
) -> None:
    (project / "data/rows.jsonl").write_text(json.dumps({"id": "a", "image": named}))
    [reject] = read("read.jsonl", path="data/rows.jsonl", image_root=root).rejects
    assert reject.reason == reason
    assert words in reject.detail


@pytest.mark.parametrize(
    "root", ["http://a/b", "s3://key:secret@a/b", "s3://a/b?token=secret", "file:///a", "s3:/a"]
)
def test_an_address_of_no_store_or_with_a_credential_is_refused(root: str, project: Path) -> None:
    recipe = {
        "version": 1,
        "name": "a",
        "steps": [{"read.jsonl": {"path": "a", "image_root": root}}],
        "emit": [],
    }
    (project / "a.yaml").write_text(json.dumps(recipe))
    with pytest.raises(RecipeErrors, match="credentials stand in the environment") as caught:
        load_recipe(project / "a.yaml")
    assert "secret" not in str(caught.value)
