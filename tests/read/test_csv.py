"""read.csv: values stay what they are, quotes and line breaks are understood, broken lines are named."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from datakit.core.errors import UserError


def write(folder: Path, text: str, name: str = "rows.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_of_a_spreadsheet_is_read(encoding: str, end: str, tmp_path: Path, read: Any) -> None:
    lines = ["id,image,label,note", "00123,1.jpg,购物车页面,一", "b,2.jpg,退货页面,"]
    write(tmp_path, end.join(lines) + end, encoding=encoding)
    got = read("read.csv", path="rows.csv")
    assert got.column("id") == ["00123", "b"]
    assert got.column("label") == ["购物车页面", "退货页面"]
    assert got.column("note") == ["一", None]
    assert got.column("source_line") == [2, 3]


def test_quoted_values_may_hold_delimiters_quotes_and_line_breaks(tmp_path: Path, read: Any) -> None:
    write(tmp_path, 'id,text,note\na,"一,二","他说""好"""\nb,"第一行\n第二行\r\n第三行",x\nc,d,e\n')
    got = read("read.csv", path="rows.csv")
    assert got.column("text") == ["一,二", "第一行\n第二行\r\n第三行", "d"]
    assert got.column("note") == ['他说"好"', "x", "e"]
    assert got.column("source_line") == [2, 3, 6]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_in_the_header(delimiter: str, tmp_path: Path, read: Any) -> None:
    write(tmp_path, delimiter.join(["id", "label", '"a,b;c|d"']) + "\n" + delimiter.join("1x2") + "\n")
    got = read("read.csv", path="rows.csv")
    assert got.column("label") == ["x"]
    assert got.column("a,b;c|d") == ["2"]


def test_tsv_and_a_delimiter_of_ones_own(tmp_path: Path, read: Any) -> None:
    write(tmp_path, "id\tlabel\n1,2\tx\n", name="rows.tsv")
    assert read("read.csv", path="rows.tsv").column("id") == ["1,2"]
    write(tmp_path, "id:label\n1,2:x\n")
    assert read("read.csv", path="rows.csv", delimiter=":").column("id") == ["1,2"]


def test_lists_in_values_are_pictures_and_dialogues(tmp_path: Path, read: Any) -> None:
    turns = [{"role": "user", "content": "<image><image>?"}, {"role": "assistant", "content": "x"}]
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(["id", "image", "messages"])
    table.writerow(["a", '["1.jpg", "2.jpg"]', json.dumps(turns)])
    table.writerow(["b", "1.jpg", ""])
    write(tmp_path, out.getvalue())
    got = read("read.csv", path="rows.csv")
    assert got.column("messages") == [turns, None]
    assert [len(images) for images in got.column("images")] == [2, 1]


def test_lines_with_too_few_or_too_many_values_are_rejected(tmp_path: Path, read: Any) -> None:
    path = write(tmp_path, "id,label\na,x\nb\nc,x,y\nd,x\n")
    for batch_rows in (1, 4096):
        got = read("read.csv", path="rows.csv", batch_rows=batch_rows)
        assert got.column("id") == ["a", "d"]
        assert [(r.id, r.reason, r.source_line, r.source_file) for r in got.rejects] == [
            ("rows.csv:3", "ragged_row", 3, str(path)),
            ("rows.csv:4", "ragged_row", 4, str(path)),
        ]
    assert got.rejects[0].detail == "line 3 has 1 values, the header names 2 columns"


def test_a_quote_that_is_never_closed_costs_its_line_and_not_the_rest(tmp_path: Path, read: Any) -> None:
    write(tmp_path, 'id,label\na,x\nb,"open\nc,x\nd,x\n')
    got = read("read.csv", path="rows.csv")
    assert got.column("id") == ["a", "c", "d"]
    assert got.column("source_line") == [2, 4, 5]
    (reject,) = got.rejects
    assert (reject.reason, reject.source_line) == ("bad_csv", 3)


def test_a_quote_inside_a_value_costs_its_line(tmp_path: Path, read: Any) -> None:
    write(tmp_path, 'id,label\na,"x"y\nb,x\n')
    got = read("read.csv", path="rows.csv")
    assert got.column("id") == ["b"]
    assert got.rejects[0].reason == "bad_csv"


def test_a_damaged_byte_costs_its_line(tmp_path: Path, read: Any) -> None:
    path = write(tmp_path, "id,label\na,购物车页面\nb,退货页面\nc,退货页面\n")
    path.write_bytes(path.read_bytes().replace("购物车".encode(), b"\xe8\xb4\xe8"))
    got = read("read.csv", path="rows.csv")
    assert got.column("id") == ["b", "c"]
    assert [(reject.reason, reject.source_line) for reject in got.rejects] == [("bad_encoding", 2)]


def test_blank_lines_are_no_records(tmp_path: Path, read: Any) -> None:
    write(tmp_path, "\nid,label\n\na,x\n\n\nb,x\n")
    got = read("read.csv", path="rows.csv")
    assert got.column("source_line") == [4, 7]
    assert got.rejects == []


@pytest.mark.parametrize(
    ("header", "words"),
    [("id,label,label", "two columns `label`"), ("id,,label", "column 2 has no name"), ('id,"la', "header")],
)
def test_a_faulty_header_is_an_error_with_its_line(
    header: str, words: str, tmp_path: Path, read: Any
) -> None:
    path = write(tmp_path, f"{header}\na,b,c\n")
    with pytest.raises(UserError, match=words) as error:
        read("read.csv", path="rows.csv")
    assert error.value.where == f"{path}:1"


@pytest.mark.parametrize("content", ["", "\n\n", "id,label\n", "\ufeff"])
def test_a_table_without_rows_is_an_error(content: str, tmp_path: Path, read: Any) -> None:
    write(tmp_path, content)
    with pytest.raises(UserError, match="holds no record"):
        read("read.csv", path="rows.csv")


def test_a_missing_column_is_named(tmp_path: Path, read: Any) -> None:
    write(tmp_path, "id,category\na,x\n")
    with pytest.raises(UserError, match=r"no column `categry`.*\n.*Did you mean `category`"):
        read("read.csv", path="rows.csv", label="categry")


def test_a_name_that_begins_like_a_list_is_a_name(tmp_path: Path, read: Any) -> None:
    write(tmp_path, "id,image\na,[old] 1.jpg\n")
    assert read("read.csv", path="rows.csv").column("images") == [[str(tmp_path / "[old] 1.jpg")]]


def test_a_value_longer_than_pythons_own_limit_costs_its_line(tmp_path: Path, read: Any) -> None:
    write(tmp_path, f"id,text\na,{'长' * 150_000}\nb,x\n")
    got = read("read.csv", path="rows.csv")
    assert got.column("id") == ["b"]
    assert "larger than field limit" in got.rejects[0].detail


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), max_size=8)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8), batch_rows=st.integers(1, 9))
@example(cells=[("", "\r"), ("\n", "x\r\n")], batch_rows=1)
def test_what_pythons_writer_writes_comes_back(
    cells: list[tuple[str, str]], batch_rows: int, tmp_path: Path, read: Any
) -> None:
    out = io.StringIO(newline="")
    table = csv.writer(out)
    table.writerow(["id", "one", "two"])
    table.writerows([f"r{n}", *pair] for n, pair in enumerate(cells))
    write(tmp_path, out.getvalue())
    got = read("read.csv", path="rows.csv", delimiter=",", batch_rows=batch_rows, encoding="utf-8")
    assert got.rejects == []
    assert list(got.frame.select("one", "two").rows()) == [(a or None, b or None) for a, b in cells]
