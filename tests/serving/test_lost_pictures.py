"""A record whose picture is lost is a problem of that record, never asked as text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from datakit.artifacts import predictions as files
from datakit.artifacts.build_folder import BuildFolder
from datakit.cli import run
from datakit.serving.classifier import CannotClassify, Classifier
from datakit.serving.items import Item
from datakit.serving.records import split_items
from tests.support.loopback import Loopback
from tests.support.served import made_build


@pytest.mark.fault(
    "a record's row names no picture though its prompt has a place for one, or its file is gone",
    "a problem of that record, which is not asked; the others are",
    kind="answers",
)
@pytest.mark.parametrize(
    ("images", "reason"),
    [((), "image_missing"), (("gone.jpg",), "image_missing"), (("same", "same"), "image_places")],
    ids=["no picture", "file gone", "one too many"],
)
def test_record_without_its_picture_is_a_problem_of_its_own(
    small: Path, server: Loopback, images: tuple[str, ...], reason: str
) -> None:
    items = split_items(BuildFolder(small), "train")
    own = str(items[1].images[0])
    items[1] = replace(items[1], images=tuple(own if image == "same" else image for image in images))
    with Classifier.from_build(small, server.url) as classify:
        found = list(classify.classify_many(items))
    assert [one.problem for one in found] == ["", reason, *[""] * (len(items) - 2)]
    assert server.count == len(items) - 1


def test_row_that_lost_its_pictures_is_counted_and_the_others_are_asked(
    server: Loopback, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = made_build(tmp_path / "project")
    (file,) = [file for file in BuildFolder(build).entries.values() if "val" not in file]
    rows = json.loads((build / file).read_text("utf-8"))
    del rows[0]["images"]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (build / file).write_text(f"[\n{lines}\n]\n", "utf-8")
    out = tmp_path / "p.jsonl"
    call = ["predict", str(build), "--split", "train", "--base-url", server.url, "--out", str(out), "--json"]
    assert run(call) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == {"image_missing": 1}
    assert [one.problem for one in files.read(out)].count("image_missing") == 1


def test_new_record_without_a_picture_is_not_asked_where_every_trained_one_has_one(
    small: Path, server: Loopback, tmp_path: Path
) -> None:
    with Classifier.from_build(small, server.url) as classify:
        with pytest.raises(CannotClassify, match="no_image"):
            classify(None, ocr_text="首页")
        (found,) = classify.classify_many([Item((), "a")])
    assert found.problem == "no_image"
    assert server.count == 0
