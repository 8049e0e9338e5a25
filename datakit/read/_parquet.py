"""Parquet files as rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from datakit.core.errors import UserError
from datakit.core.regular_files import regular_path
from datakit.read._class_names import parquet_features, with_class_names
from datakit.read._frames import frame_blocks
from datakit.read._rows import Block


def parquet_schema(path: Path) -> dict[str, Any]:
    """Column -> dtype. Raises UserError for a file that is not Parquet."""
    try:
        return dict(pl.read_parquet_schema(regular_path(path)))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise not_parquet(path, error) from None


def parquet_rows(path: Path, rows: int) -> Iterator[Block]:
    """The rows of one file, a part at a time. Raises UserError for a damaged file."""
    parquet_schema(path)
    try:
        features = parquet_features(path)
        batches = pl.scan_parquet(path, glob=False).collect_batches(chunk_size=rows, maintain_order=True)
        frames = (with_class_names(batch, features) for batch in _cut(batches, rows))
        yield from frame_blocks(frames, str(path))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise not_parquet(path, error) from None


def _cut(batches: Iterator[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    for batch in batches:
        yield from batch.iter_slices(rows)


def not_parquet(path: Path, error: Exception) -> UserError:
    """The error for a file that polars refuses."""
    words = str(error).strip().splitlines() or [type(error).__name__]
    return UserError(f"{path} cannot be read as Parquet: {words[0]}", remedy="Was it written to its end?")
