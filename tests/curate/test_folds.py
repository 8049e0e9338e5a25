"""curate.split with `folds`: whole groups, every class spread, every record in exactly one fold."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakit.core.errors import RecipeErrors, UserError
from datakit.core.step_context import StepContext
from datakit.curate.split import Split

CONTEXT = StepContext(base=Path(), project=Path(), seed=7)


def folds(frame: pl.DataFrame, count: int, **parameters: Any) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The records with column `fold`, and the notes of the first fold."""
    tables = [
        Split(folds=count, fold=at, **parameters).apply(frame.lazy(), CONTEXT) for at in range(1, count + 1)
    ]
    parts = [
        table.frame.filter(pl.col("split") == "val").with_columns(fold=pl.lit(at)).collect()
        for at, table in enumerate(tables, 1)
    ]
    return pl.concat(parts), tables[0].notes


def records(labels: list[str | None], **columns: list[Any]) -> pl.DataFrame:
    ids = [f"r{i:04d}" for i in range(len(labels))]
    return pl.DataFrame(
        {"id": ids, "label": labels, **columns}, schema_overrides={"id": pl.String, "label": pl.String}
    )


def test_each_class_is_spread_evenly_and_folds_are_of_one_size() -> None:
    dealt, notes = folds(records(["a"] * 53 + ["b"] * 27 + ["c"] * 20), 5)
    counts = dealt.group_by("fold", "label").len()
    for label, total in (("a", 53), ("b", 27), ("c", 20)):
        sizes = counts.filter(pl.col("label") == label)["len"].to_list()
        assert (len(sizes), sum(sizes)) == (5, total)
        assert max(sizes) - min(sizes) <= 1
    assert max(notes["folds"]) - min(notes["folds"]) <= 1
    assert "warnings" not in notes


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", None]), st.integers(0, 12)), min_size=14, max_size=60
    ),
    count=st.integers(2, 5),
)
def test_every_record_is_in_one_fold_and_no_group_is_torn(
    rows: list[tuple[str | None, int]], count: int
) -> None:
    frame = records([label for label, _ in rows], session=[f"s{group}" for _, group in rows])
    groups = frame["session"].n_unique()
    if groups < count:
        with pytest.raises(UserError, match="would be empty"):
            folds(frame, count, group="session", same_text=None)
        return
    dealt, notes = folds(frame, count, group="session", same_text=None)
    assert sorted(dealt["id"]) == sorted(frame["id"])
    assert dealt.group_by("session").agg(pl.col("fold").n_unique())["fold"].max() == 1
    assert sum(notes["folds"]) == frame.height
    assert min(notes["folds"]) > 0


def test_order_of_the_records_makes_no_difference() -> None:
    frame = records(["a", "b", "c"] * 20, session=[f"s{at // 4}" for at in range(60)])
    one, _ = folds(frame, 4, group="session", same_text=None)
    other, _ = folds(frame.reverse(), 4, group="session", same_text=None)
    assert one.sort("id")["fold"].equals(other.sort("id")["fold"])


def test_another_seed_deals_otherwise() -> None:
    frame = records(["a", "b"] * 30)
    one, _ = folds(frame, 3)
    other = Split(folds=3, fold=1).apply(frame.lazy(), CONTEXT.changed(seed=8)).frame.collect()
    assert set(one.filter(pl.col("fold") == 1)["id"]) != set(other.filter(pl.col("split") == "val")["id"])


def test_tiny_classes_and_groups_larger_than_a_fold_are_named_and_counted() -> None:
    labels: list[str | None] = ["a"] * 30 + ["lone"] + ["pair"] * 2
    sessions = ["big"] * 20 + [f"s{at}" for at in range(13)]
    _, notes = folds(records(labels, session=sessions), 4, group="session", same_text=None)
    assert notes["groups_larger_than_a_fold"] == 1
    assert notes["classes_absent_in_a_fold"] == 2
    assert notes["classes_in_one_fold"] == 1
    assert any("in one fold alone" in words and "lone" in words for words in notes["warnings"])
    assert any("(20)" in words for words in notes["warnings"])


def test_folds_of_one_class_say_that_no_label_can_be_doubted() -> None:
    _, notes = folds(records(["退货"] * 12), 3)
    assert notes["warnings"] == ["all records are of one class, 退货: their models can doubt no label"]


def test_records_without_a_class_are_dealt_too() -> None:
    dealt, notes = folds(records(["a"] * 20 + [None] * 10), 5)
    assert dealt.filter(pl.col("label").is_null()).group_by("fold").len()["len"].to_list() == [2] * 5
    assert notes["without_class"] == 10


def test_general_records_stay_in_training_and_given_parts_do_not_count() -> None:
    frame = records(["a"] * 10, set=["general"] * 4 + [""] * 6, given_split=["val"] * 6 + ["train"] * 4)
    dealt, _ = folds(frame, 3)
    assert sorted(dealt["id"]) == [f"r{at:04d}" for at in range(4, 10)]


def test_more_folds_than_groups_are_refused_with_the_number_that_can_be_had() -> None:
    with pytest.raises(UserError, match="3 folds cannot be made of 4 records in 2 groups") as caught:
        folds(records(["a"] * 4, session=["s", "s", "t", "t"]), 3, group="session", same_text=None)
    assert "at most 2 folds" in caught.value.remedy


def test_no_record_is_no_fault_for_the_check_of_the_columns() -> None:
    dealt, _ = folds(records([]), 3)
    assert dealt.is_empty()


@pytest.mark.parametrize("wrong", [{"folds": 3}, {"fold": 1}, {"folds": 3, "fold": 4}])
def test_a_fold_that_is_not_there_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(RecipeErrors, match="fold"):
        Split(**wrong)


def test_pseudo_labelled_records_are_trained_on_in_every_fold_and_judged_in_none() -> None:
    frame = records(["a"] * 12, label_source=["pseudo"] * 3 + ["given"] * 9)
    dealt, notes = folds(frame, 3)
    assert sorted(dealt["id"]) == [f"r{at:04d}" for at in range(3, 12)]
    assert (notes["pseudo"], notes["folds"]) == (3, [3, 3, 3])
