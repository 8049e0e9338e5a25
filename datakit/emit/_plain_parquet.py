"""Parquet files in the types that `datasets` itself writes: no large, dictionary or view types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from datakit.emit._hub_card import FileSize, Task


class PlainParquet:
    """Joins chunks into files of one schema; keeps their sizes, and what their rows teach."""

    def __init__(self, columns: Sequence[str], group_rows: int) -> None:
        self.columns, self._group_rows = list(columns), group_rows
        self.features: Any = None
        """The types of the columns, `datasets.Features`, once a file is written."""
        self.sizes: dict[Path, FileSize] = {}
        self.task = Task()

    def write(self, chunks: list[Path], target: Path) -> None:
        """Writes one file."""
        import pyarrow.parquet

        if self.features is None:
            self.features = _features(pl.read_parquet_schema(chunks[0]), self.columns)
        schema = self.features.arrow_schema  # with what `datasets` says of columns, such as pictures
        memory = 0
        with pyarrow.parquet.ParquetWriter(target, schema, compression="zstd") as file:
            for rows in _portions(chunks, self.columns, self._group_rows):
                table = rows.to_arrow().cast(schema)
                memory += table.nbytes
                file.write_table(table)
                self.task.add(rows)
        self.sizes[target] = FileSize(target.stat().st_size, memory)


def _portions(chunks: Iterable[Path], columns: list[str], rows: int) -> Iterator[pl.DataFrame]:
    """The rows of the chunks, so many at a time; small chunks are put together."""
    waiting: list[pl.DataFrame] = []
    for chunk in chunks:
        waiting.append(pl.read_parquet(chunk, columns=columns, glob=False))
        if sum(frame.height for frame in waiting) >= rows:
            yield from pl.concat(waiting).iter_slices(rows)
            waiting = []
    if waiting:
        yield pl.concat(waiting)


def _features(schema: dict[str, Any], columns: Sequence[str]) -> Any:
    """The hub's types of the columns: pictures are decoded, all others are what polars holds, plainly."""
    import datasets
    import pyarrow

    table = pl.DataFrame(schema={name: schema[name] for name in columns}).to_arrow()
    plain = pyarrow.schema([(field.name, _plain(field.type)) for field in table.schema])
    features = datasets.Features.from_arrow_schema(plain)
    features["images"] = datasets.Sequence(datasets.Image())
    return features


def _plain(kind: Any) -> Any:
    """The Arrow type that says the same in the words that every reader knows."""
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(kind):
        return _plain(kind.value_type)
    if types.is_large_string(kind) or types.is_string_view(kind) or types.is_null(kind):
        return pyarrow.string()
    if types.is_large_binary(kind) or types.is_binary_view(kind):
        return pyarrow.binary()
    if types.is_large_list(kind) or types.is_list(kind):
        return pyarrow.list_(_plain(kind.value_type))
    if types.is_fixed_size_list(kind):
        return pyarrow.list_(_plain(kind.value_type), kind.list_size)
    if types.is_struct(kind):
        return pyarrow.struct([(field.name, _plain(field.type)) for field in kind])
    return kind
