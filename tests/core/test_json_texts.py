"""Texts as JSON by the column: the same bytes and digests as a record at a time."""

from __future__ import annotations

from typing import Any

import orjson
import polars as pl
import pytest

from datakit.core.compared import _digests
from datakit.core.json_texts import as_json, json_digests
from datakit.core.judged import (
    all_column_digests,
    all_in_words,
    brought_digest,
    brought_digests,
    column_digests,
)
from datakit.core.record import digest

TEXTS = [
    "",
    " ",
    "[",
    "{}",
    "[1.0, 2]",
    '{"b": 9.0, "a": null}',
    '{"a": NaN}',
    "9.0",
    "-9.00",
    "9.0\n",
    "9.0\n\n",
    "٣.0",
    "x9.0",
    "1.50",
    "007",
    "0",
    'line\n"quoted"\\\x00\x1f\x7f\u2028',
    "图中文字😀",
]


def test_every_character_is_written_as_orjson_writes_it() -> None:
    signs = [chr(sign) for sign in range(0x110000) if not 0xD800 <= sign < 0xE000]
    written = pl.DataFrame({"x": signs}).select(as_json(pl.col("x"))).to_series().to_list()
    assert [text.encode() for text in written] == [orjson.dumps(sign) for sign in signs]


def test_a_text_that_is_not_there_has_no_json_and_no_digest() -> None:
    texts = pl.Series([None, "a"], dtype=pl.String)
    assert texts.to_frame("x").select(as_json(pl.col("x"))).to_series().to_list() == [None, '"a"']
    assert json_digests(texts, 8) == [None, digest("a", 8)]


@pytest.mark.parametrize("texts", [TEXTS, TEXTS * 3, [None, None], []])
def test_digests_of_a_column_are_those_of_its_texts_whether_they_repeat_or_not(texts: list[Any]) -> None:
    alone = [None if text is None else int.from_bytes(digest(text, 8)) for text in [*texts, None]]
    assert _digests(pl.Series("x", [*texts, None], dtype=pl.String)).to_list() == alone


@pytest.mark.parametrize("chat", [None, "c0ffee"])
def test_what_many_records_brought_has_the_digests_of_each_alone(chat: str | None) -> None:
    texts: list[str | None] = [*TEXTS, None]
    count = len(texts)
    frame = pl.DataFrame(
        {
            "title": texts,
            'a "name"\n': texts[::-1],
            "price": [None, 9.0, *[number / 2 for number in range(count - 2)]],
            "good": [True, None, *[False] * (count - 2)],
            "tags": [["a", None], [], None, *[[text] for text in texts[3:]]],
            "part": [{"x": None, "y": at} for at in range(count)],
        }
    )
    for names in (["title"], frame.columns, ["tags", "part"]):
        some = frame.select(names)
        alone = [brought_digest(chat, row) for row in some.iter_rows(named=True)]
        assert brought_digests([chat] * count, all_in_words(some)) == alone
        assert all_column_digests(all_in_words(some)) == [
            column_digests(row) for row in some.rows(named=True)
        ]
    assert frame["title"].to_list() == texts, "the records themselves stay as they are"


def test_no_records_brought_nothing() -> None:
    assert brought_digests([], all_in_words(pl.DataFrame(schema={"title": pl.String}))) == []
    assert brought_digests([], all_in_words(pl.DataFrame(schema={"title": pl.Int64}))) == []
