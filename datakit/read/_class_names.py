"""Names of classes that a data set keeps beside its numbers, as the `datasets` package writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from datakit.core.regular_files import regular_path

_LISTS = ("Sequence", "List", "LargeList")


def parquet_features(path: Path) -> dict[str, Any]:
    """Column -> feature, out of the file's metadata; empty for a file of another writer."""
    metadata = pl.read_parquet_metadata(regular_path(path))
    try:
        features = orjson.loads(metadata.get("huggingface", "{}"))["info"]["features"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def class_columns(features: Mapping[str, Any]) -> list[str]:
    """The columns of one class a row."""
    return [
        name
        for name, feature in features.items()
        if isinstance(feature, Mapping) and feature.get("_type") == "ClassLabel"
    ]


def with_class_names(frame: pl.DataFrame, features: Mapping[str, Any]) -> pl.DataFrame:
    """The frame with class numbers as their names, inside lists and objects too.

    -1, which means no class, is null; a number that has no name stays a number.
    """
    named = {
        name: expression
        for name, dtype in frame.schema.items()
        if (expression := _named(pl.col(name), dtype, features.get(name))) is not None
    }
    return frame.with_columns(**named) if named else frame


def _named(column: pl.Expr, dtype: Any, feature: Any) -> pl.Expr | None:
    """The column with names for numbers; None when it holds no class."""
    if isinstance(feature, list) and len(feature) == 1:
        feature = {"_type": "List", "feature": feature[0]}
    if not isinstance(feature, Mapping):
        return None
    kind = feature.get("_type")
    if kind == "ClassLabel":
        return _class(column, dtype, feature.get("names"))
    if kind in _LISTS and isinstance(feature.get("feature"), Mapping):
        return _list(column, dtype, feature["feature"])
    if isinstance(dtype, pl.Struct) and not isinstance(kind, str):
        return _struct(column, dtype, feature)
    return None


def _class(column: pl.Expr, dtype: Any, names: Any) -> pl.Expr | None:
    if not isinstance(names, list) or not dtype.is_integer():
        return None
    known = {-1: None, **dict(enumerate(map(str, names)))}
    return column.replace_strict(known, default=column.cast(pl.String), return_dtype=pl.String)


def _list(column: pl.Expr, dtype: Any, feature: Mapping[str, Any]) -> pl.Expr | None:
    """A list of classes or objects. Older versions write a list of objects as an object of lists."""
    if isinstance(dtype, pl.Struct):
        lists = {name: {"_type": "List", "feature": inner} for name, inner in feature.items()}
        return _struct(column, dtype, lists)
    if not isinstance(dtype, pl.List):
        return None
    inner = _named(pl.element(), dtype.inner, feature)
    return None if inner is None else column.list.eval(inner)


def _struct(column: pl.Expr, dtype: pl.Struct, features: Mapping[str, Any]) -> pl.Expr | None:
    fields = {
        field.name: expression
        for field in dtype.fields
        if (expression := _named(column.struct.field(field.name), field.dtype, features.get(field.name)))
        is not None
    }
    if not fields:
        return None
    whole = pl.struct(
        fields.get(field.name, column.struct.field(field.name)).alias(field.name) for field in dtype.fields
    )
    return pl.when(column.is_not_null()).then(whole)
