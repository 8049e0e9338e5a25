"""How good the pictures are, by annotate.image_quality."""

from __future__ import annotations

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.originals import originals
from datakit.core.picture_faults import FAULTS, PICTURE_FAULTS, has_picture_faults, is_poor
from datakit.core.wording import later, t
from datakit.pages.blocks import Block, Cell, Section, Table, Text
from datakit.pages.figures import collect

MOST_CLASSES = 12
"""Rows of the table of classes."""
ABOUT = {
    "dark": later("nothing on it is bright"),
    "light": later("nothing on it is dark"),
    "blurry": later("even its sharpest edges are smeared"),
    "low_information": later("hardly any of it shows anything"),
    "odd_size": later("a side is too short, or it is far longer than wide"),
    "framed": later("a picture within it: letterboxed, or a screenshot of a screenshot"),
}
assert tuple(ABOUT) == PICTURE_FAULTS


def image_quality_section(build: BuildFolder) -> Section:
    """Records by what is wrong with their pictures, and the classes that have most of them."""
    title = t("Picture quality")
    if not has_picture_faults(build.columns):
        return Section(title, [])
    label = "label" if build.columns.get("label") == pl.String() else None
    names = ["id", FAULTS, *([label] if label else [])]
    looked = collect(originals(build).filter(pl.col(FAULTS).is_not_null()).select(names).sort("id"))
    if not looked.height:
        return Section(title, [])
    poor = looked.filter(is_poor())
    lead = t(
        "{poor:,} of {all:,} records with pictures have a poor one.",
        poor=poor.height,
        all=looked.height,
    )
    if not poor.height:
        return Section(
            title, [Text(t("{lead} Looked for: {names}.", lead=lead, names=", ".join(PICTURE_FAULTS)))]
        )
    lead += t(" Nothing was dropped for it; datakit review BUILD --poor-pictures shows them.")
    rows: list[list[Cell]] = []
    for fault, about in ABOUT.items():
        ids = poor.filter(pl.col(FAULTS).list.contains(fault))["id"]
        if len(ids):
            rows.append([t(fault), t(about), len(ids), build.clean(ids[0])])
    blocks: list[Block] = [
        Text(lead),
        Table([t("fault"), t("what that is"), t("records"), t("such as")], rows),
    ]
    if label:
        blocks += _classes(build, looked, label)
    return Section(title, blocks)


def _classes(build: BuildFolder, looked: pl.DataFrame, label: str) -> list[Block]:
    """A class that is poor as a whole teaches a model the fault in place of the class."""
    counts = (
        looked.drop_nulls(label)
        .group_by(label)
        .agg(pl.len().alias("records"), is_poor().sum().alias("poor"))
        .filter(pl.col("poor") > 0)
        .sort(["poor", "records", label], descending=[True, False, False])
    )
    rows = [
        [build.clean(name), poor, count, f"{poor / count:.0%}"]
        for name, count, poor in counts.head(MOST_CLASSES).iter_rows()
    ]
    if not rows:
        return []
    text = t(
        "The classes that have most of them. Where a class is poor as a whole, a model learns the fault."
    )
    return [Text(text), Table([t("class"), t("poor"), t("records"), t("share")], rows)]
