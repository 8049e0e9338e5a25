"""Rows of training data that a build would come to, found out before anything is paid."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from datakit.core.errors import DatakitError
from datakit.core.record import TRAIN
from datakit.core.step_context import StepContext
from datakit.recipe.recipe import Recipe
from datakit.run.dry_run import DryRun
from datakit.run.engine import Engine
from datakit.run.result_store import ResultStore


@dataclass(frozen=True)
class FinalRows:
    """At most: records whose paid answers are still to come may be rejected for them."""

    train: int
    """With repeats and general data."""
    val: int


def most_rows(
    recipe: Recipe, context: StepContext, store: ResultStore, limit: int | None
) -> FinalRows | None:
    """The rows by a run of the free steps; None where they end in an error, which the build tells as well."""
    with tempfile.TemporaryDirectory(prefix="datakit-rows-") as work:
        try:
            frames = Engine(context, store, Path(work), limit=limit, policy=DryRun()).run(recipe.steps)
        except DatakitError:
            return None
        columns = frames.schema
        split = pl.col("split").fill_null(TRAIN) if "split" in columns else pl.lit(TRAIN)
        repeat = pl.col("repeat").fill_null(1) if "repeat" in columns else pl.lit(1)
        is_val = split == "val"
        counts = frames.lazy().select(
            train=pl.when(is_val).then(0).otherwise(repeat).sum(),
            val=pl.when(is_val).then(1).otherwise(0).sum(),
        )
        train, val = counts.collect().row(0)
        return FinalRows(int(train or 0), int(val or 0))
