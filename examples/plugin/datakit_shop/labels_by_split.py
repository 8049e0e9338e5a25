"""A section of the card: how many records of each label are in each split."""

from __future__ import annotations

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.blocks import Section, Table


def section(build: BuildFolder) -> Section | None:
    """A table of labels and splits; none for a build without labels."""
    if not {"label", "split"} <= set(build.columns):
        return None
    counts = build.main.group_by("label").agg(
        train=(pl.col("split") == "train").sum(), val=(pl.col("split") == "val").sum()
    )
    rows = counts.drop_nulls("label").sort("label").collect().rows()
    return Section("Labels by split", [Table(["label", "train", "val"], rows)]) if rows else None
