"""Whether labels agree with each other and with the label file, and whether classes have records enough."""

from __future__ import annotations

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.record import TRAIN, VAL
from datakit.pages.figures import collect
from datakit.verdict.seen import SHOWN, Seen, height, records, some

FEW = 10
"""Classes with fewer training records are weak."""


def class_table(build: BuildFolder) -> pl.DataFrame:
    """Label -> train and val records and train rows; labels of the label file without records too."""
    counted = (
        build.main.select("label", "part", "rows")
        .drop_nulls("label")
        .group_by("label")
        .agg(
            train=(pl.col("part") == TRAIN).sum(),
            val=(pl.col("part") == VAL).sum(),
            rows=pl.col("rows").filter(pl.col("part") == TRAIN).cast(pl.Int64).sum(),
        )
    )
    table = collect(counted)
    if build.labels is not None and table.height:
        names = pl.DataFrame({"label": list(build.labels.names)}, schema={"label": pl.String})
        table = table.join(names, on="label", how="full", coalesce=True).with_columns(
            pl.col("train", "val", "rows").fill_null(0)
        )
    return table.sort(["train", "val", "label"], descending=[True, True, False])


def label_conflict(build: BuildFolder) -> Seen | None:
    """Records that a model cannot tell apart must have one label."""
    column = next((name for name in ("duplicate_of", "sha256") if name in build.columns), None)
    how = {"duplicate_of": "pictures that are equal or look alike", "sha256": "equal pictures"}
    seen = pl.col("images").list.join("\n") if column is None else pl.col(column)
    has_text = "text" in build.columns
    # Of a record without pictures its text, compared below, is all there is.
    alone = pl.when(pl.col("text").is_not_null()).then(pl.lit("text")) if has_text else pl.lit(None)
    labelled = build.main.drop_nulls("label").with_columns(
        key=pl.when(pl.col("images").list.len() > 0).then(seen).otherwise(alone)
    )
    labelled = labelled.drop_nulls("key")
    if not height(labelled.limit(1)):
        return None
    group = ["key", *(["text"] if has_text else [])]  # another question is another record
    conflicts = labelled.filter(pl.col("label").n_unique().over(group) > 1)
    count = height(conflicts)
    groups = height(conflicts.unique(group))
    words = f"{records(count)} in {groups:,} group{'s' if groups != 1 else ''} do" if count else "none do"
    shown = conflicts.select(*SHOWN, "key", *(["review"] if "review" in build.columns else [])).sort(
        "key", "id"
    )
    what = how.get(column or "", "the same picture file")
    return Seen(
        f"No records of {what}, or of the same text alone, have different labels", count, words, shown
    )


def label_unknown(build: BuildFolder) -> Seen | None:
    """Labels must stand in the label file."""
    labelled = build.main.drop_nulls("label")
    if build.labels is None or not height(labelled.limit(1)):
        return None
    strangers = labelled.filter(~pl.col("label").is_in(list(build.labels.names)))
    names = collect(strangers.select(pl.col("label").unique().sort())).to_series().to_list()
    return Seen(
        "Every label stands in the label file",
        height(strangers),
        f"not {some(names)}" if names else "yes",
        strangers.select(*SHOWN),
    )


def few_records(build: BuildFolder) -> Seen | None:
    """Classes under ten training records, absent ones included."""
    table = class_table(build)
    if table.is_empty():
        return None
    few = table.filter(pl.col("train") < FEW)
    names = few.sort("train", "label")["label"].to_list()
    which = "all classes" if few.height == table.height else f"{few.height:,} of {table.height:,} classes"
    words = f"{which} have fewer: {some(names)}" if names else f"all {table.height:,} do"
    return Seen(
        f"Every class has {FEW} training records or more",
        few.height,
        words,
        few.sort("train", "label").lazy(),
    )


def untested(build: BuildFolder) -> Seen | None:
    """Classes of training that validation says nothing of."""
    table = class_table(build)
    if table.is_empty() or not table["val"].sum():
        return None
    blind = table.filter((pl.col("val") == 0) & (pl.col("train") > 0))
    names = blind["label"].to_list()
    words = f"{blind.height:,} of {table.height:,} do not: {some(names)}" if names else "all do"
    return Seen("Every class stands in validation", blind.height, words, blind.lazy())
