"""Columns of records, and how the place of one is said."""

from __future__ import annotations

import pytest

from datakit.core.record import place_of


@pytest.mark.parametrize(
    ("file", "line", "words"),
    [
        ("a/train.jsonl", 12, "a/train.jsonl:12"),
        ("orders.csv", 3, "orders.csv:3"),
        ("instances.json", 1, "instances.json, entry 1"),
        ("part-0.parquet", 9, "part-0.parquet, entry 9"),
        ("images/a.jpg", None, "images/a.jpg"),
    ],
)
def test_an_entry_of_a_file_without_lines_is_not_called_a_line(
    file: str, line: int | None, words: str
) -> None:
    assert place_of(file, line) == words
