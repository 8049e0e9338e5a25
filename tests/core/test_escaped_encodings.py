"""Encodings of ASCII bytes: seen where they are, and never in plain text, addresses, code or base64."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.core.escaped_encodings import has_states
from datakit.core.text_encoding import disguised_encodings


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("iso2022_jp", "注文画面"),
        ("iso2022_jp_ext", "ﾎﾟｲﾝﾄ残高"),
        ("iso2022_jp_2", "注文 주문"),
        ("iso2022_kr", "장바구니"),
    ],
)
def test_escape_sequences_are_sure(encoding: str, text: str) -> None:
    (name,) = disguised_encodings(f"id,label\n1,{text}\n".encode(encoding).splitlines())
    assert f"{text}\n".encode(encoding).decode(name) == f"{text}\n"


def test_an_iso_2022_that_python_does_not_read_is_no_utf_8() -> None:
    assert disguised_encodings([b"\x1b$)A\x0e9:NoVA\x0f"]) == []


@pytest.mark.parametrize("encoding", ["hz", "utf-7"])
@pytest.mark.parametrize("label", ["猫", "购物车页面", "否"])
def test_hz_and_utf_7_stand_beside_utf_8(encoding: str, label: str) -> None:
    lines = f"id,label\n1,{label}\n2,x\n".encode(encoding).splitlines()
    assert disguised_encodings(lines) == ["utf-8", encoding]


@pytest.mark.parametrize(
    "text",
    [
        "phone,+8613812345678",
        "1+1=2, C++11, a+b, A+Vue, C+the",
        "https://example.com/?q=red+dress+size+m",
        "{{ a }}~{b}~ ~{x y}~",
        "\x1b[31mred\x1b[0m \x1b(B",
        "+-",
        "",
    ],
)
def test_plain_text_is_plain(text: str) -> None:
    assert disguised_encodings(text.encode().splitlines()) == ["utf-8"]


@given(st.lists(st.binary(min_size=60, max_size=400), min_size=1, max_size=20))
def test_base64_is_plain(pictures: list[bytes]) -> None:
    lines = [json.dumps({"image": base64.b64encode(picture).decode()}).encode() for picture in pictures]
    assert disguised_encodings(lines) == ["utf-8"]


@pytest.mark.parametrize(
    ("codec", "states"),
    [("iso2022_jp", True), ("hz", True), ("utf-7", True), ("euc_jp", False), ("utf-8", False)],
)
def test_states_are_known(codec: str, states: bool) -> None:
    assert has_states(codec) is states
