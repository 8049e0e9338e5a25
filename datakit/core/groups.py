"""Records that belong together: connected components over shared values or given pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

Numbers = np.ndarray[Any, np.dtype[np.int64]]


def shared_values(table: pl.DataFrame, columns: Sequence[str]) -> Numbers:
    """Group number per row: rows that share a value in any of the columns are in one group.

    In a list column each element counts, so that two records with one picture in common belong together.
    Null shares nothing with null.
    """
    rows, nodes, offset = [], [], table.height
    for column in columns:
        pairs = table.select(row=pl.int_range(pl.len(), dtype=pl.Int64), value=pl.col(column))
        if isinstance(pairs.schema["value"], pl.List):
            pairs = pairs.explode("value")
        pairs = pairs.drop_nulls("value").filter(pl.col("value").is_duplicated())
        if pairs.height:
            codes = pairs["value"].rank("dense").cast(pl.Int64).to_numpy() - 1
            rows.append(pairs["row"].to_numpy())
            nodes.append(codes + offset)
            offset += int(codes.max()) + 1
    if not rows:  # a plan, which has no records, and records that share nothing do not wait for scipy
        return np.arange(table.height, dtype=np.int64)
    return components(np.concatenate(rows), np.concatenate(nodes), offset)[: table.height]


def components(left: Numbers, right: Numbers, nodes: int) -> Numbers:
    """Component number per node of the graph whose edges are `left[i]` - `right[i]`."""
    if not len(left):
        return np.arange(nodes, dtype=np.int64)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(nodes, nodes))
    _, labels = connected_components(graph, directed=False)
    return np.asarray(labels, dtype=np.int64)
