"""How a record leaves a step: done, rejected or to be retried. Nothing else exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl  # a bundle carries this module to machines without it


@dataclass(frozen=True, slots=True)
class Done:
    """A result that was paid for. `raw` (JSON-able) goes into the result store as it is.

    `meta` is stored beside it and shown by `datakit why`: model, tokens_in, tokens_out, cost_usd, seconds.
    """

    raw: Any
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejected:
    """The record can never pass this step. Stored, so that it is not tried (and paid) again.

    >>> import datakit as dk
    >>> dk.Rejected("too_dark", "mean brightness 12 of 255").reason
    'too_dark'
    """

    reason: str
    """Short snake_case word, counted in the report."""
    detail: str = ""
    """One sentence for the user."""
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Retry:
    """The step failed this time. Not stored: the next run tries again."""

    reason: str
    detail: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    """What the attempt used up all the same: tokens_in, tokens_out, cost_usd."""


Outcome = Done | Rejected | Retry


def is_bought(outcome: Outcome) -> bool:
    """Whether somebody may have been paid for it: a model was asked, or it notes a price."""
    return not outcome.meta.keys().isdisjoint(("cost_usd", "model", "requests", "tokens_in"))


REFUSAL = "refusal"
"""In the `meta` of a reject: a model's refusal, which an answer to another record must show to be its own."""

RETRY = "retry:"
"""Prefix of a reject's reason that means: not stored, the next run tries again."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that a step dropped, as `rejects.jsonl` shows it."""

    id: str
    reason: str
    detail: str = ""
    source_file: str = ""
    source_line: int | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any], reason: str, detail: str = "") -> Reject:
        """The record of a row (`id`, and where it has them `source_file` and `source_line`), rejected."""
        return cls(row["id"], reason, detail, row.get("source_file") or "", row.get("source_line"))


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records that go on, and those of the same batch that do not."""

    frame: pl.DataFrame
    rejects: list[Reject] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    """Of a reader: facts for the report and the card, such as `warnings`, a list of sentences."""


@dataclass(frozen=True, slots=True)
class Table:
    """What a table transform makes: records that go on, and rejected ones (id, reason, detail)."""

    frame: pl.LazyFrame
    rejects: pl.LazyFrame | None = None
    added: int = 0
    """Records in `frame` that were not in the step's input (general data)."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Facts for the report and the card, such as the licences of mixed data."""
    suspects: list[dict[str, Any]] | None = None
    """Records whose label is doubted, in the form of suspects.jsonl; the build keeps the last list."""


def reject_rows(frame: pl.DataFrame, reason: str, details: list[str]) -> list[Reject]:
    """One Reject per row of `frame`, with its place in the source."""
    rows = frame.select("id", "source_file", "source_line").iter_rows(named=True)
    return [Reject.of(row, reason, detail) for row, detail in zip(rows, details, strict=True)]
