"""balance.tasks: the share of each task in the training rows, by repeats and within a bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.balance.tasks import Tasks
from datakit.core.errors import RecipeErrors, UserError
from datakit.core.step_context import StepContext, TaskScope

CONTEXT = StepContext(base=Path(), project=Path())


def _records(**sizes: int) -> pl.DataFrame:
    rows = [
        {"id": f"{task}{at}", "task": task, "split": "val" if at % 10 == 0 else "train"}
        for task, size in sizes.items()
        for at in range(size)
    ]
    return pl.DataFrame(rows, schema={"id": pl.String, "task": pl.String, "split": pl.String})


def _rows(step: Tasks, frame: pl.DataFrame, context: StepContext = CONTEXT) -> tuple[dict[str, int], Any]:
    table = step.apply(frame.lazy(), context)
    out = table.frame.collect()
    assert out["id"].to_list() == frame["id"].to_list()
    assert out.filter(pl.col("split") == "val")["repeat"].unique().to_list() in ([1], [])
    train = out.filter(pl.col("split") == "train")
    return dict(train.group_by("task").agg(pl.col("repeat").sum()).iter_rows()), table.notes


def test_tasks_have_the_rows_of_their_weights_and_none_loses_one() -> None:
    rows, notes = _rows(Tasks(weights={"a": 1, "b": 1}), _records(a=100, b=60))
    assert rows == {"a": 90, "b": 90}
    assert notes["tasks"]["b"] == {
        "records": 54,
        "rows_before": 54,
        "rows": 90,
        "repeated": 36,
        "share": 0.5,
        "wanted": 0.5,
    }
    assert "warnings" not in notes
    assert _rows(Tasks(weights={"a": 3, "b": 1}), _records(a=100, b=100))[0] == {"a": 270, "b": 90}


def test_a_weight_that_repeats_cannot_reach_is_told_with_both_shares() -> None:
    rows, notes = _rows(Tasks(weights={"a": 1, "b": 1}, max_repeat=2), _records(a=100, b=10))
    assert rows == {"a": 90, "b": 18}
    assert notes["warnings"] == [
        "task a: 83.3% of the training rows instead of 50.0% (max_repeat 2)",
        "task b: 16.7% of the training rows instead of 50.0% (max_repeat 2)",
    ]


def test_what_balance_resample_gave_stays_the_measure_within_a_task() -> None:
    frame = _records(a=40, b=20).with_columns(
        repeat=pl.when(pl.col("id") == "b1").then(3).otherwise(1).cast(pl.UInt32)
    )
    step = Tasks(weights={"a": 20, "b": 10})
    out = step.apply(frame.lazy(), CONTEXT).frame.collect()
    rare = out.filter(pl.col("id") == "b1")["repeat"].item()
    assert rare in (3, 6)
    assert sum(out.filter((pl.col("task") == "a") & (pl.col("split") == "train"))["repeat"]) == 40


def test_a_task_without_training_records_and_general_records_are_left_alone() -> None:
    frame = (
        _records(a=10)
        .with_columns(set=pl.lit(""))
        .with_row_index()
        .with_columns(
            set=pl.when(pl.col("index") == 3).then(pl.lit("general")).otherwise("set"),
            task=pl.when(pl.col("index") == 3).then(None).otherwise("task"),
        )
    )
    rows, notes = _rows(Tasks(weights={"a": 1, "b": 1}), frame.drop("index"))
    assert rows["a"] == 8
    assert rows[None] == 1  # type: ignore[index]
    assert notes["tasks"]["b"]["rows"] == 0
    assert _rows(Tasks(weights={"a": 1}), _records())[0] == {}


def test_weights_of_the_blocks_are_taken_and_strangers_named() -> None:
    scopes = tuple(TaskScope(name, None, (), {}, 1.0) for name in ("screens", "intents"))
    context = CONTEXT.changed(tasks=scopes)
    assert _rows(Tasks(), _records(screens=20, intents=10), context)[0] == {"screens": 18, "intents": 18}
    with pytest.raises(UserError, match="`screen`, which is no task") as error:
        _rows(Tasks(weights={"screen": 1}), _records(screens=20), context)
    assert "Did you mean `screens`?" in error.value.remedy


def test_no_weights_or_no_split_is_an_error_and_zero_no_weight() -> None:
    with pytest.raises(UserError, match="no weights"):
        _rows(Tasks(), _records(a=2))
    with pytest.raises(UserError, match="no column `split`"):
        Tasks(weights={"a": 1}).apply(_records(a=2).drop("split").lazy(), CONTEXT)
    with pytest.raises(RecipeErrors):
        Tasks(weights={"a": 0})
