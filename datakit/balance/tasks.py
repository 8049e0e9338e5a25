"""How often the training records of each task are written, so that each task has its share of the rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

import polars as pl
from pydantic import Field

from datakit.core.errors import UserError, did_you_mean
from datakit.core.outcome import Table
from datakit.core.record import TRAIN, digest
from datakit.core.step_context import StepContext
from datakit.core.task_blocks import TASK
from datakit.core.transform import Columns, TableTransform


class Tasks(TableTransform):
    """Column `repeat`: how often the emitter writes the record, so that tasks have the rows that they weigh.

    A task's `weight` is its part of the training rows beside the weights of the others (1 and 3: a quarter
    and three). Nothing is dropped: the task that has most rows for its weight stays as it is, the others are
    repeated, all their records equally often, give or take one, and at most `max_repeat` times as often as
    before. What balance.resample gave is kept as the measure within a task. Which records stand once more
    follows from the recipe's seed and their ids. Validation and general records are never touched.

    A recipe whose tasks have weights gets this step as its last one; it is written out where another
    `max_repeat`, or another place, is wanted.
    """

    weights: dict[str, Annotated[float, Field(gt=0, le=1000)]] | None = None
    """Task -> weight; those of the blocks when not given. Tasks that are not named stay as they are."""
    max_repeat: int = Field(default=3, ge=1, le=100)
    """The rows of a task are never more than so many times what they were."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("id", TASK)

    def optional(self, context: StepContext) -> tuple[str, ...]:
        return ("split", "set", "repeat")

    def outputs(self, context: StepContext) -> Columns:
        return {"repeat": pl.UInt32()}

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        own = {scope.name: scope.weight for scope in context.tasks if scope.weight is not None}
        weights = own if self.weights is None else dict(self.weights)
        self._check_known(weights, context)
        if not weights:
            raise UserError(
                "balance.tasks has no weights to go by",
                remedy="Give each task its `weight`: `- task: {name: …, weight: 2, steps: …}`.",
            )
        have = frame.collect_schema().names()
        if "split" not in have:
            raise UserError(
                "balance.tasks finds no column `split`",
                remedy="Put curate.split before it: repeated records must never reach validation.",
            )
        repeat = pl.col("repeat").fill_null(1) if "repeat" in have else pl.lit(1, pl.UInt32)
        mine = (pl.col("split") == TRAIN) & pl.col(TASK).is_in(list(weights))
        if "set" in have:
            mine &= pl.col("set").fill_null("") == ""
        small = frame.filter(mine).select("id", TASK, repeat=repeat.cast(pl.Int64)).sort("id").collect()
        before = dict(small.group_by(TASK, maintain_order=True).agg(pl.col("repeat").sum()).iter_rows())
        rows = _rows({task: before.get(task, 0) for task in weights}, weights, self.max_repeat)
        spread = _spread(small, before, rows, digest([context.seed, self.name()]))
        kept = (
            frame.with_columns(repeat=repeat.cast(pl.UInt32))
            .join(spread.select("id", own="repeat").lazy(), on="id", how="left", maintain_order="left")
            .with_columns(repeat=pl.coalesce("own", "repeat"))
            .drop("own")
        )
        return Table(kept, notes=_notes(small, spread, weights, self.max_repeat))

    def _check_known(self, weights: Mapping[str, float], context: StepContext) -> None:
        names = [scope.name for scope in context.tasks]
        stranger = next((task for task in weights if names and task not in names), None)
        if stranger is not None:
            hint = did_you_mean(stranger, names)
            remedy = f"{hint} Tasks: {', '.join(names)}.".strip()
            raise UserError(f"`weights` names `{stranger}`, which is no task of the recipe", remedy=remedy)


def _rows(before: Mapping[str, int], weights: Mapping[str, float], max_repeat: int) -> dict[str, int]:
    """Task -> training rows: what its weight wants, never fewer than it has."""
    scale = max(before[task] / weight for task, weight in weights.items())
    wanted = {task: round(weight * scale) for task, weight in weights.items()}
    return {task: max(count, min(wanted[task], count * max_repeat)) for task, count in before.items()}


def _spread(
    small: pl.DataFrame, before: Mapping[str, int], rows: Mapping[str, int], key: bytes
) -> pl.DataFrame:
    """The records with their `repeat`: equally more within a task, the first in its order once more."""
    ranks = [hashlib.blake2b(id_.encode(), digest_size=8, key=key).digest() for id_ in small["id"]]
    whole = {task: rows[task] // count for task, count in before.items() if count}
    more = {task: rows[task] % count for task, count in before.items() if count}
    ranked = small.with_columns(rank=pl.Series(ranks, dtype=pl.Binary)).sort("rank", "id")
    counts = [
        pl.col(TASK).replace_strict(numbers, default=default, return_dtype=pl.Int64)
        for numbers, default in ((whole, 1), (more, 0))
    ]
    once_more = pl.col("repeat").cum_sum().over(TASK) <= counts[1]
    repeat = pl.col("repeat") * (counts[0] + once_more)
    return ranked.with_columns(repeat=repeat.cast(pl.UInt32)).sort("id").drop("rank")


def _notes(
    small: pl.DataFrame, spread: pl.DataFrame, weights: Mapping[str, float], max_repeat: int
) -> dict[str, Any]:
    both = small.join(spread.select("id", after="repeat"), on="id")
    total, weight = max(int(both["after"].sum()), 1), sum(weights.values())
    tasks: dict[str, dict[str, Any]] = {}
    warnings = []
    for task in weights:
        own = both.filter(pl.col(TASK) == task)
        rows, wanted = int(own["after"].sum()), weights[task] / weight
        tasks[task] = {
            "records": own.height,
            "rows_before": int(own["repeat"].sum()),
            "rows": rows,
            "repeated": own.filter(pl.col("after") > pl.col("repeat")).height,
            "share": round(rows / total, 4),
            "wanted": round(wanted, 4),
        }
        if both.height and abs(rows / total - wanted) > 0.01:
            words = f"task {task}: {rows / total:.1%} of the training rows instead of {wanted:.1%}"
            warnings.append(f"{words} (max_repeat {max_repeat})")
    return {"tasks": tasks, **({"warnings": warnings} if warnings else {})}
