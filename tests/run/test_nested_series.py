"""Lists of structs are made quickly, and as polars makes them."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.run.nested_series import series

INNER = pl.Struct({"key": pl.Int64, "texts": pl.List(pl.String)})
DTYPE = pl.List(pl.Struct({"name": pl.String, "share": pl.Float64, "inner": pl.List(INNER)}))

inner = st.fixed_dictionaries(
    {}, optional={"key": st.integers(-9, 9), "texts": st.none() | st.lists(st.text(max_size=2), max_size=2)}
)
struct = st.fixed_dictionaries(
    {"name": st.none() | st.text(max_size=3)},
    optional={
        "share": st.none() | st.floats(allow_nan=False),
        "inner": st.none() | st.lists(inner, max_size=2),
    },
)


@given(st.lists(st.none() | st.lists(struct, max_size=3), max_size=6))
def test_lists_of_structs_are_those_of_polars(values: list[Any]) -> None:
    ours, theirs = series("x", values, DTYPE), pl.Series("x", values, dtype=DTYPE)
    assert ours.dtype == theirs.dtype
    assert ours.name == theirs.name
    assert ours.to_list() == theirs.to_list()


@given(st.lists(st.none() | st.lists(st.none() | st.text(max_size=3), max_size=3), max_size=6))
def test_lists_of_texts_are_those_of_polars(values: list[Any]) -> None:
    dtype = pl.List(pl.String)
    assert series("x", values, dtype).to_list() == pl.Series("x", values, dtype=dtype).to_list()


def test_a_null_among_the_structs_stays_one() -> None:
    values = [[{"name": "a"}, None]]
    assert series("x", values, DTYPE).to_list() == pl.Series("x", values, dtype=DTYPE).to_list()


def test_a_value_of_another_type_is_refused_as_polars_refuses_it() -> None:
    values = [[{"name": "a", "share": "many"}]]
    with pytest.raises((TypeError, pl.exceptions.PolarsError)):
        pl.Series("x", values, dtype=DTYPE)
    with pytest.raises((TypeError, pl.exceptions.PolarsError)):
        series("x", values, DTYPE)
