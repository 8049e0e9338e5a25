"""A record that an emitter has no place for: which word counts it, and what the user is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from datakit.core.outcome import Reject


class RowFault(Exception):
    """One record cannot be written as a row; the emitter writes the others."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def written_rows(
    batch: pl.DataFrame, row: Callable[[dict[str, Any]], bytes], left_out: list[Reject]
) -> tuple[list[bytes], pl.DataFrame]:
    """The rows of the records that `row` can write, and these records; the others join those left out."""
    rows, kept = [], []
    for at, record in enumerate(batch.iter_rows(named=True)):
        try:
            rows.append(row(record))
        except RowFault as fault:
            left_out.append(Reject(record["id"], fault.reason, fault.detail))
        else:
            kept.append(at)
    return rows, batch if len(kept) == batch.height else batch[kept]
