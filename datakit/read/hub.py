"""read.hub: records out of data sets of the Hugging Face hub, or out of folders of theirs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from datakit.core.step_context import StepContext
from datakit.core.transform import Package
from datakit.read._class_names import class_columns
from datakit.read._embedded import EmbeddedImages
from datakit.read._files import stamp_of
from datakit.read._frames import frame_blocks
from datakit.read._hub import (
    DATASETS,
    CachedImages,
    HubSource,
    features_of,
    folder_files,
    frames,
    is_hub_name,
    loaded,
)
from datakit.read._row_reader import RowReader
from datakit.read._rows import Block


class Hub(RowReader):
    """One record per row of a Hugging Face data set, in order, with every further column of its.

    `path` is the name of a data set on the hub (`owner/name`) or a folder: one that `save_to_disk` wrote, one
    that emit.hub wrote, or a copy of a hub's (README.md and its tables). Needs the extra `hub`. Class numbers
    become their names. Pictures inside the data set, or beside it as files on the hub, are written once each,
    by content, to `pictures/` in the result store's folder; further columns are kept as read.parquet does.

    Reasons of rejection: those of read.parquet. `source_file` is the `path`, `source_line` the row, from 1.
    """

    example: ClassVar[dict[str, Any] | None] = {"path": "uoft-cs/cifar10", "image": "img", "split": "train"}

    path: str
    """Name on the hub (`owner/name`), or a data set's folder, from the recipe's folder."""
    subset: str | None = None
    """Name of the configuration; not for what `save_to_disk` wrote."""
    split: str | None = None
    """The part that is read; `train` when not given."""
    revision: str | None = None
    """Branch, tag or commit; hub only. Give a commit, so that two builds read the same."""

    def packages(self, context: StepContext) -> tuple[Package, ...]:
        return (*super().packages(context), DATASETS)

    def _files(self, context: StepContext) -> tuple[Path, ...]:
        """The files of a folder; none of the hub's."""
        return () if is_hub_name(self.path, context) else folder_files(context.path(self.path))

    def class_columns(self, context: StepContext) -> list[str]:
        return class_columns(features_of(loaded(self._source(self._files(context)), self.split)))

    def _source(self, files: tuple[Path, ...]) -> HubSource:
        if not files:
            return HubSource(self.path, self.subset, self.revision)
        name = os.path.commonpath([file.parent for file in files])
        return HubSource(name, self.subset, stamps=tuple(stamp_of(file) for file in files))

    def _blocks(self, files: tuple[Path, ...], rows: int) -> Iterator[Block]:
        source = self._source(files)
        yield from frame_blocks(frames(loaded(source, self.split), rows), source.path)

    def _image_paths(
        self, root: Path, context: StepContext, base: Path | None = None, beside: Path | None = None
    ) -> EmbeddedImages:
        own = self.image_root is None and base is None
        kind = CachedImages if own and is_hub_name(self.path, context) else EmbeddedImages
        return kind(context.path(self.path) if own else root, context, base)
