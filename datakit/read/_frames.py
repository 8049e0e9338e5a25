"""Polars frames of a typed source (Parquet, Arrow) as rows and kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from datakit.read._kinds import BYTES, JSON_TEXT
from datakit.read._rows import Block


def frame_blocks(frames: Iterator[pl.DataFrame], file: str) -> Iterator[Block]:
    """Rows with plain values; a row's line is its number, from 1."""
    first = 1
    for frame in frames:
        rows = frame.select(_plain(name, dtype) for name, dtype in frame.schema.items()).to_dicts()
        yield Block(file, rows, range(first, first + len(rows)), kinds=kinds_of(frame.schema))
        first += len(rows)


def kinds_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Column -> kind (`_kinds`)."""
    return {name: kind_of(dtype) for name, dtype in schema.items()}


def kind_of(dtype: Any) -> Any:
    """The type that a column has in records, JSON_TEXT, or BYTES."""
    if dtype.is_integer() and dtype not in (pl.UInt64, pl.Int128):
        return pl.Int64()
    if dtype.is_float():
        return pl.Float64()
    if dtype == pl.Boolean:
        return pl.Boolean()
    if dtype == pl.Binary:
        return BYTES
    if isinstance(dtype, pl.List | pl.Array):
        inner = kind_of(dtype.inner)
        return pl.List(inner) if not isinstance(inner, str | pl.List) else JSON_TEXT
    if isinstance(dtype, pl.Struct):
        return JSON_TEXT
    return pl.String()


def _plain(name: str, dtype: Any) -> pl.Expr:
    """The column as one of the types above; nested values and bytes as they are."""
    column = pl.col(name)
    if isinstance(dtype, pl.Array):
        column, dtype = column.arr.to_list(), pl.List(dtype.inner)
    if isinstance(dtype, pl.List) and _is_text(dtype.inner):
        return column.cast(pl.List(pl.String))
    return column.cast(pl.String) if _is_text(dtype) else column


def _is_text(dtype: Any) -> bool:
    return bool(kind_of(dtype) == pl.String())
