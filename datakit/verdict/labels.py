"""Whether labels agree with each other and with the label file, and whether classes have records enough."""

from __future__ import annotations

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.measured_columns import measured
from datakit.artifacts.originals import is_original, originals
from datakit.core.groups import shared_values
from datakit.core.record import TRAIN, VAL, digest
from datakit.pages.figures import collect
from datakit.verdict.keys import chat_keys, image_keys
from datakit.verdict.seen import SHOWN, Seen, height, records, some

_ASKED = ("question", "answer", "answer_text")
"""What is compared of core.compared.KEYS; the texts of questions, most of the file, are not read."""
_NOTHING = int.from_bytes(digest("", 8))
"""`question` of a record that asks nothing but its pictures."""
FEW = 10
"""Classes with fewer training records are weak."""


def class_table(build: BuildFolder) -> pl.DataFrame:
    """Label -> train and val records and train rows; labels of the label file without records too.

    A repeat that is a record of its own (balance.resample) counts as a row.
    """
    counted = (
        build.main.select("label", "part", "rows", is_first=is_original(build))
        .drop_nulls("label")
        .group_by("label")
        .agg(
            train=((pl.col("part") == TRAIN) & pl.col("is_first")).sum(),
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
    """Records that a model cannot tell apart must be answered the same."""
    looks = [name for name in ("duplicate_of", "review") if measured(build.columns, name)]
    if build.answer_target.get("kind") == "boxes":  # what stands lower on a like picture has another box
        looks = [name for name in looks if name == "review"]
    keys, how = image_keys(build)
    answered = originals(build).select(*SHOWN, *looks, pictures=pl.col("images").list.len().fill_null(0))
    asked = chat_keys(build).drop_nulls("answer").select("id", *_ASKED)
    answered = answered.join(asked, on="id", maintain_order="left")
    table = collect(answered.join(keys, on="id", how="left", maintain_order="left"))
    shown = pl.col("keys").cast(pl.List(pl.String)).list.join(",")
    same = {"content": pl.format("{} {}", shown, "question")}
    if "duplicate_of" in looks:
        same["look"] = pl.format("{} {}", "duplicate_of", "question")
    seeing = pl.col("pictures") > 0
    table = table.with_columns(
        *(pl.when(seeing).then(value).alias(name) for name, value in same.items()),
        alone=pl.when(~seeing & (pl.col("question") != _NOTHING)).then("question"),
    )
    table = table.filter(pl.any_horizontal(pl.col(*same, "alone").is_not_null()))
    if table.is_empty():
        return None
    table = table.with_columns(group=pl.Series(shared_values(table, [*same, "alone"])))
    conflicts = table.filter(pl.col("answer").n_unique().over("group") > 1).sort("id")
    count, groups = conflicts.height, conflicts["group"].n_unique()
    several = f"{groups:,} group{'s' if groups != 1 else ''}"
    words = f"{records(count)} in {several} differ" if count else "none differ"
    conflicts = conflicts.with_columns(same_as=pl.col("id").first().over("group")).sort("same_as", "id")
    review = [name for name in looks if name == "review"]
    what = "a picture and those like it" if "look" in same else f"a picture ({how})"
    statement = f"One question about {what} has one answer, and so has one text without a picture"
    return Seen(statement, count, words, conflicts.select(*SHOWN, "answer_text", "same_as", *review).lazy())


def label_unknown(build: BuildFolder) -> Seen | None:
    """Labels must stand in the label file."""
    labelled = originals(build).drop_nulls("label")
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
