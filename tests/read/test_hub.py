"""read.hub: data sets that the package `datasets` saved, with class names and pictures; a hub's by name."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from datakit.core.errors import UserError
from datakit.core.step_context import StepContext
from datakit.read._hub import CachedImages
from datakit.read._images import ImageFault

datasets = pytest.importorskip("datasets")
SCREENS = Path(__file__).resolve().parents[2] / "examples" / "ecom" / "images"
ONE, TWO = str(SCREENS / "0001.jpg"), str(SCREENS / "0004.jpg")


def saved(folder: Path, rows: dict[str, list[Any]] | None = None, **features: Any) -> Any:
    rows = rows or {"image": [ONE, TWO, ONE], "label": [1, 0, 1], "note": ["a", None, "c"]}
    features = features or {
        "image": datasets.Image(),
        "label": datasets.ClassLabel(names=["退货页面", "购物车页面"]),
        "note": datasets.Value("string"),
    }
    dataset = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    dataset.save_to_disk(str(folder))
    return dataset


def test_class_numbers_become_names_and_pictures_are_written_once(tmp_path: Path, read: Any) -> None:
    saved(tmp_path / "disk")
    for batch_rows in (1, 4096):
        got = read("read.hub", path="disk", batch_rows=batch_rows)
        assert got.column("label") == ["购物车页面", "退货页面", "购物车页面"]
        assert got.column("note") == ["a", None, "c"]
        assert got.column("source_line") == [1, 2, 3]
        first, second, third = got.column("images")
        assert first == third != second
        assert Path(first[0]).read_bytes() == Path(ONE).read_bytes()


def hub_folder(folder: Path, **splits: list[dict[str, Any]]) -> None:
    """A folder as a hub holds it: the tables in data/, and a card that says which are which."""
    for split, rows in splits.items():
        (folder / "data").mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_list(rows).to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    files = "".join(f"  - split: {split}\n    path: data/{split}-*\n" for split in splits)
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n")


def test_a_copy_of_a_hub_s_folder_is_read_by_its_splits(tmp_path: Path, read: Any) -> None:
    hub_folder(tmp_path / "copy", train=[{"text": "a"}, {"text": "b"}], other=[{"text": "c"}])
    assert read("read.hub", path="copy").column("text") == ["a", "b"]
    assert read("read.hub", path="copy", split="other").column("text") == ["c"]
    with pytest.raises(UserError, match="no split `othr`"):
        read("read.hub", path="copy", split="othr")


def test_a_changed_hub_s_folder_is_read_anew(tmp_path: Path, read: Any) -> None:
    hub_folder(tmp_path / "copy", train=[{"text": "a"}])
    assert read("read.hub", path="copy").column("text") == ["a"]
    hub_folder(tmp_path / "copy", train=[{"text": "b"}])
    assert read("read.hub", path="copy").column("text") == ["b"]


def test_ids_are_made_of_the_content_so_that_they_stay_in_another_order(tmp_path: Path, read: Any) -> None:
    dataset = saved(tmp_path / "disk")
    dataset.select([1, 2, 0]).save_to_disk(str(tmp_path / "other"))
    here, there = (
        dict(read("read.hub", path=path).frame.select("note", "id").iter_rows()) for path in ("disk", "other")
    )
    assert here[None] == there[None]
    assert set(here.values()) == set(there.values())


def test_several_pictures_and_none(tmp_path: Path, read: Any) -> None:
    saved(
        tmp_path / "disk",
        {"images": [[ONE, TWO], [], [TWO]], "text": ["a", "b", "c"]},
        images=datasets.List(datasets.Image()),
        text=datasets.Value("string"),
    )
    got = read("read.hub", path="disk")
    assert [len(images) for images in got.column("images")] == [2, 0, 1]


def test_dialogues_are_read(tmp_path: Path, read: Any) -> None:
    turns = [{"role": "user", "content": "<image>?"}, {"role": "assistant", "content": "x"}]
    saved(
        tmp_path / "disk",
        {"image": [ONE], "messages": [turns]},
        image=datasets.Image(),
        messages=datasets.List({"role": datasets.Value("string"), "content": datasets.Value("string")}),
    )
    assert read("read.hub", path="disk").column("messages") == [turns]


def test_a_part_is_chosen_by_name(tmp_path: Path, read: Any) -> None:
    one = datasets.Dataset.from_dict({"text": ["a"]})
    other = datasets.Dataset.from_dict({"text": ["b"]})
    datasets.DatasetDict({"train": one, "test": other}).save_to_disk(str(tmp_path / "disk"))
    assert read("read.hub", path="disk").column("text") == ["a"]
    assert read("read.hub", path="disk", split="test").column("text") == ["b"]
    with pytest.raises(UserError, match=r"no split `tset`\n.*Did you mean `test`"):
        read("read.hub", path="disk", split="tset")


def test_a_folder_that_is_no_saved_set_and_an_empty_set_are_errors(tmp_path: Path, read: Any) -> None:
    (tmp_path / "some" / "folder").mkdir(parents=True)
    with pytest.raises(UserError, match="save_to_disk"):
        read("read.hub", path="some/folder")
    with pytest.raises(UserError, match="does not exist"):
        read("read.hub", path="./nowhere")
    saved(tmp_path / "none", {"text": []}, text=datasets.Value("string"))
    with pytest.raises(UserError, match=r"none: .*\n.*Does it hold rows"):
        read("read.hub", path="none")


def test_a_missing_column_is_named(tmp_path: Path, read: Any) -> None:
    saved(tmp_path / "disk")
    with pytest.raises(UserError, match="Did you mean `label`"):
        read("read.hub", path="disk", label="lable")


def test_of_files_that_a_hub_s_set_names_those_in_the_package_s_cache_alone_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "hub").mkdir()
    shutil.copy(ONE, tmp_path / "hub" / "blob")
    (tmp_path / "hub" / "snapshot.jpg").symlink_to("blob")
    (tmp_path / "hub" / "out.jpg").symlink_to(TWO)
    images = CachedImages(tmp_path / "data", StepContext(base=tmp_path, project=tmp_path))
    kept = images.one({"bytes": None, "path": str(tmp_path / "hub" / "snapshot.jpg")})
    assert Path(kept).read_bytes() == Path(ONE).read_bytes()
    assert Path(kept).is_relative_to(tmp_path / ".datakit")
    for path in (TWO, str(tmp_path / "hub" / "out.jpg"), str(tmp_path / "hub" / ".." / "other.jpg")):
        with pytest.raises(ImageFault):
            images.one({"bytes": None, "path": path})


def test_a_set_that_may_not_be_fetched_is_an_error_in_words(
    read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(
        UserError, match=r"cannot load the data set owner/pictures: .*\n.*Unset HF_HUB_OFFLINE"
    ):
        read("read.hub", path="owner/pictures", revision="main")


def test_without_the_package_the_error_says_what_to_install(
    tmp_path: Path, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path / "disk")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"datakit\[hub\]"):
        read("read.hub", path="disk")
