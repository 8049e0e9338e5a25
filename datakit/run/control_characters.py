"""Control characters in what readers and annotators give: taken out of texts, and the records counted."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from datakit.core.errors import UserError
from datakit.core.outcome import Batch, Reject
from datakit.core.visible import BREAKS, SEQUENCES, has_controls, visible

_MARK = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
"""Some sign of what SEQUENCES describes: quick to look for."""
_NAMES = ("id", "images")
"""Columns whose texts are names of something: another name would be something else."""


def check_names(columns: dict[str, Any], where: str) -> None:
    """Raises UserError for a column whose name holds control characters."""
    for name in columns:
        if has_controls(name):
            raise UserError(
                f"the column `{visible(name)}` has control characters in its name",
                remedy="Rename it in the source.",
                where=where,
            )


class ControlCharacters:
    """Takes control characters out of batches, and remembers in how many records each column had some."""

    def __init__(self) -> None:
        self._records: Counter[str] = Counter()

    def cleaned(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The records with clean texts."""
        for name, dtype in frame.schema.items():
            if name in _NAMES or name.startswith("@") or not _holds_text(dtype):
                continue
            column = frame[name]
            if not _has_any(column):
                continue
            clean = frame.select(_clean(pl.col(name), dtype).alias(name))[name]
            self._records[name] += (
                int(column.ne_missing(clean).sum()) if dtype == pl.String else _differing(column, clean)
            )
            frame = frame.with_columns(clean)
        return frame

    def batch(self, batch: Batch) -> Batch:
        """A reader's records with clean texts; without those whose id or pictures have such names."""
        if batch.frame.is_empty():
            return batch
        in_images = pl.col("images").list.eval(pl.element().str.contains(_MARK)).list.any().fill_null(False)
        strange = pl.col("id").str.contains(_MARK).fill_null(False) | in_images
        rejects = [
            Reject.of(
                row,
                "control_characters",
                f"the id {visible(row['id'])!r} or a picture's name holds control characters: rename it",
            )
            for row in batch.frame.filter(strange).iter_rows(named=True)
        ]
        frame = batch.frame.filter(~strange) if rejects else batch.frame
        return Batch(self.cleaned(frame), [*batch.rejects, *rejects], batch.notes)

    def note(self, notes: dict[str, Any]) -> None:
        """Adds what was taken out to the notes of a step, whose other warnings may quote such texts."""
        if lines := [*map(visible, notes.get("warnings", ())), *self._warnings()]:
            notes["warnings"] = lines
        self._records.clear()

    def _warnings(self) -> list[str]:
        return [
            f"control characters are taken out of `{name}` in {count:,} record{'s' if count > 1 else ''}: a "
            "terminal would obey them, and no model learns from them"
            for name, count in self._records.items()
        ]


def _holds_text(dtype: Any) -> bool:
    if isinstance(dtype, pl.List):
        return _holds_text(dtype.inner)
    if isinstance(dtype, pl.Struct):
        return any(_holds_text(field.dtype) for field in dtype.fields)
    return bool(dtype == pl.String)


def _has_any(column: pl.Series) -> bool:
    """Whether a text within the column holds a control character."""
    if isinstance(column.dtype, pl.List):
        return _has_any(column.drop_nulls().explode())
    if isinstance(column.dtype, pl.Struct):
        return any(_has_any(column.struct.field(field.name)) for field in column.dtype.fields)
    return column.dtype == pl.String and bool(column.str.contains(_MARK).any())


def _clean(expr: pl.Expr, dtype: Any) -> pl.Expr:
    if isinstance(dtype, pl.List):
        return expr.list.eval(_clean(pl.element(), dtype.inner)) if _holds_text(dtype) else expr
    if isinstance(dtype, pl.Struct):
        fields = [_clean(expr.struct.field(f.name), f.dtype).alias(f.name) for f in dtype.fields]
        return pl.when(expr.is_null()).then(None).otherwise(pl.struct(fields))
    return expr.str.replace_all(BREAKS, " ").str.replace_all(SEQUENCES, "") if dtype == pl.String else expr


def _differing(before: pl.Series, after: pl.Series) -> int:
    return sum(old != new for old, new in zip(before.to_list(), after.to_list(), strict=True))
