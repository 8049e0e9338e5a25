"""The tables of a build (parquet), scanned so that a damaged one is told in words."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from datakit.artifacts.document import REMEDY
from datakit.core.errors import UserError


def scan_table(path: Path, *columns: str) -> pl.LazyFrame:
    """The table, scanned lazily. Raises UserError for a file that is none, or that lacks one of `columns`.

    Its head alone is looked at: what is damaged further on shows where it is read.
    """
    frame = pl.scan_parquet(path, glob=False)
    try:
        there = frame.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise damaged_table(path, error) from None
    if lacking := [name for name in columns if name not in there]:
        raise UserError(f"{path} cannot be read: it has no column `{lacking[0]}`", remedy=REMEDY)
    return frame


def damaged_table(path: Path, error: BaseException) -> UserError:
    """The error for a table that polars could not read."""
    what = str(error).partition("\n")[0].removeprefix("parquet: ")
    return UserError(f"{path} cannot be read: {what}", remedy=REMEDY)
