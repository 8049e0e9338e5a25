"""A frame in memory as the records that an emitter gets, folded as a stage folds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from datakit.core.folded import Folded, fold
from datakit.core.transform import Columns, FinalRecords

PART = 3000


@dataclass(frozen=True)
class Held(FinalRecords):
    """Records that need no disk."""

    frame: pl.DataFrame

    @property
    def schema(self) -> Columns:
        return self.frame.schema

    def folded(self, columns: Sequence[str] | None = None) -> Iterator[Folded]:
        for part in self.frame.select(columns or self.frame.columns).iter_slices(PART):
            yield fold(part)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        for part in self.folded(columns):
            yield part.unfolded()
