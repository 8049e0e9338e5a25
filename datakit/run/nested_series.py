"""Series of lists of structs, which polars makes from Python values one by one (41 us each, polars 2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import polars as pl


def series(name: str, values: Sequence[Any], dtype: Any) -> pl.Series:
    """`pl.Series(name, values, dtype=dtype)`; lists of structs are made by fields, ten times as quickly."""
    if not isinstance(dtype, pl.List) or not isinstance(dtype.inner, pl.Struct):
        return pl.Series(name, values, dtype=dtype)
    rows = list(chain.from_iterable(value for value in values if value))
    if not rows or not all(isinstance(row, dict) for row in rows):
        return pl.Series(name, values, dtype=dtype)
    fields = [
        series(field.name, [row.get(field.name) for row in rows], field.dtype) for field in dtype.inner.fields
    ]
    filled = [at for at, value in enumerate(values) if value]
    lengths = pl.Series([len(values[at]) for at in filled], dtype=pl.UInt32)
    places = pl.int_range(len(filled), dtype=pl.UInt32).repeat_by(pl.lit(lengths)).explode()
    full = pl.select(places.alias("at")).with_columns(pl.DataFrame(fields).to_struct(name))
    lists = full.group_by("at", maintain_order=True).agg(pl.col(name))[name].cast(dtype)
    if len(filled) == len(values):
        return lists
    which = [len(filled) + (value is not None) for value in values]  # behind them stand null and []
    for number, at in enumerate(filled):
        which[at] = number
    return lists.append(pl.Series(name, [None, []], dtype=dtype)).gather(which)
