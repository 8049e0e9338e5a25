"""Cells that spreadsheets never compute, and the texts that come back out of them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.core.spreadsheets import plain_text, text_cell

FORMULAS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "＝1",
    "＋1",
    "－x",
    "＠x",
    "-",
    "'=1",
]
PLAIN = ["-1.5", "+3", "1e-3", "-.5", "shop", "", "'tis", "a=b", "购物车"]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_would_be_a_formula_begins_with_a_guard(text: str) -> None:
    assert text_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", PLAIN)
def test_numbers_and_other_texts_stay_as_they_are(text: str) -> None:
    assert text_cell(text) == text


@given(st.text() | st.text("'=+-@\t\r＝1.e"))
def test_every_text_comes_back(text: str) -> None:
    assert plain_text(text_cell(text)) == text


@pytest.mark.fault(
    "a text begins as a formula does",
    "the cell is guarded; the CSV reader changes no cell of anybody's",
    kind="pages",
)
def test_the_csv_reader_leaves_a_guard_that_may_be_meant(tmp_path: Path, make_context: Any) -> None:
    from datakit.read.csv import Csv

    texts = [text for text in (*FORMULAS, *PLAIN) if text.strip() and "\r" not in text]
    with open(tmp_path / "rows.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "text"))
        writer.writerows((f"r{number}", text_cell(text)) for number, text in enumerate(texts))
    batches = Csv(path=str(tmp_path / "rows.csv")).read(make_context())
    cells = [text for batch in batches for text in batch.frame["text"]]
    assert cells == [text_cell(text) for text in texts]
    assert [plain_text(cell) for cell in cells] == texts
