"""Which polars type each column of a source has, found by looking at every value once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import polars as pl

JSON_TEXT = "json"
"""Marks a column of mixed or nested values: each is kept as its JSON text."""
BYTES = "bytes"
"""Marks a column of bytes: it may hold pictures, and is not kept otherwise."""

_SCALARS: dict[type, str] = {str: "str", int: "int", float: "float", bool: "bool"}
_TYPES: dict[frozenset[str], Any] = {
    frozenset(): pl.String(),
    frozenset({"str"}): pl.String(),
    frozenset({"bool"}): pl.Boolean(),
    frozenset({"int"}): pl.Int64(),
    frozenset({"float"}): pl.Float64(),
    frozenset({"int", "float"}): pl.Float64(),
}
_NONE = type(None)
_EXACT = 2**53
"""The largest whole number below which Float64 holds every one."""


class Kinds:
    """The kinds of value that each column has held so far."""

    def __init__(self) -> None:
        self.scalars: dict[str, set[str]] = {}
        self.items: dict[str, set[str]] = {}
        self.declared: dict[str, Any] = {}

    def declare(self, kinds: Mapping[str, Any]) -> None:
        """Takes in the types of a typed source. Where two files differ, JSON texts hold both."""
        for name, kind in kinds.items():
            self.scalars.setdefault(name, set())
            if self.declared.setdefault(name, kind) != kind:
                self.declared[name] = JSON_TEXT

    def add(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Takes in some rows, column by column."""
        for name, values in columns.items():
            kinds = self.scalars.setdefault(name, set())
            types = set(map(type, values))
            types.discard(_NONE)
            kinds |= _kinds_of(types)
            if int in types:
                kinds |= _width(values)
            if list in types:
                lists = [value for value in values if type(value) is list]
                items = [item for value in lists for item in value]
                inner = _kinds_of(set(map(type, items)))
                inner |= _width(items) if "int" in inner else set()
                self.items.setdefault(name, set()).update(inner)

    def names(self) -> list[str]:
        """The columns, in the order in which they first stood."""
        return list(self.scalars)

    def dtype(self, name: str) -> Any:
        """The polars type that holds every value of the column, or JSON_TEXT."""
        if name in self.declared:
            return self.declared[name]
        kinds = self.scalars[name]
        if kinds == {"list"}:
            inner = _dtype(self.items.get(name, set()))
            return JSON_TEXT if inner == JSON_TEXT else pl.List(inner)
        return _dtype(kinds)


def transposed(rows: Sequence[dict[str, Any]]) -> dict[str, Sequence[Any]]:
    """Rows as columns; what a row does not have is None."""
    orders = set(map(tuple, rows))
    if len(orders) == 1:
        names = next(iter(orders))
        return dict(zip(names, zip(*map(dict.values, rows), strict=True), strict=True))
    columns = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in columns}


def column(name: str, values: Sequence[Any], dtype: Any) -> pl.Series:
    """The values as a column of the type that `Kinds.dtype` found."""
    if dtype == JSON_TEXT:
        return pl.Series(name, [as_json(value) for value in values], dtype=pl.String)
    if dtype == pl.Float64:
        return pl.Series(
            name, [None if value is None else float(value) for value in values], dtype=pl.Float64
        )
    if dtype == pl.List(pl.Float64):
        floats = [
            None if value is None else [None if item is None else float(item) for item in value]
            for value in values
        ]
        return pl.Series(name, floats, dtype=dtype)
    return pl.Series(name, values, dtype=dtype)


def as_json(value: Any) -> str | None:
    """Texts and null as they are, other values as JSON. Whole numbers keep every digit."""
    if value is None or type(value) is str:
        return value
    try:
        return orjson.dumps(value, default=str).decode()
    except (
        TypeError
    ):  # a number beyond 64 bits, or a key that is none: Python's own writer takes five times as long
        return json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":"))


def _kinds_of(types: set[type]) -> set[str]:
    return {"list" if kind is list else _SCALARS.get(kind, "object") for kind in types if kind is not _NONE}


def _width(values: Sequence[Any]) -> set[str]:
    """Marks whole numbers that Float64, or Int64, cannot hold."""
    numbers = [value for value in values if type(value) is int]
    low, high = min(numbers), max(numbers)
    wide = {"wide"} if low < -_EXACT or high > _EXACT else set()
    return wide | ({"huge"} if low < -(2**63) or high >= 2**63 else set())


def _dtype(kinds: set[str]) -> Any:
    if kinds == {"int", "wide"}:
        return pl.Int64()
    return _TYPES.get(frozenset(kinds), JSON_TEXT)
