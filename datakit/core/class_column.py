"""The column that says which class a record is of."""

from __future__ import annotations

import polars as pl

from datakit.core.errors import UserError


def class_of(frame: pl.LazyFrame | pl.DataFrame, name: str, parameter: str) -> pl.Expr:
    """The classes as texts, null where a record has none; `parameter` is the step's that names the column.

    Raises UserError for a column whose values are no single ones: lists, structs, bytes.
    """
    dtype = frame.lazy().collect_schema()[name]
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
        raise UserError(
            f"`{parameter}` names the column `{name}`, which holds {_held(dtype)}: a class is one value",
            remedy="Name a column of texts, numbers or truth values, such as `label`.",
        )
    return pl.col(name).cast(pl.String)


def _held(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.List | pl.Array):
        return "lists"
    return "groups of values" if isinstance(dtype, pl.Struct) else "bytes"
