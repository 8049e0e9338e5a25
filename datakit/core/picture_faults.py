"""What may be wrong with a picture, and the columns in which annotate.image_quality says so."""

from __future__ import annotations

from typing import Any, Literal, get_args

import polars as pl

PictureFault = Literal["dark", "light", "blurry", "low_information", "odd_size", "framed"]
PICTURE_FAULTS: tuple[str, ...] = get_args(PictureFault)
"""In the order in which a record's faults stand.

- `dark`: nothing on it is bright; `light`: nothing on it is dark.
- `blurry`: even its steeper edges are smeared over several pixels.
- `low_information`: hardly any of it shows anything.
- `odd_size`: a side too short to show text, or far longer than wide.
- `framed`: a picture within the picture: letterboxed, or a screenshot of a screenshot.
"""
FAULTS = "picture_faults"
MEASURES = "picture_measures"
MEASURE_TYPES: dict[str, Any] = {
    "width": pl.Int64(),
    "height": pl.Int64(),
    "darkest": pl.Float64(),
    "brightest": pl.Float64(),
    "sharpness": pl.Float64(),
    "filled": pl.Float64(),
    "bars": pl.Float64(),
    "inset": pl.Float64(),
}
QUALITY_COLUMNS: dict[str, Any] = {
    FAULTS: pl.List(pl.String()),
    MEASURES: pl.List(pl.Struct(MEASURE_TYPES)),
}


def has_picture_faults(columns: Any) -> bool:
    """Whether records have the column of faults, of the kind that the step gives."""
    return bool(columns.get(FAULTS) == QUALITY_COLUMNS[FAULTS])


def is_poor() -> pl.Expr:
    """Whether a record has a picture with a fault; false for records without pictures."""
    return (pl.col(FAULTS).list.len() > 0).fill_null(False)
