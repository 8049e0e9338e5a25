"""A frame in memory as the records that an emitter gets, folded as a stage folds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from datakit.core.factored_chats import CHATS, FactoredChats, factor
from datakit.core.record import MESSAGES
from datakit.core.transform import Columns, FinalRecords

PART = 3000


@dataclass(frozen=True)
class HeldRecords(FinalRecords):
    """Records that need no disk."""

    frame: pl.DataFrame

    @property
    def schema(self) -> Columns:
        return self.frame.schema

    def factored(self, columns: Sequence[str] | None = None) -> Iterator[FactoredChats]:
        for batch in self.frame.select(columns or self.frame.columns).iter_slices(PART):
            yield factor(batch) if batch.schema.get(CHATS) == MESSAGES else FactoredChats(batch)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        for chats in self.factored(columns):
            yield chats.expanded()
