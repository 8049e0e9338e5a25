"""read.json: the rows of an array, each a record or a reject with its place in the array."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[\n  {"id": "a"},\n  {"id": "b"', "3:13"),
        ('[\n  {"id": "a"}\n  {"id": "b"}\n]\n', "3:3"),
        ('{"data":\n nothing}', "2:2"),
    ],
)
def test_a_file_that_is_no_json_is_an_error_with_line_and_column(
    text: str, place: str, tmp_path: Path, read: Any
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UserError) as error:
        read("read.json", path="rows.json")
    assert error.value.where == f"{path}:{place}"


def test_json_lines_are_told_apart_with_the_reader_for_them(tmp_path: Path, read: Any) -> None:
    write(tmp_path, '{"id": "a"}\n{"id": "b"}\n')
    with pytest.raises(UserError, match=r"read\.jsonl"):
        read("read.json", path="rows.json")


MANY = [
    {"id": f"g{at}", "label": "购物车页面", "messages": None, "facts": [{"x": 1}, {"x": 2}]}
    for at in range(5)
]
TEXTS = [json.dumps(row, ensure_ascii=False) for row in MANY]
DAMAGED = {
    "a broken byte in a text": (TEXTS[2].encode().replace(b"\xe8\xb4", b"\xe8\xff"), "bad_encoding"),
    "a broken byte between texts": (TEXTS[2].encode().replace(b'"id": ', b'"id": \xff'), "bad_encoding"),
    "a broken byte before it": (b"\xff" + TEXTS[2].encode(), "bad_encoding"),
    "half a surrogate pair": (TEXTS[2].replace("购", "\\ud83d").encode(), "bad_encoding"),
    "a control character": (TEXTS[2].replace("购", "\x01").encode(), "bad_json"),
    "a line break in a text": (TEXTS[2].replace("购", "\n").encode(), "bad_json"),
    "no value": (TEXTS[2].replace("null", "").encode(), "bad_json"),
    "no comma": (TEXTS[2].replace(", ", " ").encode(), "bad_json"),
    "no quotation mark at an end": (TEXTS[2].replace('页面"', "页面").encode(), "bad_json"),
    "no quotation mark at a start": (TEXTS[2].replace('"购', "购").encode(), "bad_json"),
    "no brace at its end": (TEXTS[2][:-1].encode(), "bad_json"),
    "a brace before a name": (TEXTS[2].replace(', "label"', ',{"label"').encode(), "bad_json"),
    "a brace behind a value": (TEXTS[2].replace('"g2"', '"g2"}').encode(), "bad_json"),
    "no brace at its start": (TEXTS[2][1:].encode(), "bad_json"),
    "no bracket inside": (TEXTS[2].replace("[", "").encode(), "bad_json"),
    "a word of Python": (TEXTS[2].replace("null", "None").encode(), "bad_json"),
    "an unknown escape": (TEXTS[2].replace("购", "\\x").encode(), "bad_json"),
    "too many digits": (TEXTS[2].replace("null", "9" * 5000).encode(), "bad_json"),
    "no end of brackets": (b"[" * 5000 + b"]" * 5000, "bad_json"),
    "nothing": (b"", "bad_json"),
    "a text without quotation marks": (b"oops", "bad_json"),
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("between", [b", ", b",\n  "])
@pytest.mark.parametrize("around", [(b"[", b"]"), (b'{"version": "1", "data": [', b'], "about": {"x": 1}}')])
@pytest.mark.parametrize("first", [False, True])
def test_a_damaged_element_is_a_reject_and_the_others_are_read(
    damage: str, between: bytes, around: tuple[bytes, bytes], first: bool, tmp_path: Path, read: Any
) -> None:
    odd, reason = DAMAGED[damage]
    others = [text.encode() for at, text in enumerate(TEXTS) if at != 2]
    place = 0 if first else 2
    elements = [*others[:place], odd, *others[place:]]
    path = tmp_path / "rows.json"
    path.write_bytes(around[0] + between.join(elements) + around[1])
    for batch_rows in (1, 4096):
        got = read("read.json", path="rows.json", batch_rows=batch_rows)
        assert got.column("id") == ["g0", "g1", "g3", "g4"]
        assert got.column("label") == ["购物车页面"] * 4
        (reject,) = got.rejects
        assert (reject.reason, reject.source_line, reject.source_file) == (reason, place + 1, str(path))
        line = place + 1 if b"\n" in between else 1
        if "surrogate" not in damage:
            assert reject.detail.startswith(f"element {place + 1}, line {line}")


def test_two_damaged_elements_are_two_rejects(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "rows.json"
    odd = TEXTS[2].encode().replace(b"\xe8\xb4", b"\xe8\xff")
    path.write_bytes(b"[" + b",\n".join([TEXTS[0].encode(), odd, odd, TEXTS[1].encode()]) + b"]")
    got = read("read.json", path="rows.json")
    assert got.column("id") == ["g0", "g1"]
    assert [reject.source_line for reject in got.rejects] == [2, 3]


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-8"])
def test_a_damaged_byte_costs_its_element_in_any_encoding(encoding: str, tmp_path: Path, read: Any) -> None:
    labels = ["购物车页面", "订单", "退货页面", "商品详情", "支付成功", "搜索结果"]
    rows = [{"id": str(at), "label": labels[at % 6]} for at in range(30)]
    data = json.dumps(rows, ensure_ascii=False, indent=1).encode(encoding)
    codec = "utf-16-le" if encoding == "utf-16" else encoding
    at = data.index("退货页面".encode(codec))
    broken = b"\x00\xd8" if encoding == "utf-16" else b"\xff\xff"
    (tmp_path / "rows.json").write_bytes(data[:at] + broken + data[at + 2 :])
    got = read("read.json", path="rows.json")
    assert got.column("id") == [str(number) for number in range(30) if number != 2]
    assert [(reject.reason, reject.source_line) for reject in got.rejects] == [("bad_encoding", 3)]


def test_an_element_of_utf_8_in_an_old_array_is_rejected(tmp_path: Path, read: Any) -> None:
    labels = ["购物车页面", "订单", "退货页面", "商品详情", "支付成功", "搜索结果"]
    old = [json.dumps({"id": str(at), "label": label}, ensure_ascii=False) for at, label in enumerate(labels)]
    strange = '{"id": "x", "label": "购物车页面的商品"}'.encode()
    (tmp_path / "rows.json").write_bytes(
        b"[" + b",".join([*(row.encode("gbk") for row in old), strange]) + b"]"
    )
    got = read("read.json", path="rows.json")
    assert got.column("label") == labels
    assert [(reject.reason, reject.source_line) for reject in got.rejects] == [("bad_encoding", 7)]


@given(at=st.integers(0, 10_000), sign=st.binary(min_size=1, max_size=1), indent=st.sampled_from([None, 1]))
@example(at=826, sign=b"{", indent=1)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_byte_of_one_element_may_be_another(
    at: int, sign: bytes, indent: int | None, tmp_path: Path, read: Any
) -> None:
    texts = [json.dumps(row, ensure_ascii=False, indent=indent).encode() for row in MANY]
    at %= len(texts[2])
    texts[2] = texts[2][:at] + sign + texts[2][at + 1 :]
    (tmp_path / "rows.json").write_bytes(b"[" + b",\n".join(texts) + b"]")
    got = read("read.json", path="rows.json")
    ids = [id_ for id_ in got.column("id") if id_ in ("g0", "g1", "g3", "g4")]
    assert ids[:2] == ["g0", "g1"]
    assert ids[-2:] == ["g3", "g4"]
    assert len(got.frame) + len(got.rejects) == 5


@pytest.mark.parametrize("content", ["", "  \n", "[]", '{"data": []}'])
def test_an_empty_source_is_an_error(content: str, tmp_path: Path, read: Any) -> None:
    write(tmp_path, content)
    with pytest.raises(UserError, match="holds no record"):
        read("read.json", path="rows.json")


def test_duplicate_ids_are_rejected_with_both_places(tmp_path: Path, read: Any) -> None:
    write(tmp_path, [ROWS[0], ROWS[2], ROWS[0]])
    (reject,) = read("read.json", path="rows.json").rejects
    assert (reject.id, reject.reason, reject.source_line) == ("a", "duplicate_id", 3)


@pytest.mark.parametrize("by", range(1, 60))
def test_an_array_that_is_cut_anywhere_is_an_error_or_rejects_what_is_cut(
    by: int, tmp_path: Path, read: Any
) -> None:
    rows = [{"id": f"r{number}", "text": "页 a", "label": ["甲", "乙"]} for number in range(3)]
    whole = json.dumps(rows, ensure_ascii=False)
    path = write(tmp_path, whole[: len(whole) - by])
    try:
        got = read("read.json", path="rows.json")
    except UserError as error:
        places = str(error)
    else:
        assert got.column("id") == ["r0", "r1", "r2"][: len(got.column("id"))]
        places = " ".join(reject.source_file or "" for reject in got.rejects)
    assert str(path) in places
