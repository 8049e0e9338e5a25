"""The records of a build without their repeats: what is counted where pictures and sources are counted."""

from __future__ import annotations

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.measured_columns import measured


def originals(build: BuildFolder) -> pl.LazyFrame:
    """The records of the task itself, each repeat that is a record of its own (balance.resample) left out."""
    return build.main.filter(is_original(build))


def is_original(build: BuildFolder) -> pl.Expr:
    """Whether a record is no repeat of another: true in a build that has none, and of general data."""
    if not build.has_step("balance.resample") or not measured(build.columns, "repeat_number"):
        return pl.lit(True)
    return pl.col("repeat_number").fill_null(1) == 1


def own_texts(build: BuildFolder, step: str) -> pl.LazyFrame:
    """The records that a step worked on: repeats count only where it came after balance.resample."""
    names = [report.name for report in build.report.steps]
    if step in names and "balance.resample" in names[: names.index(step)]:
        return build.main
    return originals(build)
