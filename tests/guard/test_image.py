"""guard.image on real files: whole, broken, tiny and extremely long pictures."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image as Picture

from datakit.artifacts.report import StepReport
from datakit.core.record import BASE, COLUMNS
from datakit.core.settings import RunSettings
from datakit.core.step_context import StepContext
from datakit.guard.image import Image
from datakit.recipe.recipe import Step
from datakit.run.engine import Engine
from datakit.run.record_frames import RecordFrames
from datakit.run.store import Store

SCREENS = Path(__file__).resolve().parents[2] / "examples" / "ecom" / "images"
Check = Callable[..., tuple[list[str], dict[str, tuple[str, str]], StepReport]]


@pytest.fixture
def check(tmp_path: Path, make_context: Callable[..., StepContext]) -> Check:
    """Runs the guard over records {id: paths} with one store; gives ids that passed, rejects, the report."""
    count = 0

    def run(records: dict[str, list[Path]], **parameters: Any) -> Any:
        nonlocal count
        count += 1
        rows = [
            {
                "id": id_,
                "source_file": "x.jsonl",
                "source_line": line,
                "images": [str(path) for path in paths],
            }
            for line, (id_, paths) in enumerate(records.items(), 1)
        ]
        schema = {name: COLUMNS[name] for name in BASE}
        given = RecordFrames(tmp_path / f"given{count}", schema)
        given.append(pl.DataFrame(rows, schema=schema))
        store = Store(tmp_path / "store")
        try:
            work = tmp_path / f"work{count}"
            engine = Engine(make_context(run=RunSettings(workers=1)), store, work)
            out = engine.run([Step(1, Image(**parameters), "r.yaml:1:1")], given).lazy().collect()
            assert set(schema) <= set(out.columns)
            lines = (work / "rejects.jsonl").read_text().splitlines()
            rejects = {row["id"]: (row["reason"], row["detail"]) for row in map(json.loads, lines)}
            return out["id"].to_list(), rejects, engine.reports[0]
        finally:
            store.close()

    return run


def drawn(path: Path, width: int, height: int) -> Path:
    Picture.new("RGB", (width, height), (90, 140, 200)).save(path)
    return path


def test_each_fault_has_its_reason_and_names_the_file(tmp_path: Path, check: Check) -> None:
    whole = SCREENS / "0001.jpg"
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("<html>not found</html>")
    (tmp_path / "cut.jpg").write_bytes(whole.read_bytes()[:-2000])
    (tmp_path / "folder.jpg").mkdir()
    files = {
        "image_missing": tmp_path / "gone.jpg",
        "image_empty": tmp_path / "empty.jpg",
        "image_unreadable": tmp_path / "text.jpg",
        "image_truncated": tmp_path / "cut.jpg",
        "image_path_is_folder": tmp_path / "folder.jpg",
        "image_too_small": drawn(tmp_path / "small.png", 27, 300),
        "image_ratio": drawn(tmp_path / "long.png", 6001, 30),
    }
    records = {reason: [path] for reason, path in files.items()}
    passed, rejects, report = check({**records, "whole": [whole], "none": []})
    assert passed == ["whole", "none"]
    assert {id_: reason for id_, (reason, _) in rejects.items()} == {reason: reason for reason in files}
    for reason, path in files.items():
        assert rejects[reason][1].startswith(f"{path}: ")
    assert report.balanced


def test_second_picture_of_a_record_is_checked_too(tmp_path: Path, check: Check) -> None:
    small = drawn(tmp_path / "small.png", 10, 10)
    passed, rejects, _ = check({"two": [SCREENS / "0001.jpg", small], "good": [SCREENS / "0001.jpg"] * 2})
    assert passed == ["good"]
    assert rejects["two"] == ("image_too_small", f"{small}: 10 x 10 px, a side is below min_side_px (28)")


def test_limits_are_inclusive(tmp_path: Path, check: Check) -> None:
    passed, _, _ = check(
        {"side": [drawn(tmp_path / "a.png", 28, 28)], "ratio": [drawn(tmp_path / "b.png", 5600, 28)]}
    )
    assert passed == ["side", "ratio"]


def test_record_without_picture_is_rejected_only_when_required(check: Check) -> None:
    assert check({"text": []})[0] == ["text"]
    passed, rejects, _ = check({"text": [], "picture": [SCREENS / "0001.jpg"]}, require=True)
    assert passed == ["picture"]
    assert rejects["text"][0] == "no_image"


def test_unchanged_files_are_not_decoded_again_even_under_other_limits(tmp_path: Path, check: Check) -> None:
    copy = tmp_path / "copy.jpg"
    shutil.copyfile(SCREENS / "0001.jpg", copy)
    records = {"one": [SCREENS / "0001.jpg"], "same": [copy], "small": [drawn(tmp_path / "s.png", 40, 40)]}
    assert check(records)[2].calls == 2  # equal bytes are decoded once
    passed, _, report = check(records, min_side_px=50)
    assert (passed, report.calls) == (["one", "same"], 0)
    cut = copy.read_bytes()[:-2000]
    copy.write_bytes(cut)
    os.utime(copy, ns=(1, 1))
    passed, rejects, report = check(records)
    assert (passed, report.calls) == (["one", "small"], 1)
    assert rejects["same"][0] == "image_truncated"


def test_equal_broken_files_are_each_named(tmp_path: Path, check: Check) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_text("broken")
    _, rejects, report = check(
        {"a": [tmp_path / "a.jpg"], "b": [tmp_path / "b.jpg"], "whole": [SCREENS / "0001.jpg"]}
    )
    assert report.calls == 2
    assert {id_: detail.split(":")[0] for id_, (_, detail) in rejects.items()} == {
        "a": str(tmp_path / "a.jpg"),
        "b": str(tmp_path / "b.jpg"),
    }
