"""read.build: a build's records go on into another recipe, with what was paid for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.core.errors import UserError
from datakit.core.record import COLUMNS

SCHEMA: dict[str, Any] = {
    **{name: COLUMNS[name] for name in ("id", "source_file", "source_line", "images", "label", "text")},
    "split": COLUMNS["split"],
    "repeat": COLUMNS["repeat"],
    "set": COLUMNS["set"],
    "ocr_text": pl.String(),
    "@2.annotate.ocr": pl.Struct({"key": pl.String}),
}


def write(project: Path, rows: list[dict[str, Any]], complete: bool = True) -> None:
    folder = project / "build" / "first"
    folder.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows, schema=SCHEMA).write_parquet(folder / "records.parquet")
    if complete:
        (folder / "manifest.json").write_text("{}")


def row(id_: str, **values: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "source_file": "/data/train.jsonl",
        "source_line": 3,
        "images": [f"/data/{id_}.jpg"],
        "label": "x",
        "split": "train",
        "repeat": 2,
        "set": "",
        "ocr_text": f"text of {id_}",
        "@2.annotate.ocr": {"key": "k"},
    } | values


def test_records_come_with_every_column_of_their_steps_but_no_trace(tmp_path: Path, read: Any) -> None:
    write(tmp_path, [row("a"), row("b", split="val")])
    for batch_rows in (1, 4096):
        got = read("read.build", path="build/first", batch_rows=batch_rows)
        assert got.column("id") == ["a", "b"]
        assert got.column("ocr_text") == ["text of a", "text of b"]
        assert got.column("source_file") == ["/data/train.jsonl"] * 2
        assert got.column("repeat") == [2, 2]
        assert not any(name.startswith("@") for name in got.frame.columns)


def test_general_records_are_left_out(tmp_path: Path, read: Any) -> None:
    write(tmp_path, [row("a"), row("general-1", set="general"), row("b", set=None)])
    assert read("read.build", path="build/first").column("id") == ["a", "b"]


def test_one_part_or_some_columns_can_be_asked_for(tmp_path: Path, read: Any) -> None:
    write(tmp_path, [row("a"), row("b", split="val")])
    assert read("read.build", path="build/first", split="val").column("id") == ["b"]
    got = read("read.build", path="build/first", keep=["split"])
    assert set(got.frame.columns) == {"id", "source_file", "source_line", "images", "label", "text", "split"}
    with pytest.raises(UserError, match=r"no column `ocr`.*\n.*ocr_text"):
        read("read.build", path="build/first", keep=["ocr"])


def test_a_folder_that_is_no_complete_build_is_an_error(tmp_path: Path, read: Any) -> None:
    write(tmp_path, [row("a")], complete=False)
    with pytest.raises(UserError, match="not a complete build"):
        read("read.build", path="build/first")
    with pytest.raises(UserError, match="Did you mean `first`"):
        read("read.build", path="build/frist")


def test_a_build_without_records_of_the_part_is_an_error(tmp_path: Path, read: Any) -> None:
    write(tmp_path, [row("a")])
    with pytest.raises(UserError, match="holds no record"):
        read("read.build", path="build/first", split="val")


def test_a_damaged_file_is_an_error_in_words(tmp_path: Path, read: Any) -> None:
    write(tmp_path, [row(f"r{n}") for n in range(50)])
    path = tmp_path / "build" / "first" / "records.parquet"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        read("read.build", path="build/first")
