"""What a step may tell the card of: its figures, and the records of the finished build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl  # a bundle carries core to machines without it


@dataclass(frozen=True)
class StepAccount:
    """One step of a finished build."""

    number: int
    """Its place in the recipe, from 1."""
    records_in: int
    records_out: int
    added: int
    retry: int
    rejected: Mapping[str, int]
    """Reason -> records."""
    notes: Mapping[str, Any]
    """What the step noted down: the `notes` of its Table or worker."""
    columns: tuple[str, ...]
    """Columns that the step gave."""
    records: pl.LazyFrame
    """The main records of the build, with all columns that its steps gave."""
