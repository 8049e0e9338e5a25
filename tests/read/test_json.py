"""read.json: the rows of an array, each a record or a reject with its place in the array."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datakit.core.errors import UserError

ROWS: list[Any] = [
    {"id": "a", "image": "1.jpg", "label": "购物车页面", "note": 1},
    {"id": "b", "image": ["1.jpg", "2.jpg"], "label": 3, "note": "mixed"},
    {"id": "c", "image": None, "label": None},
]


def write(folder: Path, value: Any, encoding: str = "utf-8", indent: int | None = None) -> Path:
    path = folder / "rows.json"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=indent)
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("indent", [None, 2])
def test_rows_of_an_array_are_records_in_order(
    encoding: str, indent: int | None, tmp_path: Path, read: Any
) -> None:
    write(tmp_path, ROWS, encoding, indent)
    got = read("read.json", path="rows.json")
    assert got.column("id") == ["a", "b", "c"]
    assert got.column("source_line") == [1, 2, 3]
    assert got.column("label") == ["购物车页面", "3", None]
    assert [len(images) for images in got.column("images")] == [1, 2, 0]
    assert got.column("note") == ["1", "mixed", None]


def test_the_only_list_of_an_object_holds_the_rows(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"version": "1", "data": ROWS, "about": {"list": "no"}})
    assert read("read.json", path="rows.json").column("id") == ["a", "b", "c"]


def test_the_same_records_as_from_lines_have_the_same_ids(tmp_path: Path, read: Any) -> None:
    rows = [{key: value for key, value in row.items() if key != "id"} for row in ROWS]
    write(tmp_path, rows)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert read("read.json", path="rows.json").column("id") == read("read.jsonl", path="rows.jsonl").column(
        "id"
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": [], "b": []}, "the lists a, b"),
        ({"a": 1}, "no list"),
        ("5", "holds a int, not a list of rows"),
        ("null", "not a list of rows"),
    ],
)
def test_a_document_whose_rows_cannot_be_told_is_an_error(
    value: Any, words: str, tmp_path: Path, read: Any
) -> None:
    write(tmp_path, value)
    with pytest.raises(UserError, match=words):
        read("read.json", path="rows.json")


def test_elements_that_are_no_objects_are_rejected_with_their_place(tmp_path: Path, read: Any) -> None:
    write(tmp_path, [ROWS[0], 5, None, ["x"], ROWS[2]])
    for batch_rows in (1, 2, 4096):
        got = read("read.json", path="rows.json", batch_rows=batch_rows)
        assert got.column("source_line") == [1, 5]
        assert [(reject.reason, reject.source_line) for reject in got.rejects] == [
            ("not_an_object", 2),
            ("not_an_object", 3),
            ("not_an_object", 4),
        ]


def test_a_file_that_is_no_json_is_an_error_with_line_and_column(tmp_path: Path, read: Any) -> None:
    path = write(tmp_path, '[\n  {"id": "a"},\n  {"id": }\n]\n')
    with pytest.raises(UserError) as error:
        read("read.json", path="rows.json")
    assert error.value.where == f"{path}:3:10"


def test_json_lines_are_told_apart_with_the_reader_for_them(tmp_path: Path, read: Any) -> None:
    write(tmp_path, '{"id": "a"}\n{"id": "b"}\n')
    with pytest.raises(UserError, match=r"read\.jsonl"):
        read("read.json", path="rows.json")


def test_a_damaged_byte_is_an_error_with_its_line(tmp_path: Path, read: Any) -> None:
    path = write(tmp_path, ROWS, indent=1)
    path.write_bytes(path.read_bytes().replace("购物车".encode(), b"\xe8\xb4\xe8"))
    with pytest.raises(UserError) as error:
        read("read.json", path="rows.json")
    line = (
        path.read_bytes().split(b"\n").index(next(x for x in path.read_bytes().split(b"\n") if b"\xe8" in x))
    )
    assert error.value.where == f"{path}:{line + 1}"


@pytest.mark.parametrize("content", ["", "  \n", "[]", '{"data": []}'])
def test_an_empty_source_is_an_error(content: str, tmp_path: Path, read: Any) -> None:
    write(tmp_path, content)
    with pytest.raises(UserError, match="holds no record"):
        read("read.json", path="rows.json")


def test_duplicate_ids_are_rejected_with_both_places(tmp_path: Path, read: Any) -> None:
    write(tmp_path, [ROWS[0], ROWS[2], ROWS[0]])
    (reject,) = read("read.json", path="rows.json").rejects
    assert (reject.id, reject.reason, reject.source_line) == ("a", "duplicate_id", 3)
