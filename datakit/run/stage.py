"""Records between two steps: a folder of Arrow files, so that memory stays bounded at any count."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl


class Stage:
    """A table on disk, in parts of bounded size, in record order."""

    def __init__(self, folder: Path, schema: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.parts: list[Path] = []
        self.rows = 0
        self._schema = dict(schema) if schema is not None else None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def schema(self) -> dict[str, Any]:
        """Column -> dtype."""
        if self._schema is None:
            raise ValueError("nothing was written to the stage and no schema given")
        return self._schema

    def append(self, frame: pl.DataFrame) -> None:
        """Writes one batch. All batches have one schema."""
        if self._schema is None:
            self._schema = dict(frame.schema)
        elif dict(frame.schema) != self._schema:
            raise ValueError(f"batch has columns {dict(frame.schema)}, the stage {self._schema}")
        if frame.height == 0:
            return
        part = self.folder / f"{len(self.parts):06d}.arrow"
        frame.write_ipc(part)
        self.parts.append(part)
        self.rows += frame.height

    def lazy(self) -> pl.LazyFrame:
        """The whole table, lazily."""
        if not self.parts:
            return pl.LazyFrame(schema=self.schema)
        return pl.scan_ipc(self.parts)

    def batches(self, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
        """The parts in order, each read into memory on its own."""
        for part in self.parts:
            yield pl.read_ipc(part, columns=columns)

    def remove(self) -> None:
        """Deletes the files; the table is gone."""
        for part in self.parts:
            part.unlink(missing_ok=True)
        self.parts = []
