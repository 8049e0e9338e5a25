"""The records of one task among those of all: taken out for the task's steps, and put back in their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from datakit.core.factored_chats import FactoredChats
from datakit.core.task_blocks import TASK
from datakit.run.record_frames import RecordFrames

_PLAIN = {"repeat": 1, "set": ""}
"""What stands for a record in a column that steps of another task alone give; null in every other."""


def taken_out(
    frames: RecordFrames, task: str, columns: Iterable[str], folder: Path
) -> tuple[RecordFrames, RecordFrames]:
    """The records of a task with its own columns alone, and the others as they are."""
    own_columns = [name for name in columns if name in frames.schema]
    own = RecordFrames(folder.with_name(f"{folder.name}.own"), {n: frames.schema[n] for n in own_columns})
    others = RecordFrames(folder.with_name(f"{folder.name}.others"), frames.schema)
    for chats in frames.factored():
        mine = (pl.col(TASK) == task).fill_null(False)
        own.append(chats.frame.filter(mine).select(own_columns), chats.shared)
        others.append(chats.frame.filter(~mine), chats.shared)
    return own, others


def put_back(
    own: RecordFrames, others: RecordFrames | None, task: str, order: Sequence[str], folder: Path
) -> RecordFrames:
    """All records, those of a task behind those of the tasks before it; absent columns are null."""
    schema: dict[str, Any] = {
        **(others.schema if others is not None else {}),
        **own.schema,
        TASK: pl.String(),
    }
    whole = RecordFrames(folder.with_name(f"{folder.name}.all"), schema)
    is_before = pl.col(TASK).is_in(list(order[: order.index(task)])).fill_null(False)
    for chats in others.factored() if others is not None else ():
        _append(whole, chats, chats.frame.filter(is_before))
    for chats in own.factored():
        _append(whole, chats, chats.frame.with_columns(pl.lit(task).alias(TASK)))
    for chats in others.factored() if others is not None else ():
        _append(whole, chats, chats.frame.filter(~is_before))
    return whole


def _append(whole: RecordFrames, chats: FactoredChats, frame: pl.DataFrame) -> None:
    if not frame.is_empty():
        filled = [pl.col(name).fill_null(value) for name, value in _PLAIN.items() if name in whole.schema]
        whole.append(with_schema(frame, whole.schema).with_columns(filled), chats.shared)


def with_schema(frame: pl.DataFrame, schema: Mapping[str, Any]) -> pl.DataFrame:
    """The frame with exactly these columns in this order; absent ones are null."""
    if dict(frame.schema) == schema and list(frame.columns) == list(schema):
        return frame
    return frame.select(
        pl.col(name) if name in frame.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in schema.items()
    )
