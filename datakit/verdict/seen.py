"""What a kind of finding gives when it looks at a build."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from datakit.pages.figures import collect

SHOWN = ("id", "label", "part")
"""Columns of every record that a finding shows, where records have them."""


@dataclass(frozen=True)
class Seen:
    """How much of its kind a build has."""

    statement: str
    """What should hold of the build."""
    count: int
    """Of what speaks against it: 0 is a pass."""
    words: str
    records: pl.LazyFrame | None = None
    """The records (or classes) that speak against it, with what shows it; None where no record does."""


def height(frame: pl.LazyFrame) -> int:
    """Rows of a frame."""
    return int(collect(frame.select(pl.len())).item())


def some(names: list[str], most: int = 5) -> str:
    """The first few of some names."""
    return "、".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def records(count: int) -> str:
    """`1 record`, `1,234 records`."""
    return f"{count:,} record{'s' if count != 1 else ''}"
