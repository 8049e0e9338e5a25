"""read.parquet: records out of Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from datakit.core.step_context import StepContext
from datakit.read._class_names import class_columns, parquet_features
from datakit.read._parquet import parquet_rows
from datakit.read._row_reader import RowReader
from datakit.read._rows import Block


class Parquet(RowReader):
    """One record per row of Parquet files, in order, with every further column of theirs.

    Whole numbers become Int64, other numbers Float64; dates and categories become texts, nested values their
    JSON text. Class numbers become their names where the `datasets` package wrote them into the file. A
    picture may be a path, or bytes inside the file (as the Hugging Face hub keeps them): those are written
    once each, by content, to `pictures/` in the result store's folder. Columns of bytes that are no pictures
    are left out.

    Reasons of rejection: duplicate_id, id_rounded, label_not_text, text_not_text, image_not_a_path,
    image_outside, image_empty, image_places, messages_format, messages_order, answer_empty,
    answer_unwanted, tools_format, objects_format. `source_line` is the row, from 1.
    """

    example: ClassVar[dict[str, Any] | None] = {"path": "../data/part-*.parquet", "id": None}

    def class_columns(self, context: StepContext) -> list[str]:
        return class_columns(parquet_features(self._declared(context)[0]))

    def _blocks(self, files: tuple[Path, ...], rows: int) -> Iterator[Block]:
        for file in files:
            yield from parquet_rows(file, rows)
