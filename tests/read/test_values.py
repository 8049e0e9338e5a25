"""Values of sources as they are meant: labels, ids, pictures and oddities, each with the right outcome."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.core.labels import Label, LabelSet, visible_form


def write(folder: Path, *rows: Any, name: str = "rows.jsonl") -> None:
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    (folder / name).write_text("".join(line + "\n" for line in lines), "utf-8")


MISSING = [
    "nan",
    "NaN",
    "NULL",
    "null",
    "None",
    "N/A",
    "NA",
    "<NA>",
    "#N/A",
    " none ",
    "无",
    "\u200b",
    "",
    "[]",
]


@pytest.mark.parametrize("word", MISSING)
@pytest.mark.parametrize("name", ["read.csv", "read.jsonl"])
def test_a_word_for_no_label_is_no_class(word: str, name: str, tmp_path: Path, read: Any) -> None:
    if name == "read.csv":
        (tmp_path / "rows").write_text(f'id,label\na,"{word}"\nb,x\nc,"{word}"\n', "utf-8")
    else:
        write(
            tmp_path,
            {"id": "a", "label": word},
            {"id": "b", "label": "x"},
            {"id": "c", "label": word},
            name="rows",
        )
    got = read(name, path="rows")
    assert got.column("label") == [None, "x", None]
    if word:
        (told,) = got.warnings
        assert told.startswith("2 labels are read as none")
        assert told.endswith("2. A class of that name must stand in the label file")


@pytest.mark.parametrize("value", ["[]", "{}", "NaN", "null", '""'])
def test_blank_values_are_no_label(value: str, tmp_path: Path, read: Any) -> None:
    write(tmp_path, '{"id": "a", "label": ' + value + "}", {"id": "b", "label": "x"})
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column("label") == [None, "x"]
    assert got.rejects == []


def test_missing_labels_of_parquet_are_none(tmp_path: Path, read: Any) -> None:
    pl.DataFrame({"id": ["a", "b"], "label": [float("nan"), 1.0]}).write_parquet(tmp_path / "rows.parquet")
    assert read("read.parquet", path="rows.parquet").column("label") == [None, "1.0"]


@pytest.mark.parametrize("word", ["None", "无", "N/A"])
def test_the_label_file_makes_such_a_word_a_class(word: str, tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"id": "a", "label": word}, {"id": "b", "label": "x"})
    got = read("read.jsonl", path="rows.jsonl", labels=LabelSet((Label(word), Label("x"))))
    assert got.column("label") == [word, "x"]
    assert got.warnings == []


SAME = [
    "购物车\u200b", "\ufeff购物车", "购\u00ad物车", "\u202a购物车\u202c", "购物车\ufe0f", "购物车\u00a0",
    "\u3000购物车", "购\u2060物\u200d车", "购物车\x00", "\u200e购物车\U000e0100", "购物车\t",
]  # fmt: skip


def test_labels_that_look_the_same_are_one_class_and_are_shown(tmp_path: Path, read: Any) -> None:
    write(tmp_path, *({"id": str(at), "label": label} for at, label in enumerate(["购物车", *SAME])))
    got = read("read.jsonl", path="rows.jsonl")
    assert set(got.column("label")) == {"购物车"}
    (told,) = got.warnings
    assert told.startswith(
        "11 labels are read without hidden signs and odd blanks: `\\u200e购物车\\U000e0100` 1, "
    )
    assert told.endswith(" and 6 more")
    assert visible_form(told) == told


def test_composed_and_decomposed_labels_are_one_class(tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"id": "a", "label": "caf\u00e9"}, {"id": "b", "label": "cafe\u0301"})
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column("label") == ["caf\u00e9"] * 2
    assert "`cafe\\u0301` 1" in got.warnings[0]


@pytest.mark.parametrize(
    "label", ["👩\u200d⚕", "می\u200cخواهم", "a b", "Hello  world", "x\ty", "长" * 101 + "\u200b"]
)
def test_what_shapes_a_label_stays(label: str, tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"id": "a", "label": label})
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column("label") == [label]
    assert got.warnings == []


def test_texts_are_never_folded(tmp_path: Path, read: Any) -> None:
    text = "第一行\u3000\n第二行\u200b"
    write(tmp_path, {"id": "a", "label": text, "text": text})
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column("label") == got.column("text") == [text]


NUMBERS = [
    2025112622001404561402345678, 18446744073709551616, 18446744073709551615, 9223372036854775808,
    -9223372036854775809, 10**40, 10**18, 7,
]  # fmt: skip


@pytest.mark.parametrize("name", ["read.jsonl", "read.json"])
def test_whole_numbers_keep_every_digit(name: str, tmp_path: Path, read: Any) -> None:
    rows = [{"id": n, "label": n, "order": n, "deep": {"n": [n]}} for n in NUMBERS]
    write(tmp_path, *(rows if name == "read.jsonl" else [rows]), name="rows")
    got = read(name, path="rows")
    texts = [str(n) for n in NUMBERS]
    assert got.column("id") == got.column("label") == got.column("order") == texts
    assert [json.loads(value)["n"][0] for value in got.column("deep")] == NUMBERS


def test_whole_numbers_of_parquet_keep_every_digit(tmp_path: Path, read: Any) -> None:
    wide = [2**64 - 1, 2**63]
    frame = pl.DataFrame({"id": wide, "big": wide}, schema={"id": pl.UInt64, "big": pl.Decimal(38, 0)})
    frame.write_parquet(tmp_path / "rows.parquet")
    got = read("read.parquet", path="rows.parquet")
    assert got.column("id") == got.column("big") == [str(n) for n in wide]


def test_csv_keeps_zeros_and_digits(tmp_path: Path, read: Any) -> None:
    (tmp_path / "rows.csv").write_text("id,label\n0012,007\n2025112622001404561402345678,1\n")
    got = read("read.csv", path="rows.csv")
    assert got.column("id") == ["0012", "2025112622001404561402345678"]
    assert got.column("label") == ["007", "1"]


@pytest.mark.parametrize("rounded", ["1.23457E+18", "2E+18", "2.0251126220014046e+27", 2.0251126220014046e27])
def test_an_id_that_was_rounded_is_rejected(rounded: Any, tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"id": rounded}, {"id": "1.23457e18a"}, {"id": "12345e678901"}, {"id": 1.5})
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column("id") == ["1.23457e18a", "12345e678901", "1.5"]
    (reject,) = got.rejects
    assert reject.reason == "id_rounded"
    assert "export the column as text" in reject.detail


PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 3000).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 12).decode()


URI = f"data:image/png;base64,{PNG}"
RAW = [
    (value, words, column)
    for column in ("image", "messages")
    for value, words in (
        (PNG, f"raw base64 of {len(PNG):,} characters"),
        (JPEG, f"raw base64 of {len(JPEG):,} characters"),
        ([JPEG], f"raw base64 of {len(JPEG):,} characters"),
        ("QUJD" * 2000, "raw base64 of 8,000 characters"),
    )
]


@pytest.mark.parametrize(  # inside a chat a data URI is a picture, as OpenAI has it
    ("value", "words", "column"),
    [(URI, f"a data URI (image/png;base64) of {len(PNG):,} characters", "image"), *RAW],
)
def test_base64_is_named_and_never_printed(
    value: Any, words: str, column: str, tmp_path: Path, read: Any
) -> None:
    part = {"type": "image_url", "image_url": {"url": value if isinstance(value, str) else value[0]}}
    turns = [{"role": "user", "content": [part]}, {"role": "assistant", "content": "x"}]
    write(
        tmp_path, {"id": "a", column: turns if column == "messages" else value}, {"id": "b", "image": "1.jpg"}
    )
    got = read("read.jsonl", path="rows.jsonl")
    (reject,) = got.rejects
    assert (reject.id or "rows.jsonl:1", reject.reason) == ("a", "image_not_a_path")
    assert words in reject.detail
    assert len(reject.detail) < 200


@pytest.mark.parametrize("path", ["a/" * 100 + "1.jpg", "AAAA" + "b" * 80 + ".jpg", "x" * 90 + "/1.jpg"])
def test_a_long_path_is_a_path(path: str, tmp_path: Path, read: Any) -> None:
    write(tmp_path, {"id": "a", "image": path})
    assert read("read.jsonl", path="rows.jsonl").column("images") == [[str(tmp_path / path)]]


ODD = {
    "[1, 2]": "not_an_object",
    "7": "not_an_object",
    '"text"': "not_an_object",
    '{"id": "x"': "bad_json",
    '{"id": "x", "label": "\\ud800"}': "bad_encoding",
    '{"\\udfff": 1}': "bad_encoding",
    '{"id": "x", "label": {"a": 1}}': "label_not_text",
    '{"id": "x", "label": ["a", "b"]}': "label_not_text",
    '{"id": "x", "text": ["a"]}': "text_not_text",
    '{"id": "x", "image": 5}': "image_not_a_path",
    '{"id": "x", "image": "a\\u0000b.jpg"}': "image_not_a_path",
    '{"id": "x", "messages": 7}': "messages_format",
    "\x00\x00": "bad_json",
    "[" * 5000: "bad_json",
    '{"id": ' + "9" * 5000 + "}": "bad_json",
}
GOOD = [{"id": f"g{at}", "label": "好", "image": "1.jpg", "text": "t", "messages": None} for at in range(3)]


@pytest.mark.parametrize(
    ("odd", "reason"), ODD.items(), ids=[f"{at}-{reason}" for at, reason in enumerate(ODD.values())]
)
@pytest.mark.parametrize("batch_rows", [1, 4096])
def test_one_odd_line_is_a_reject_with_its_place(
    odd: str, reason: str, batch_rows: int, tmp_path: Path, read: Any
) -> None:
    write(tmp_path, GOOD[0], odd, *GOOD[1:])
    got = read("read.jsonl", path="rows.jsonl", batch_rows=batch_rows)
    assert got.column("id") == ["g0", "g1", "g2"]
    (reject,) = got.rejects
    assert (reject.reason, reject.source_line) == (reason, 2)
    assert reject.detail


@pytest.mark.parametrize(
    ("odd", "reason"), [(odd, reason) for odd, reason in ODD.items() if reason != "bad_json"]
)
def test_one_odd_element_of_an_array_is_a_reject_with_its_place(
    odd: str, reason: str, tmp_path: Path, read: Any
) -> None:
    rows = [json.dumps(row) for row in GOOD]
    (tmp_path / "rows.json").write_text(f"[{rows[0]}, {odd}, {rows[1]}, {rows[2]}]", "utf-8")
    got = read("read.json", path="rows.json")
    assert got.column("id") == ["g0", "g1", "g2"]
    (reject,) = got.rejects
    assert (reject.reason, reject.source_line) == (reason, 2)


def test_not_a_number_is_a_value_like_others(tmp_path: Path, read: Any) -> None:
    write(
        tmp_path, '{"id": "a", "score": NaN}', '{"id": "b", "score": Infinity}', '{"id": "c", "score": 0.5}'
    )
    assert [str(value) for value in read("read.jsonl", path="rows.jsonl").column("score")] == [
        "nan",
        "inf",
        "0.5",
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [("x,y,z", "ragged_row"), ("x", "ragged_row"), (f"x,{'长' * 140_000}", "bad_csv"), ('x,"y', "bad_csv")],
)
def test_one_odd_line_of_a_table_is_a_reject_with_its_place(
    line: str, reason: str, tmp_path: Path, read: Any
) -> None:
    (tmp_path / "rows.csv").write_text(f"id,label\na,1\n{line}\nb,2\nc\x00,3\n", "utf-8")
    got = read("read.csv", path="rows.csv")
    assert got.column("label") == ["1", "2", "3"]
    assert [(reject.reason, reject.source_line) for reject in got.rejects] == [(reason, 3)]


WORDS_FOR_NO_TEXT = ["nan", "NaN", "None", "NULL", "n/a", "N/A", "<NA>", "#N/A", " null ", "nan\u200b"]


@pytest.mark.parametrize("word", [*WORDS_FOR_NO_TEXT, "无", "無"])
@pytest.mark.parametrize("column", ["reason", "description", "label_reason", "理由", "商品描述"])
def test_a_word_for_no_reason_is_none_and_counted(word: str, column: str, tmp_path: Path, read: Any) -> None:
    rows = [{"id": "a", column: word}, {"id": "b", column: "有购物车图标"}, {"id": "c", column: word}]
    write(tmp_path, *map(json.dumps, rows))
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column(column) == [None, "有购物车图标", None]
    assert got.warnings == [
        f"2 texts are read as none in `{column}`, by a word for no value: `{word.strip()}` 2"
    ]


@pytest.mark.parametrize("column", ["text", "question", "answer", "问题"])
def test_an_answer_that_says_nothing_is_none_but_people_answer_so(
    column: str, tmp_path: Path, read: Any
) -> None:
    texts = [*WORDS_FOR_NO_TEXT, "无", "[]", "没有"]
    write(tmp_path, *(json.dumps({"id": str(at), column: text}) for at, text in enumerate(texts)))
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column(column) == [None] * len(WORDS_FOR_NO_TEXT) + ["无", "[]", "没有"]
    assert got.warnings[0].startswith(f"10 texts are read as none in `{column}`")


def test_such_a_word_in_the_label_file_or_in_another_column_stays(tmp_path: Path, read: Any) -> None:
    write(tmp_path, '{"id": "a", "answer": "None", "reason": "nan", "colour": "None", "label": "None"}')
    got = read("read.jsonl", path="rows.jsonl", labels=LabelSet((Label("None"),)))
    assert [got.column(name)[0] for name in ("answer", "reason", "colour", "label")] == [
        "None",
        None,
        "None",
        "None",
    ]


@pytest.mark.parametrize("name", ["read.csv", "read.json", "read.parquet"])
def test_every_table_reads_such_words_so(name: str, tmp_path: Path, read: Any) -> None:
    frame = pl.DataFrame({"id": ["a", "b"], "reason": ["nan", "有图标"]})
    file = {"read.csv": "r.csv", "read.json": "r.json", "read.parquet": "r.parquet"}[name]
    writers = {"r.csv": frame.write_csv, "r.json": frame.write_json, "r.parquet": frame.write_parquet}
    writers[file](tmp_path / file)
    got = read(name, path=file)
    assert got.column("reason") == [None, "有图标"]
    assert len(got.warnings) == 1


@pytest.mark.parametrize("word", ["nan", "null", "NaN", "<NA>"])
def test_an_answer_of_a_dialogue_that_a_program_wrote_for_none_is_rejected(
    word: str, tmp_path: Path, read: Any
) -> None:
    chats = [
        [{"role": "user", "content": "?"}, {"role": "assistant", "content": answer}]
        for answer in (word, "无")
    ]
    write(tmp_path, *(json.dumps({"id": str(at), "messages": chat}) for at, chat in enumerate(chats)))
    got = read("read.jsonl", path="rows.jsonl")
    assert got.column("id") == ["1"]
    assert got.reasons == {"0": "answer_empty"}


@pytest.mark.parametrize("word", WORDS_FOR_NO_TEXT[:7])
def test_an_answer_or_question_of_alpaca_that_says_nothing_is_missing(
    word: str, tmp_path: Path, read: Any
) -> None:
    rows = [
        {"instruction": "?", "output": word},
        {"instruction": word, "output": "x"},
        {"instruction": "?", "output": "无"},
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows), "utf-8")
    got = read("read.alpaca", path="rows.json")
    assert [turns[-1]["content"] for turns in got.column("messages")] == ["无"]
    assert sorted(got.reasons.values()) == ["instruction_missing", "output_missing"]
