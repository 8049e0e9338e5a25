"""What curate.label_noise found: records and clusters whose label the others contradict."""

from __future__ import annotations

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.measured_columns import measured
from datakit.artifacts.originals import originals
from datakit.core.suspect_columns import NOISE_COLUMNS, is_suspect
from datakit.pages.figures import collect
from datakit.verdict.seen import SHOWN, Seen, records


def label_noise(build: BuildFolder) -> Seen | None:
    """Labels that the other records contradict, alone or as a cluster."""
    if not measured(build.columns, *NOISE_COLUMNS):
        return None
    label = build.parameters("curate.label_noise").get("label", "label")
    if label not in build.columns:
        return None
    ranked = originals(build).filter(pl.col("noise_rank").is_not_null())
    found = ranked.filter(is_suspect(label) | pl.col("noise_cluster").is_not_null()).sort("noise_rank", "id")
    table = collect(found.select(suspect=is_suspect(label), cluster="noise_cluster"))
    suspects = int(table["suspect"].sum())
    clusters = table.group_by("cluster").len().drop_nulls().sort("len", "cluster", descending=[True, False])
    words = f"{records(suspects)} {'are suspects' if suspects != 1 else 'is a suspect'}"
    if clusters.height:
        held = int(clusters["len"].sum())
        words += f"; {clusters.height:,} cluster{'s' if clusters.height != 1 else ''} of {records(held)}"
    shown = dict.fromkeys((*SHOWN, label, *NOISE_COLUMNS))
    return Seen(
        "No label is contradicted by the records of all others (curate.label_noise)",
        table.height,
        words if table.height else "none is",
        found.select(name for name in shown if name in found.collect_schema()),
    )
