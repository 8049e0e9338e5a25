"""guard.where: the records of which an expression is true, and what may stand in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.core.errors import RecipeErrors, UserError
from datakit.core.step_context import StepContext
from datakit.guard.where import Where

ROWS = pl.DataFrame(
    {
        "id": ["a", "b", "c", "d"],
        "source_file": ["train.jsonl"] * 4,
        "source_line": [1, 2, 3, 4],
        "label": ["退款页面", "退货页面", None, "it's"],
        "图 分": [0.9, float("nan"), 0.8, 0.1],
        "lines": [["甲", "乙"], [], ["甲"], None],
        "sure": [True, False, True, None],
    }
)


def _kept(keep: str, rows: pl.DataFrame = ROWS) -> tuple[list[str], dict[str, str]]:
    context = StepContext(base=Path(), project=Path())
    guard = Where(keep=keep)
    guard.check_columns(rows.schema, context)
    batch = guard.start(context, rows.lazy())(rows)  # type: ignore[operator]
    return batch.frame["id"].to_list(), {reject.id: reject.reason for reject in batch.rejects}


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ("label IN ('退款页面', 'it''s')", ["a", "d"]),
        ("label = 'it''s' OR label IS NULL", ["c", "d"]),
        ("NOT label LIKE '退%'", ["d"]),
        ('"图 分" BETWEEN 0.5 AND 1', ["a", "c"]),
        ("array_length(lines) > 1 and sure", ["a"]),
        ("array_contains(lines, '甲')", ["a", "c"]),
        ("coalesce(label, '') = ''", ["c"]),
        ("length(id) + 1 = 2 AND starts_with(label, '退')", ["a", "b"]),
        ("sure", ["a", "c"]),
        ("sure = FALSE OR sure IS NULL", ["b", "d"]),
    ],
)
def test_records_of_which_the_expression_is_true_are_kept(keep: str, kept: list[str]) -> None:
    found, rejects = _kept(keep)
    assert found == kept
    assert found + list(rejects) == sorted(found + list(rejects), key=(kept + list(rejects)).index)
    assert {*found, *rejects} == set("abcd")


def test_what_is_neither_true_nor_false_is_dropped_by_its_own_word() -> None:
    assert _kept("label != '退货页面'") == (["a", "d"], {"b": "where", "c": "where_null"})


@pytest.mark.fault(
    "a score is NaN where an expression compares it", "not kept, counted as where_null", kind="bounds"
)
def test_a_number_that_is_none_passes_no_comparison() -> None:
    """To polars NaN > 0.5 is true."""
    assert _kept('"图 分" > 0.5') == (["a", "c"], {"b": "where_null", "d": "where"})
    assert _kept('NOT "图 分" > 0.5')[0] == ["d"]


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        ("", "empty"),
        ("1", "names no column"),
        ("1 = 1", "names no column"),
        ("label =", "not complete"),
        ("label = 'x", "not closed"),
        ("(sure", "`(` is not closed"),
        ("sure)", "`)` closes none"),
        ("sure -- all", "comment"),
        ("sure /* all */", "comment"),
        ("sure; sure", "`;`"),
        ("label = NULL", "NULL equals nothing"),
        ("label IN ('a', NULL)", "NULL equals nothing"),
        ("sure IS NOT TRUE", "IS stands before NULL"),
        ("a / b > 1", "no division"),
        ("read_csv('/etc/passwd') = 1", "`read_csv(`"),
        ("id IN (SELECT id FROM read_csv('/etc/passwd'))", "operator is missing"),
        ("EXISTS (id)", "`EXISTS(`"),
        ("label = (SELECT label)", "operator is missing"),
        ("sum(length(id)) > 3", "`sum(`"),
        ("id = e'x'", "operator is missing"),
        ("id = $$x$$", "`$`"),
        ("id = 'a' 'b'", "operator is missing"),
        ('"^.*$" = 1', "several columns"),
        ("length(*) > 1", "no"),
        ("id = " + "(" * 40 + "'a'" + ")" * 40, "brackets"),
        (" OR ".join(["sure"] * 600), "599 operators"),
        (f"id IN ({', '.join(['1'] * 5000)})", "values"),
        ("id = '" + "x" * 30_000 + "'", "characters"),
        ("__import__('os') = 'x'", "`__import__(`"),
    ],
)
@pytest.mark.fault(
    "an expression holds a query, a function that reads files, a comment, or 600 operators",
    "refused with its words before polars sees it",
    kind="bounds",
)
def test_nothing_but_an_expression_over_columns_is_taken(keep: str, words: str) -> None:
    with pytest.raises(RecipeErrors) as error:
        Where(keep=keep)
    assert words in str(error.value)


def test_a_file_that_an_expression_names_is_never_opened(tmp_path: Path) -> None:
    """polars opens the file of a table function while it parses; the pipe here would hold it up for ever."""
    import os

    os.mkfifo(tmp_path / "rows.csv")
    for keep in (
        f"id IN (SELECT id FROM read_csv('{tmp_path}/rows.csv'))",
        f"read_csv('{tmp_path}/rows.csv')",
    ):
        with pytest.raises(RecipeErrors):
            Where(keep=keep)


@pytest.mark.parametrize(
    ("keep", "message", "remedy"),
    [
        ("lable = 'x'", "column `lable`", "Did you mean `label`?"),
        ('label = "退款页面"', "column `退款页面`", "A text stands in single quotation marks: '退款页面'."),
        ("LABEL = 'x'", "column `LABEL`", "`label`"),
        ("select = 'x'", "column `select`", "Columns at this step"),
        ("label", "gives String", "Compare it"),
        ("label > 1", "cannot be worked out", "label is String"),
        ("regexp_like(label, '(')", "cannot be worked out", ""),
    ],
)
def test_an_expression_that_does_not_fit_the_columns_says_so_on_no_rows(
    keep: str, message: str, remedy: str
) -> None:
    with pytest.raises(UserError) as error:
        _kept(keep, ROWS.clear())
    assert message in error.value.message
    assert remedy in error.value.remedy


@pytest.mark.parametrize("keep", ["sure", "label = 'x'"])
def test_no_rows_and_rows_of_nulls_are_no_fault(keep: str) -> None:
    assert _kept(keep, ROWS.clear()) == ([], {})
    nulls: dict[str, Any] = {"sure": None, "label": None}
    rows = ROWS.with_columns(pl.lit(value, ROWS.schema[name]).alias(name) for name, value in nulls.items())
    assert set(_kept(keep, rows)[1].values()) == {"where_null"}


NUMBERS = pl.DataFrame(
    {
        "id": ["a", "b", "c"],
        "source_file": ["train.jsonl"] * 3,
        "source_line": [1, 2, 3],
        "text": ["短", "abcdefghij", None],
        "images": [["x"], ["x", "y", "z"], []],
        "rung": pl.Series([0, 200, 1], dtype=pl.UInt8),
        "chars": pl.Series([5, 60, None], dtype=pl.UInt32),
        "count": pl.Series([3, -2, 0], dtype=pl.Int64),
        "huge": pl.Series([2**64 - 1, 0, 1], dtype=pl.UInt64),
    }
)


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ("length(text) - 5 > 0", ["b"]),
        ("-length(text) < 0", ["a", "b"]),
        ("LENGTH(text) * 1000000000 > 5000000000", ["b"]),
        ("octet_length(text) - 5 > 0", ["b"]),
        ("char_length(text) - 5 > 0", ["b"]),
        ("strpos(text, 'j') - 5 > 0", ["b"]),
        ("array_length(images) - 2 > 0", ["b"]),
        ("abs(length(text) - 10) > 100", []),
        ("greatest(length(text) - 5, 0) > 100", []),
        ("coalesce(length(text), 0) - 1 > 0", ["b"]),
        ("rung - 2 > 0", ["b"]),
        ("rung * 2 > 255", ["b"]),
        ("-rung > 0", []),
        ("chars - 60 > 0", []),
        ("chars * 100000000 > 5000000000", ["b"]),
        ("count * 9223372036854775807 > 0", ["a"]),
        ("9223372036854775807 + count > 9223372036854775807", ["a"]),
        ("huge - 2 > 0", ["a"]),
        ("huge = 18446744073709551615", ["a"]),
        ("left(text, length(text) - 5) = 'abcde'", ["b"]),
    ],
)
@pytest.mark.fault(
    "an expression subtracts more than a count or an unsigned column has",
    "worked out below zero, as on paper",
    kind="bounds",
)
def test_arithmetic_of_counts_and_small_integers_does_not_wrap(keep: str, kept: list[str]) -> None:
    assert _kept(keep, NUMBERS)[0] == kept


def test_the_place_of_a_text_in_a_null_is_unknown() -> None:
    assert _kept("strpos(text, 'j') = 0", NUMBERS) == (["a"], {"b": "where", "c": "where_null"})
    assert _kept("strpos(lower(text), left('j', 1)) = 10", NUMBERS)[0] == ["b"]


@pytest.mark.parametrize(
    "keep",
    [
        "1 < source_line < 3",
        "NOT sure = label",
        "(source_line > 1) < 3",
        "source_line < 3 = TRUE < 5",
        "sure > 'a'",
    ],
)
def test_true_or_false_is_compared_with_no_number_and_no_text(keep: str) -> None:
    with pytest.raises(UserError, match="compares true or false with"):
        _kept(keep)


@pytest.mark.parametrize(
    "keep", ["sure = (source_line > 2)", "NOT (sure AND label = 'a')", "sure IN (TRUE, FALSE)"]
)
def test_true_or_false_is_compared_with_its_like(keep: str) -> None:
    assert _kept(keep)


@pytest.mark.parametrize(
    "keep",
    [
        "label = 'x' sure",
        "(label = 'x') sure",
        "(label = 'x') \"sure\"",
        "source_line BETWEEN 1 AND 2 sure",
        "sure = TRUE label",
        "label IS NULL sure",
        "label = 'x' (sure)",
        "source_line > 1 AS sure",
    ],
)
def test_value_behind_a_value_is_no_new_name_for_it(keep: str) -> None:
    with pytest.raises(RecipeErrors, match="an operator is missing between"):
        Where(keep=keep)


def test_list_compared_with_a_text_is_told_before_anything_is_read() -> None:
    with pytest.raises(UserError, match="cannot be worked out"):
        _kept("lines = '甲'")


def test_texts_cannot_grow_without_bound() -> None:
    with pytest.raises(RecipeErrors, match="may not stand within"):
        Where(keep="replace(lower(replace(id, 'a', 'bb')), 'b', 'cc') = 'x'")
    assert Where(keep="replace(id, 'a', 'b') = 'x' OR replace(id, 'b', 'c') = 'x'")
