"""read.parquet: typed columns, lists, and pictures whose bytes lie inside the file."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from datakit.core.errors import UserError
from datakit.core.labels import Label, LabelSet
from tests.support.in_chinese import english_left

SCREENS = Path(__file__).resolve().parents[2] / "examples" / "ecom" / "images"
ONE, TWO = ((SCREENS / f"000{n}.jpg").read_bytes() for n in (1, 4))


def test_paths_labels_and_lists_are_read(tmp_path: Path, read: Any) -> None:
    frame = pl.DataFrame(
        {
            "id": [1, 2, 3],
            "image": [["1.jpg", "2.jpg"], ["1.jpg"], None],
            "label": pl.Series(["x", "y", None], dtype=pl.Categorical),
            "score": pl.Series([0.5, None, 2.0], dtype=pl.Float32),
            "count": pl.Series([1, 2, None], dtype=pl.UInt8),
            "tags": [["a"], [], None],
            "day": [datetime.date(2026, 11, 24), None, None],
            "nested": [{"a": 1}, {"a": 2}, None],
        }
    )
    frame.write_parquet(tmp_path / "rows.parquet")
    for batch_rows in (1, 2, 4096):
        got = read("read.parquet", path="rows.parquet", batch_rows=batch_rows)
        assert got.column("id") == ["1", "2", "3"]
        assert got.column("source_line") == [1, 2, 3]
        assert got.column("label") == ["x", "y", None]
        assert [[Path(p).name for p in paths] for paths in got.column("images")] == [
            ["1.jpg", "2.jpg"],
            ["1.jpg"],
            [],
        ]
        types = {"score": pl.Float64, "count": pl.Int64, "tags": pl.List(pl.String), "day": pl.String}
        assert {name: got.frame.schema[name] for name in types} == types
        assert got.column("day")[0] == "2026-11-24"
        assert got.column("nested")[0] == '{"a":1}'


def test_numbers_are_labels(tmp_path: Path, read: Any) -> None:
    pl.DataFrame({"id": ["a", "b"], "label": [0, 1]}).write_parquet(tmp_path / "rows.parquet")
    assert read("read.parquet", path="rows.parquet").column("label") == ["0", "1"]


@pytest.mark.parametrize("shape", ["bytes", "struct", "list of structs"])
def test_pictures_inside_the_file_are_written_once_by_content(shape: str, tmp_path: Path, read: Any) -> None:
    pictures: list[Any] = [ONE, TWO, ONE, None]
    if shape != "bytes":
        pictures = [{"bytes": data, "path": "x.jpg"} if data else None for data in pictures]
    if shape == "list of structs":
        pictures = [[picture] if picture else None for picture in pictures]
    pl.DataFrame({"id": list("abcd"), "image": pictures}).write_parquet(tmp_path / "rows.parquet")
    got = read("read.parquet", path="rows.parquet")
    first, second, third, none = got.column("images")
    assert first == third != second
    assert none == []
    assert Path(first[0]).read_bytes() == ONE
    assert Path(second[0]).read_bytes() == TWO
    assert Path(first[0]).name == f"{hashlib.sha256(ONE).hexdigest()}.jpg"
    assert len([path for path in (tmp_path / ".datakit" / "pictures").rglob("*") if path.is_file()]) == 2
    before = Path(first[0]).stat().st_mtime_ns
    read("read.parquet", path="rows.parquet", id=None)
    assert Path(first[0]).stat().st_mtime_ns == before
    Path(first[0]).unlink()
    assert read("read.parquet", path="rows.parquet").column("images")[0] == first
    assert Path(first[0]).read_bytes() == ONE


def test_ids_of_pictures_inside_the_file_are_made_of_their_content(tmp_path: Path, read: Any) -> None:
    pl.DataFrame({"image": [ONE, TWO], "label": ["x", "x"]}).write_parquet(tmp_path / "1.parquet")
    pl.DataFrame({"image": [TWO, ONE], "label": ["x", "x"]}).write_parquet(tmp_path / "2.parquet")
    here = read("read.parquet", path="1.parquet").column("id")
    there = read("read.parquet", path="2.parquet").column("id")
    assert here == there[::-1]
    assert here[0] != here[1]


def test_a_struct_with_a_path_only_is_a_path_under_the_root(tmp_path: Path, read: Any) -> None:
    rows = [
        {"bytes": None, "path": "1.jpg"},
        {"bytes": None, "path": "../1.jpg"},
        {"bytes": b"", "path": None},
    ]
    frame = pl.DataFrame(
        {"id": list("abc"), "image": rows},
        schema_overrides={"image": pl.Struct({"bytes": pl.Binary, "path": pl.String})},
    )
    frame.write_parquet(tmp_path / "rows.parquet")
    got = read("read.parquet", path="rows.parquet")
    assert got.column("images") == [[str(tmp_path / "1.jpg")]]
    assert got.reasons == {"b": "image_outside", "c": "image_empty"}


def test_bytes_that_are_no_picture_are_left_out(tmp_path: Path, read: Any) -> None:
    pl.DataFrame({"id": ["a"], "blob": [b"\0\1"]}).write_parquet(tmp_path / "rows.parquet")
    assert "blob" not in read("read.parquet", path="rows.parquet").frame.columns


def test_dialogues_and_image_places_are_checked(tmp_path: Path, read: Any) -> None:
    turns = [{"role": "user", "content": "<image>?"}, {"role": "assistant", "content": "x"}]
    frame = pl.DataFrame(
        {"id": ["a", "b"], "image": [["1.jpg"], ["1.jpg", "2.jpg"]], "messages": [turns] * 2}
    )
    frame.write_parquet(tmp_path / "rows.parquet")
    got = read("read.parquet", path="rows.parquet")
    assert got.column("messages") == [turns]
    assert got.reasons == {"b": "image_places"}


def test_files_that_differ_in_a_type_are_read_together(tmp_path: Path, read: Any) -> None:
    pl.DataFrame({"id": ["a"], "note": [1]}).write_parquet(tmp_path / "1.parquet")
    pl.DataFrame({"id": ["b"], "note": ["x"], "more": [True]}).write_parquet(tmp_path / "2.parquet")
    got = read("read.parquet", path="*.parquet")
    assert got.column("note") == ["1", "x"]
    assert got.column("more") == [None, True]


@pytest.mark.parametrize("cut", [0, 4, 100])
def test_a_file_that_is_no_parquet_or_cut_short_is_an_error(cut: int, tmp_path: Path, read: Any) -> None:
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"id": [f"{n}" for n in range(99)]}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"rows\.parquet"):
        read("read.parquet", path="rows.parquet")


def test_no_rows_and_no_column(tmp_path: Path, read: Any) -> None:
    pl.DataFrame({"id": ["a"], "category": ["x"]}).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(UserError, match="Did you mean `category`"):
        read("read.parquet", path="rows.parquet", label="categry")
    pl.DataFrame(schema={"id": pl.String}).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(UserError, match="holds no record"):
        read("read.parquet", path="rows.parquet")


def test_duplicate_ids_are_rejected(tmp_path: Path, read: Any) -> None:
    pl.DataFrame({"id": ["a", "b", "a"]}).write_parquet(tmp_path / "rows.parquet")
    (reject,) = read("read.parquet", path="rows.parquet").rejects
    assert (reject.id, reject.reason, reject.source_line) == ("a", "duplicate_id", 3)


NAMES = {"_type": "ClassLabel", "names": ["购物车", "订单", "首页"]}
FEATURES = [
    (pl.Series([2, 0, -1, 9]), NAMES, ["首页", "购物车", None, "9"]),
    (
        pl.Series([[0, 1], [], None, [2]]),
        {"_type": "Sequence", "feature": NAMES},
        [["购物车", "订单"], [], None, ["首页"]],
    ),
    (pl.Series([[0], [], None, [2]]), [NAMES], [["购物车"], [], None, ["首页"]]),
    (
        pl.Series([{"kind": 1, "n": 5}, None, {"kind": None, "n": 6}, {"kind": 0, "n": 7}]),
        {"kind": NAMES, "n": {"_type": "Value", "dtype": "int64"}},
        ['{"kind":"订单","n":5}', None, '{"kind":null,"n":6}', '{"kind":"购物车","n":7}'],
    ),
    (
        pl.Series([[{"kind": 1}], [], None, [{"kind": 0}, {"kind": 2}]]),
        {"_type": "List", "feature": {"kind": NAMES}},
        ['[{"kind":"订单"}]', "[]", None, '[{"kind":"购物车"},{"kind":"首页"}]'],
    ),
    (
        pl.Series([{"kind": [1, 0]}, None, {"kind": []}, {"kind": None}]),
        {"_type": "Sequence", "feature": {"kind": NAMES}},
        ['{"kind":["订单","购物车"]}', None, '{"kind":[]}', '{"kind":null}'],
    ),
]


@pytest.mark.parametrize(("values", "feature", "names"), FEATURES, ids=range(len(FEATURES)))
def test_class_numbers_become_names_at_any_depth(
    values: pl.Series, feature: Any, names: Any, tmp_path: Path, read: Any
) -> None:
    frame = pl.DataFrame({"id": ["a", "b", "c", "d"], "kinds": values})
    info = {"huggingface": orjson.dumps({"info": {"features": {"kinds": feature}}}).decode()}
    frame.write_parquet(tmp_path / "rows.parquet", metadata=info)
    assert read("read.parquet", path="rows.parquet").column("kinds") == names


@pytest.mark.parametrize("labels", [[2, 0, None], [2.0, 0.0, float("nan")]])
@pytest.mark.parametrize("note", ["", "{", "[]", '{"info": null}', '{"info": {"features": [1]}}'])
def test_labels_without_names_are_told_and_odd_notes_ignored(
    note: str, labels: list[Any], tmp_path: Path, read: Any
) -> None:
    pl.DataFrame({"label": labels}).write_parquet(tmp_path / "rows.parquet", metadata={"huggingface": note})
    got = read("read.parquet", path="rows.parquet")
    assert got.column("label") == [*map(str, labels[:2]), None]
    (told,) = got.warnings
    assert english_left([told]) == []
    assert told.startswith(f"the labels are numbers without names ({labels[1]}, {labels[0]}): ")


def test_numbers_that_the_label_file_knows_are_not_told(tmp_path: Path, read: Any) -> None:
    pl.DataFrame({"label": [2, 0]}).write_parquet(tmp_path / "rows.parquet")
    labels = LabelSet((Label("首页", aliases=("2",)), Label("购物车", aliases=("0",))))
    assert read("read.parquet", path="rows.parquet", labels=labels).warnings == []
