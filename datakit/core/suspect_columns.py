"""The columns in which curate.label_noise says how suspect a label is, and who reviewed it."""

from __future__ import annotations

from typing import Any

import polars as pl

NOISE_COLUMNS: dict[str, Any] = {
    "noise_rank": pl.Int64(),
    "noise_probability": pl.Float64(),
    "noise_label": pl.String(),
    "noise_label_probability": pl.Float64(),
    "noise_cluster": pl.String(),
}
REVIEWED_BY = "label_reviewed_by"
"""Column of curate.overrides: who gave or accepted the label as it is; null where nobody did."""
SUSPECT_BELOW = 0.05
"""Probability of its own label up to which a record counts as a suspect, where another class is likelier than
all others together. A ranking has no end; this is where counts for people stop."""
OTHER_ABOVE = 0.5


def is_suspect(label: str = "label") -> pl.Expr:
    """Whether the other records say clearly that a label is wrong; false for records without one."""
    clear = (pl.col("noise_probability") <= SUSPECT_BELOW) & (pl.col("noise_label_probability") > OTHER_ABOVE)
    return (clear & (pl.col("noise_label") != pl.col(label).cast(pl.String))).fill_null(False)
