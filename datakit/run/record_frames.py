"""Records between two steps: a folder of Arrow files, so that memory stays bounded at any count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl

from datakit.core.factored_chats import CHATS, FactoredChats, SharedAffixes, expanded, factor
from datakit.core.record import MESSAGES
from datakit.core.transform import FinalRecords


class RecordFrames(FinalRecords):
    """A table on disk, in parts of bounded size, in record order.

    Chats lie there folded: a seventh of the bytes to write and to read where prompts are made by a template.
    """

    def __init__(self, folder: Path, schema: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.parts: list[Path] = []
        self.rows = 0
        self._shared: list[Sequence[SharedAffixes]] = []
        """What the chats of each part lack."""
        self._schema = dict(schema) if schema is not None else None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def schema(self) -> dict[str, Any]:
        """Column -> dtype."""
        if self._schema is None:
            raise ValueError("nothing was written to the stage and no schema given")
        return self._schema

    def append(self, frame: pl.DataFrame, shared: Sequence[SharedAffixes] = ()) -> None:
        """Writes one batch, whose chats may be folded. All batches have one schema."""
        if self._schema is None:
            self._schema = dict(frame.schema)
        elif dict(frame.schema) != self._schema:
            raise ValueError(f"batch has columns {dict(frame.schema)}, the stage {self._schema}")
        if frame.height == 0:
            return
        path = self.folder / f"{len(self.parts):06d}.arrow"
        factored = FactoredChats(frame, shared) if shared else self._factored(frame)
        factored.frame.write_ipc(path)
        self.parts.append(path)
        self._shared.append(factored.shared)
        self.rows += frame.height

    def lazy(self) -> pl.LazyFrame:
        """The whole table, lazily."""
        if not self.parts:
            return pl.LazyFrame(schema=self.schema)
        frames = []
        for shared, parts in groupby(zip(self._shared, self.parts, strict=True), key=lambda pair: pair[0]):
            frame = pl.scan_ipc([path for _, path in parts])
            if shared:
                whole = partial(expanded, shared=shared)
                frame = frame.with_columns(
                    pl.col(CHATS).map_batches(whole, return_dtype=MESSAGES, is_elementwise=True)
                )
            frames.append(frame)
        return frames[0] if len(frames) == 1 else pl.concat(frames)

    def factored(self, columns: Sequence[str] | None = None) -> Iterator[FactoredChats]:
        """The parts in order, each read into memory on its own, with their chats as they lie on disk."""
        for path, shared in zip(self.parts, self._shared, strict=True):
            yield FactoredChats(
                pl.read_ipc(path, columns=list(columns) if columns is not None else None), shared
            )

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The parts in order, each read into memory on its own."""
        for chats in self.factored(columns):
            yield chats.expanded()

    def remove(self) -> None:
        """Deletes the files; the table is gone."""
        for path in self.parts:
            path.unlink(missing_ok=True)
        self.parts, self._shared = [], []

    def _factored(self, frame: pl.DataFrame) -> FactoredChats:
        if self.schema.get(CHATS) != MESSAGES:
            return FactoredChats(frame)
        return factor(frame, self._shared[-1] if self._shared else ())
