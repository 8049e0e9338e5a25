"""Text readers in every encoding: what was written comes back, or the file is refused with candidates."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import datakit
from datakit.core.errors import UserError

TEXTS = {
    "gb18030": ["购物车页面", "订单", "退货页面", "商品详情"],
    "big5": ["購物車頁面", "訂單", "退貨頁面", "商品詳情"],
    "shift_jis": ["カート画面", "注文", "返品", "商品詳細"],
    "euc_jp": ["カート画面", "注文", "返品", "商品詳細"],
    "cp949": ["장바구니 화면", "주문 내역", "반품 신청", "상품상세 정보"],
}
UNICODE = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
ESCAPED = [("iso2022_jp", "shift_jis"), ("iso2022_kr", "cp949")]
PAIRS = [(name, name) for name in TEXTS] + [(encoding, "gb18030") for encoding in UNICODE] + ESCAPED
Table = Callable[[list[dict[str, Any]]], str]


def as_csv(rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    table = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return out.getvalue()


def as_jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def as_json(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, ensure_ascii=False)


WRITERS: dict[str, tuple[str, Table]] = {
    "read.csv": ("rows.csv", as_csv),
    "read.jsonl": ("rows.jsonl", as_jsonl),
    "read.json": ("rows.json", as_json),
}


@pytest.mark.parametrize(("encoding", "texts"), PAIRS)
@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("batch_rows", [2, 4096])
def test_rows_come_back_with_their_lines(
    name: str, encoding: str, texts: str, batch_rows: int, tmp_path: Path, read: Any
) -> None:
    file, write = WRITERS[name]
    rows = [{"id": str(at), "label": text} for at, text in enumerate(TEXTS[texts])]
    (tmp_path / file).write_bytes(write(rows).encode(encoding))
    got = read(name, path=file, batch_rows=batch_rows)
    assert got.column("label") == TEXTS[texts]
    first = 2 if name == "read.csv" else 1
    assert got.column("source_line") == list(range(first, first + 4))
    plain = encoding.startswith("utf-8")
    assert bool(got.warnings) is not plain
    if not plain:
        assert got.warnings[0].startswith(f"{file} is read as ")
        assert got.warnings[0].endswith("not UTF-8")


@pytest.mark.parametrize("encoding", TEXTS)
@pytest.mark.parametrize("file", ["rows.json", "rows.jsonl", "rows.csv"])
def test_alpaca_and_llamafactory_read_them_too(encoding: str, file: str, tmp_path: Path, read: Any) -> None:
    write = {"rows.json": as_json, "rows.jsonl": as_jsonl, "rows.csv": as_csv}[file]
    rows = [{"instruction": text, "output": text * 2} for text in TEXTS[encoding]]
    (tmp_path / file).write_bytes(write(rows).encode(encoding))
    answers = [text * 2 for text in TEXTS[encoding]]
    got = read("read.alpaca", path=file)
    assert [turns[-1]["content"] for turns in got.column("messages")] == answers
    (tmp_path / "dataset_info.json").write_bytes(
        b"\xef\xbb\xbf" + json.dumps({"x": {"file_name": file}}).encode()
    )
    got = read("read.llamafactory", path=".", dataset="x")
    assert [turns[-1]["content"] for turns in got.column("messages")] == answers


@pytest.mark.parametrize("name", WRITERS)
def test_two_encodings_that_fit_are_refused_with_both_until_one_is_named(
    name: str, tmp_path: Path, read: Any
) -> None:
    file, write = WRITERS[name]
    (tmp_path / file).write_bytes(write([{"id": "1", "label": "쿠폰"}]).encode("cp949"))
    with pytest.raises(UserError) as caught:
        read(name, path=file)
    told = str(caught.value)
    assert file in told
    assert "`encoding: cp949`" in told
    assert "`encoding: gb18030`" in told
    for spelling in ("cp949", "euc-kr", "uhc"):
        got = read(name, path=file, encoding=spelling)
        assert got.column("label") == ["쿠폰"]
        assert got.warnings == [f"{file} is read as cp949, not UTF-8"]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(("encoding", "texts"), [("utf-7", "cp949"), ("utf-7", "gb18030"), ("hz", "gb18030")])
def test_signs_that_are_plain_text_too_are_refused_until_one_encoding_is_named(
    name: str, encoding: str, texts: str, tmp_path: Path, read: Any
) -> None:
    file, write = WRITERS[name]
    rows = [{"id": str(at), "label": text} for at, text in enumerate(TEXTS[texts])]
    (tmp_path / file).write_bytes(write(rows).encode(encoding))
    with pytest.raises(UserError, match=f"`encoding: utf-8` or `encoding: {encoding}`"):
        read(name, path=file)
    assert read(name, path=file, encoding=encoding).column("label") == TEXTS[texts]


@pytest.mark.parametrize("name", ["read.csv", "read.jsonl"])
@pytest.mark.parametrize(("encoding", "texts"), ESCAPED)
def test_a_damaged_escape_costs_its_line(
    name: str, encoding: str, texts: str, tmp_path: Path, read: Any
) -> None:
    file, write = WRITERS[name]
    rows = [{"id": str(at), "label": TEXTS[texts][at % 4]} for at in range(40)]
    lines = write(rows).encode(encoding).splitlines(keepends=True)
    lines[8] = lines[8][:-8] + b"\xff" + lines[8][-8:]
    (tmp_path / file).write_bytes(b"".join(lines))
    got = read(name, path=file, encoding=encoding)
    assert len(got.frame) == 39
    assert [(reject.reason, reject.source_line) for reject in got.rejects] == [("bad_encoding", 9)]


def test_an_encoding_that_is_none_of_the_known_ones_is_asked_for(tmp_path: Path, read: Any) -> None:
    (tmp_path / "rows.csv").write_bytes("id,label\n1,café\n2,naïve\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"in no encoding that can be told\n.*encoding: cp1252"):
        read("read.csv", path="rows.csv")
    assert read("read.csv", path="rows.csv", encoding="latin-1").column("label") == ["café", "naïve"]


def test_a_name_that_is_no_encoding_is_an_error_of_the_recipe(tmp_path: Path, read: Any) -> None:
    with pytest.raises(Exception, match="`utf-9` is no encoding"):
        read("read.csv", path="rows.csv", encoding="utf-9")


@pytest.mark.parametrize("name", ["read.csv", "read.jsonl"])
@pytest.mark.parametrize("encoding", ["utf-8", *TEXTS])
def test_a_byte_of_another_encoding_costs_its_line_and_is_named(
    name: str, encoding: str, tmp_path: Path, read: Any
) -> None:
    file, write = WRITERS[name]
    texts = TEXTS.get(encoding, TEXTS["gb18030"])
    rows = [{"id": str(at), "label": texts[at % 4]} for at in range(40)]
    lines = write(rows).encode(encoding).splitlines(keepends=True)
    at = 8 if name == "read.csv" else 7
    lines[at] = lines[at].replace(texts[3].encode(encoding), b"\xff\xff")
    (tmp_path / file).write_bytes(b"".join(lines))
    got = read(name, path=file)
    assert len(got.frame) == 39
    (reject,) = got.rejects
    assert (reject.reason, reject.source_line) == ("bad_encoding", at + 1)
    byte = lines[at].index(b"\xff") + 1
    assert reject.detail == f"line {at + 1}, byte {byte}: not {encoding}, as the rest of the file is"


@pytest.mark.parametrize("name", ["read.csv", "read.jsonl"])
def test_half_a_sign_at_the_end_of_utf_16_costs_its_line(name: str, tmp_path: Path, read: Any) -> None:
    file, write = WRITERS[name]
    rows = [{"id": str(at), "label": "订单"} for at in range(5)]
    (tmp_path / file).write_bytes(write(rows).rstrip().encode("utf-16-le") + b"\x8d")
    got = read(name, path=file)
    assert len(got.frame) == 4
    assert [reject.reason for reject in got.rejects] == ["bad_encoding"]


@pytest.mark.parametrize("name", ["read.csv", "read.jsonl"])
@pytest.mark.parametrize("encoding", TEXTS)
def test_lines_of_utf_8_in_an_old_file_are_rejected(
    name: str, encoding: str, tmp_path: Path, read: Any
) -> None:
    file, write = WRITERS[name]
    rows = [{"id": str(at), "label": TEXTS[encoding][at % 4]} for at in range(40)]
    strange = {"read.csv": "x,购物车页面的商品\n", "read.jsonl": '{"id": "x", "label": "购物车页面的商品"}\n'}
    (tmp_path / file).write_bytes(write(rows).encode(encoding) + strange[name].encode())
    got = read(name, path=file)
    assert got.column("label") == [row["label"] for row in rows]
    assert [reject.reason for reject in got.rejects] == ["bad_encoding"]


def test_cats_and_dogs_in_an_old_encoding_are_no_accents(tmp_path: Path, read: Any) -> None:
    rows = [{"id": str(at), "label": "猫" if at % 5 else "狗"} for at in range(20)]
    (tmp_path / "rows.csv").write_bytes(as_csv(rows).encode("gb18030"))  # `猫` alone is `è` in UTF-8
    with pytest.raises(UserError, match="encoding: gb18030"):
        read("read.csv", path="rows.csv")
    got = read("read.csv", path="rows.csv", encoding="gbk")
    assert got.column("label") == [row["label"] for row in rows]


def test_marks_where_files_were_put_together_are_no_part_of_records(tmp_path: Path, read: Any) -> None:
    mark = b"\xef\xbb\xbf"
    (tmp_path / "rows.jsonl").write_bytes(
        (mark + b'{"id": "a"}\n') * 1 + mark + b'{"id": "b"}\n' + mark + b"\n"
    )
    assert read("read.jsonl", path="rows.jsonl").column("id") == ["a", "b"]
    part = mark + b'"id",label\n"%s",x\n'
    (tmp_path / "rows.csv").write_bytes(part % b"a" + part % b"b" + mark + b'"c",y\n')
    got = read("read.csv", path="rows.csv")
    assert got.column("id") == ["a", "b", "c"]
    assert [(reject.reason, reject.source_line) for reject in got.rejects] == [("repeated_header", 3)]


CHINESE = (
    "购物车页面 订单 首页 退货 商品详情 支付成功 女装 其他 客服 优惠券 搜索结果 登录 个人中心 物流 评价 直播 "
    "猫 狗 購物車 訂單 首頁 退貨 商品詳情 優惠券 搜尋結果 登入 評價 發票 肺炎 骨折 良性 恶性 惡性 结节 結節"
)
WORDS = st.sampled_from(CHINESE.split(" "))
ENCODINGS = st.sampled_from([*UNICODE, "gb18030", "gbk", "big5", "cp950"])


@given(
    words=st.lists(WORDS, min_size=1, max_size=30), encoding=ENCODINGS, name=st.sampled_from(list(WRITERS))
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_chinese_in_any_encoding_comes_back_or_is_refused_and_never_garbage(
    words: list[str], encoding: str, name: str, tmp_path: Path, read: Any
) -> None:
    words = [word for word in words if word.encode(encoding, "ignore").decode(encoding) == word] or ["x"]
    file, write = WRITERS[name]
    rows = [{"id": str(at), "label": word} for at, word in enumerate(words)]
    (tmp_path / file).write_bytes(write(rows).encode(encoding))
    try:
        labels = read(name, path=file).column("label")
    except UserError as error:
        labels = words if "`encoding: " in error.remedy else [error.remedy]
    assert labels == words


def test_a_build_and_its_card_say_the_encoding_and_what_became_of_labels(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "p.j2").write_bytes("请判断文字属于哪一个类别：{{ text }}".encode("gbk"))
    text = "id,text,label\n1,购物车页面,订单\n2,退货页面,商品详情\n3,搜索结果,nan\n"
    (tmp_path / "d.csv").write_bytes(text.encode("gbk"))
    (tmp_path / "r.yaml").write_text(
        "version: 1\nname: x\nseed: 1\nsteps:\n  - read.csv: {path: d.csv}\n"
        "  - render.chat: {prompt: p.j2, answer: label_only}\nemit:\n  - llamafactory: {}\n"
        "run: {max_reject_rate: 1, store: .store}\n"
    )
    report = datakit.build(tmp_path / "r.yaml").report
    told = report.steps[0].notes["warnings"]
    assert told[0] == "d.csv is read as gb18030, not UTF-8"
    assert told[1].startswith("1 label is read as none")
    card = (tmp_path / "data_cards" / "x.md").read_text("utf-8")
    assert "d.csv is read as gb18030, not UTF-8" in card
    assert "请判断文字属于哪一个类别：购物车页面" in (tmp_path / "build/x/x_train.json").read_text("utf-8")
