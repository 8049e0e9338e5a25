"""Repeats of a record asked with different label blocks, where a recipe says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from datakit.balance.resample import Resample
from datakit.core.errors import RecipeErrors
from datakit.core.step_context import StepContext
from datakit.render.chat import Chat
from tests.support.chat_records import LABELS, contents, frame_of, record

ROTATED: dict[str, Any] = {
    "prompt": "ecom/classify_v1.j2",
    "answer": "label_only",
    "label_block": ["names", "short"],
}


@pytest.fixture
def context(make_context: Callable[..., StepContext]) -> StepContext:
    return make_context(labels=LABELS)


def test_each_repeat_has_the_next_label_block_and_all_others_the_first(context: StepContext) -> None:
    rows = [record(number) for number in range(5)]
    frame = frame_of(*rows).with_columns(pl.Series("repeat_number", [1, 2, 3, None, 2], dtype=pl.UInt32))
    chat = Chat(**ROTATED)
    assert "repeat_number" in chat.inputs(context)
    worker = chat.start(context, frame.lazy().head(0))
    batch = worker(frame)
    assert batch.frame["id"].to_list() == [row["id"] for row in rows]
    short = str(LABELS.block("short", "zh"))
    used = ["short" if short in contents(batch, at)[1] else "names" for at in range(5)]
    assert used == ["names", "short", "names", "names", "short"]
    assert worker.notes["label blocks"] == {"names": 3, "short": 2}
    served = chat.writer(context).prompt(rows[0]).messages[-1]["content"]  # type: ignore[union-attr]
    assert served == contents(batch, 0)[1]


def test_rejects_keep_the_order_of_the_records(context: StepContext) -> None:
    rows = [record(number, label="无此类") for number in range(3)]
    frame = frame_of(*rows).with_columns(pl.Series("repeat_number", [2, 1, 2], dtype=pl.UInt32))
    batch = Chat(**ROTATED).start(context, frame.lazy().head(0))(frame)
    assert [reject.id for reject in batch.rejects] == [row["id"] for row in rows]


@pytest.mark.parametrize(
    ("rotates", "ids"), [(True, {"a", "b", "c", "c~repeat2", "c~repeat3"}), (False, {"a", "b", "c"})]
)
def test_repeats_become_records_only_where_the_recipe_rotates(
    make_context: Callable[..., StepContext], rotates: bool, ids: set[str]
) -> None:
    step = Resample(strategy="explicit", counts={"y": 3}, max_repeat=3)
    chat = Chat(**(ROTATED if rotates else ROTATED | {"label_block": "short"}))
    context = make_context(labels=LABELS, steps=(step, chat))
    frame = pl.DataFrame({"id": ["a", "b", "c"], "label": ["x", "x", "y"], "split": ["train"] * 3})
    table = step.apply(frame.lazy(), context)
    assert set(table.frame.collect()["id"]) == ids
    assert ("repeat_number" in step.outputs(context)) == rotates


@pytest.mark.parametrize(
    "changes",
    [{"label_block": ["short", "short"]}, {"answer": None, "answers": [{"form": "label_only"}]}],
)
def test_a_rotation_that_is_none_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RecipeErrors, match="lists different forms, beside one `answer`"):
        Chat(**(ROTATED | changes))
