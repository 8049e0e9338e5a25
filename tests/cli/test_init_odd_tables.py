"""`datakit init PATH` of tables that are not quite what they look like."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from datakit.artifacts.build_folder import BuildFolder
from tests.support import own_data

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.mark.parametrize("values", [["hello", "x", None, "[1"], [None] * 4], ids=["text", "null"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_column_that_is_called_as_chats_are_and_holds_none_costs_no_record(
    datakit: Run, tmp_path: Path, kind: str, values: list[str | None]
) -> None:
    names = own_data.pictures(tmp_path / "in", 24)
    rows = pl.DataFrame(
        {"image": names, "label": ["cat", "dog"] * 12, "messages": values * 6},
        schema_overrides={"messages": pl.String},
    )
    table = tmp_path / "in" / f"a.{kind}"
    {"csv": rows.write_csv, "jsonl": rows.write_ndjson, "parquet": rows.write_parquet}[kind](table)
    done = datakit("init", table, "--no-build")
    assert "24 pictures, 2 labels" in done.out
    assert ("left out `messages`" in done.out) == (values[0] is not None)
    (recipe,) = Path().glob("*/recipes/*")
    assert ("drop: [messages]" in recipe.read_text("utf-8")) == (values[0] is not None)


def test_labels_beside_chats_that_cannot_be_learned_are_taken_when_asked_for(
    datakit: Run, tmp_path: Path
) -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]
    names = own_data.pictures(tmp_path / "in", 24)
    rows = [{"image": name, "label": "猫狗"[at % 2], "messages": turns} for at, name in enumerate(names)]
    table = own_data.lines(tmp_path / "in" / "a.jsonl", rows)
    done = datakit("init", table)
    assert done.code == 2
    assert "instead of its chats: --task classify" in done.err
    assert "24 pictures, 2 labels" in datakit("init", table, "--task", "classify", "--no-build").out


def test_captions_of_coco_are_taken_after_the_command_that_is_told(datakit: Run, tmp_path: Path) -> None:
    names = own_data.pictures(tmp_path / "in", 12)
    document = {
        "images": [{"id": at, "file_name": name} for at, name in enumerate(names)],
        "annotations": [{"image_id": at % 12, "caption": f'shapes, "{at}"'} for at in range(24)],
    }
    path = tmp_path / "in" / "captions_val.json"
    path.write_text(json.dumps(document), "utf-8")
    done = datakit("init", path)
    assert (done.code, "captions as COCO has them" in done.err) == (2, True)
    (line,) = [line for line in done.err.splitlines() if line.startswith("  python -c ")]
    words = shlex.split(line)
    assert words[-2] == ">"
    lines = subprocess.run([sys.executable, *words[1:-2]], capture_output=True, check=True).stdout
    Path(words[-1]).write_bytes(lines)
    made = datakit("init", words[-1], "--no-build").out
    assert "24 pictures, the text in `caption`, English; to write a text on each picture" in made


def test_numbers_are_told_as_labels_whether_or_not_they_have_a_point(datakit: Run, tmp_path: Path) -> None:
    names = own_data.pictures(tmp_path / "in", 4)
    table = tmp_path / "in" / "a.csv"
    for number, labels in enumerate((("0", "1"), ("0.0", "-1.0"), ("3.5 inch", "1.0"))):
        table.write_text(
            "image,label\n" + "".join(f"{name},{labels[at % 2]}\n" for at, name in enumerate(names))
        )
        told = datakit("init", table, "--no-build", "--into", f"p{number}").out
        assert ("labels are numbers: write into the label file what each means" in told) == (number < 2)


@pytest.mark.fault(
    "a folder beside the data with more pictures of the same names",
    "pictures of the data's own folder are taken, and a folder outside it only with a doubt",
    kind="folders",
)
@pytest.mark.parametrize("form", ["csv", "coco"])
def test_pictures_of_the_data_s_own_folder_win_over_a_fuller_one_beside_it(
    datakit: Run, tmp_path: Path, form: str
) -> None:
    shop, other = tmp_path / "A" / "shop", tmp_path / "A" / "other" / "holiday"
    names = own_data.pictures(shop / "images", 24)
    for at, name in enumerate(names):
        own_data.drawn(other / name, seed=100 + at)
    for name in names[3:5]:
        (shop / "images" / name).unlink()
    sizes = {"width": 64, "height": 64}
    boxes = [{"id": at, "image_id": at, "category_id": 1, "bbox": [1, 1, 9, 9]} for at in range(24)]
    document = {
        "images": [{"id": at, "file_name": name, **sizes} for at, name in enumerate(names)],
        "annotations": boxes,
        "categories": [{"id": 1, "name": "cat"}],
    }
    rows = "image,label\n" + "".join(f"{name},{'ab'[at % 2]}\n" for at, name in enumerate(names))
    table = shop / ("train.csv" if form == "csv" else "instances.json")
    table.write_text(rows if form == "csv" else json.dumps(document), "utf-8")
    told = datakit("init", table, "--no-build", "--into", "inside").out
    assert f"picture paths start from {shop / 'images'}, for there they are" in told
    assert "outside the data's folder" not in told
    for name in names[:13]:
        (shop / "images" / name).unlink(missing_ok=True)
    told = datakit("init", table, "--no-build", "--into", "outside").out
    assert f"picture paths start from {other}, outside the data's folder, in which fewer than half" in told
    assert "there 24 of 24 do." in told
    assert "--image-root" in told


def test_two_folders_with_pictures_of_the_same_names_are_both_told(datakit: Run, tmp_path: Path) -> None:
    names = own_data.pictures(tmp_path / "in" / "images", 4)
    own_data.pictures(tmp_path / "in" / "masks", 3)
    rows = [{"image": name, "label": "ab"[at % 2]} for at, name in enumerate(names)]
    table = own_data.lines(tmp_path / "in" / "a.jsonl", rows)
    told = datakit("init", table, "--no-build").out
    assert f"pictures of these names are in {tmp_path / 'in' / 'masks'} too" in told


def test_paths_as_windows_writes_them_are_read_where_there_is_a_picture(datakit: Run, tmp_path: Path) -> None:
    names = own_data.pictures(tmp_path / "in" / "deep" / "img", 4)
    table = tmp_path / "in" / "deep" / "a.csv"
    rows = "".join(f"img\\{name},{'ab'[at % 2]}\n" for at, name in enumerate(names))
    table.write_text("image,label\n" + rows, "utf-8")
    done = datakit("init", table)
    assert done.code == 0
    assert "read `\\` as `/` in 4 picture paths, as Windows writes them, such as img\\000.png" in done.out
    above = table.rename(tmp_path / "in" / "a.csv")
    assert f"start from {tmp_path / 'in' / 'deep'}" in datakit("init", above, "--no-build", "--into", "b").out
    table.write_text("image,label\n" + rows.replace("img", "C:\\img"), "utf-8")
    done = datakit("init", table)
    assert (done.code, "Their paths have `\\`, as on Windows" in done.err) == (2, True)


def test_a_backslash_in_a_name_stays_one(datakit: Run, tmp_path: Path) -> None:
    own_data.drawn(tmp_path / "in" / "a" / "b.png", seed=1)
    own_data.drawn(tmp_path / "in" / "a\\b.png", seed=2)
    table = own_data.lines(tmp_path / "in" / "t.jsonl", [{"image": "a\\b.png", "label": "x"}])
    done = datakit("init", table, "--into", "p")
    assert (done.code, "read `\\`" in done.out) == (0, False)
    (paths,) = BuildFolder.open(Path("p/build/p.limit20")).records.collect()["images"]
    assert paths.to_list() == [str(tmp_path / "in" / "a\\b.png")]


@pytest.mark.fault(
    "a table that has its own training and validation parts",
    "they are told and kept, and its test part neither trains nor validates",
    kind="bounds",
)
@pytest.mark.parametrize(
    ("words", "told", "kept"),
    [
        (
            ["train"] * 6 + ["val"] * 2,
            "split: 6 train, 2 val (the column `split`), kept",
            {"train": 6, "val": 2},
        ),
        (
            ["Train"] * 4 + ["dev"] * 2 + ["test"] * 2,
            "2 records of the test part are left out, of training and of validation",
            {"train": 4, "val": 2},
        ),
        (["train"] * 6 + ["test"] * 2, "the test part is taken for it", {"train": 6, "val": 2}),
        (["train"] * 6 + ["val", "odd"], "`odd` is none of train, val and test", None),
        (["train"] * 6 + ["val", "n/a"], "it has words for no value", None),
    ],
    ids=["val", "val and test", "test", "another word", "no value"],
)
def test_a_table_s_own_split_is_told_and_kept(
    datakit: Run, tmp_path: Path, words: list[str], told: str, kept: dict[str, int] | None
) -> None:
    names = own_data.pictures(tmp_path / "in", 8)
    rows = [
        {"image": name, "label": "ab"[at % 2], "split": words[-1 - at], "sum": at}
        for at, name in enumerate(names)
    ]
    done = datakit("init", own_data.lines(tmp_path / "in" / "t.jsonl", rows), "--into", "p")
    assert (done.code, told in done.out) == (0, True), done.out
    records = BuildFolder.open(Path("p/build/p.limit20")).records.collect()
    sides = dict(records["split"].value_counts().iter_rows())
    assert kept is None or sides == kept
    text = Path("p/recipes/p.yaml").read_text("utf-8")
    assert ("given: source_split" in text) == (kept is not None)
    assert "name: source_split" not in text


@pytest.mark.parametrize(
    ("question", "answer", "name"),
    [("What?", None, "answer"), ("What?", " ", "target"), (None, "x", "answer")],
)
def test_rows_without_question_or_answer_are_told_and_left_out(
    datakit: Run, tmp_path: Path, question: str | None, answer: str | None, name: str
) -> None:
    names = own_data.pictures(tmp_path / "in", 8)
    rows = [
        {"image": picture, "question": f"What is {at}?", name: f"A {at}."} for at, picture in enumerate(names)
    ]
    rows[::2] = [{"image": row["image"], "question": question, name: answer} for row in rows[::2]]
    done = datakit("init", own_data.lines(tmp_path / "in" / "t.jsonl", rows), "--into", "p", "--no-build")
    what = "answer" if question else "question"
    assert f"4 of 8 records have no {what} and are left out until the data has it" in done.out
    assert datakit("build", "p/recipes/p.yaml", "-q", "--no-card").code == 0
    assert BuildFolder.open(Path("p/build/p")).records.collect().height == 4


def test_floating_point_pictures_are_counted_and_records_apart_from_what_is_none(
    datakit: Run, tmp_path: Path
) -> None:
    data = own_data.folder_by_label(tmp_path / "in", {"cat": 6, "dog": 6})
    Image.new("F", (64, 64), 0.5).save(data / "cat" / "depth.tif")
    (data / "cat" / "0readme.txt").write_text("x")
    done = datakit("init", data, "--into", "p")
    assert "of 13 pictures that were opened 1 cannot be used (image_unreadable 1)" in done.out
    assert "First build, of 13 records" in done.out
    assert "(1 of them left out, 1 more could not be read:" in done.out
    assert "Ids look like `cat/000.png`" in datakit("why", "p/build/p.limit20", "zzzzzzzz").err
