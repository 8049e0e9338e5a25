"""Series of lists, which polars makes from Python values one by one (41 us each of structs, polars 2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import polars as pl


def series(name: str, values: Sequence[Any], dtype: Any) -> pl.Series:
    """`pl.Series(name, values, dtype=dtype)`; what lies in lists is made at once, ten times as quickly."""
    if not isinstance(dtype, pl.List) or not all(value is None or type(value) is list for value in values):
        return pl.Series(name, values, dtype=dtype)
    rows = list(chain.from_iterable(value for value in values if value))
    inner = _structs(name, rows, dtype.inner) if rows else None
    if inner is None:
        return pl.Series(name, values, dtype=dtype)
    filled = [at for at, value in enumerate(values) if value]
    lengths = pl.Series([len(values[at]) for at in filled], dtype=pl.UInt32)
    places = pl.int_range(len(filled), dtype=pl.UInt32).repeat_by(pl.lit(lengths)).explode()
    full = pl.select(places.alias("at")).with_columns(inner)
    lists = full.group_by("at", maintain_order=True).agg(pl.col(name))[name].cast(dtype)
    if len(filled) == len(values):
        return lists
    which = [len(filled) + (value is not None) for value in values]  # behind them stand null and []
    for number, at in enumerate(filled):
        which[at] = number
    return lists.append(pl.Series(name, [None, []], dtype=dtype)).gather(which)


def _structs(name: str, rows: Sequence[Any], dtype: Any) -> pl.Series | None:
    """What lies in all lists; None for structs of which some are null, or are none."""
    if not isinstance(dtype, pl.Struct):
        return series(name, rows, dtype)
    if not all(isinstance(row, dict) for row in rows):
        return None
    fields = [
        series(field.name, [row.get(field.name) for row in rows], field.dtype) for field in dtype.fields
    ]
    return pl.DataFrame(fields).to_struct(name)
