"""What an evaluation takes out of a build: the truths of a split and the pictures of records."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import UserError
from datakit.evaluation.outcomes import Truths


def truths_of(build: BuildFolder, split: str) -> Truths:
    """The truths of a split. Raises UserError for a split without labelled records."""
    records = build.main.select("id", "label", "part").collect()
    mine = records.filter(pl.col("part") == split)
    if mine.is_empty():
        parts = ", ".join(records["part"].unique(maintain_order=True)) or "none"
        raise UserError(
            f"{build.path.name} has no records in the split `{split}`",
            remedy=f"Splits there: {parts}. A validation part comes from curate.split.",
        )
    elsewhere = set(records.filter(pl.col("part") != split)["id"])
    return Truths.of(build.path.name, split, build.labels, mine.select("id", "label").iter_rows(), elsewhere)


def images_of(build: BuildFolder, ids: Sequence[str]) -> dict[str, list[str]]:
    """Id -> the build's own copies of its pictures, relative to it; the originals where it has none."""
    wanted = set(ids)
    frame = build.main.filter(pl.col("id").is_in(list(wanted))).select("id", "images").collect()
    found = {id_: [build.place(path) for path in paths or ()] for id_, paths in frame.iter_rows()}
    for file in build.data_files.values():
        for row in build.lines(file.file):
            if row["id"] in wanted:
                found[row["id"]] = list(row.get("images") or ())
                wanted.discard(row["id"])
            if not wanted:
                return found
    return found
