"""Which labels the other records contradict, by curate.label_noise."""

from __future__ import annotations

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.measured_columns import measured
from datakit.artifacts.originals import originals
from datakit.core.suspect_columns import NOISE_COLUMNS, is_suspect
from datakit.core.wording import t
from datakit.pages.blocks import Block, Section, Table, Text
from datakit.pages.figures import collect

MOST = 12
"""Rows of each table."""


def noise_section(build: BuildFolder) -> Section:
    """The clusters with their counts, and the most suspect records."""
    title = t("Labels that others contradict")
    if not measured(build.columns, *NOISE_COLUMNS):
        return Section(title, [])
    label = build.parameters("curate.label_noise").get("label", "label")
    if label not in build.columns:
        return Section(title, [])
    ranked = originals(build).filter(pl.col("noise_rank").is_not_null())
    clusters = collect(
        ranked.drop_nulls("noise_cluster")
        .group_by("noise_cluster")
        .agg(
            pl.len().alias("records"),
            pl.col("noise_probability").mean().alias("own"),
            pl.col("id").sort_by("noise_rank", "id").first().alias("example"),
        )
        .with_columns(number=pl.col("noise_cluster").str.extract(r" (\d+)$").cast(pl.Int64))
        .sort("number", "noise_cluster")
    )
    suspects = collect(
        ranked.filter(is_suspect(label))
        .sort("noise_rank", "id")
        .select("noise_rank", "id", label, "noise_probability", "noise_label", "noise_label_probability")
    )
    lead = t("A quick second opinion of text and picture, without a GPU; no label was changed. ")
    lead += t(
        "Suspects: {suspects:,}. Clusters inside a class that resemble another: {clusters:,}.",
        suspects=suspects.height,
        clusters=clusters.height,
    )
    blocks: list[Block] = [Text(lead)]
    if clusters.height:
        rows = [
            [build.clean(name), count, f"{own:.2f}", build.clean(example)]
            for name, count, own, example, _ in clusters.head(MOST).iter_rows()
        ]
        head = [t("cluster"), t("records"), t("mean probability of the label"), t("such as")]
        blocks += [
            Text(t("Judge each cluster as one: its records agree with each other.")),
            Table(head, rows),
        ]
    if suspects.height:
        rows = [
            [rank, build.clean(id_), build.clean(str(given)), f"{own:.2f}", build.clean(other), f"{most:.2f}"]
            for rank, id_, given, own, other, most in suspects.head(MOST).iter_rows()
        ]
        head = [
            t("rank"),
            t("record"),
            t("label"),
            t("probability"),
            t("by the others"),
            t("probability of that"),
        ]
        blocks += [Text(t("The most suspect of them, {rows}:", rows=len(rows))), Table(head, rows)]
    return Section(title, blocks)
