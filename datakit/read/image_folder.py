"""read.image_folder: records out of a folder of pictures, one sub-folder a label."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from datakit.core.errors import UserError
from datakit.core.outcome import Batch, Reject
from datakit.core.record import BASE, COLUMNS
from datakit.core.step_context import StepContext
from datakit.core.transform import Columns, Reader
from datakit.read._files import empty_source, missing
from datakit.read._images import ImageFault, ImagePaths

_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)
_LEFT_BY_SYSTEMS = frozenset({"thumbs.db", "desktop.ini"})
_SCHEMA = {name: COLUMNS[name] for name in BASE}


class ImageFolder(Reader):
    """One record per picture below a folder, sorted by path; its label is the name of the folder it is in.

    Pictures that lie directly in `path` have a null label. The id is the path below `path`, such as
    `购物车页面/0001.jpg`. Hidden files and folders, `Thumbs.db` and `desktop.ini` are passed over; folders
    that are links are not followed.

    Reasons of rejection: not_a_picture (by suffix), image_outside (a link to somewhere else).
    `source_file` is the picture, `source_line` null.
    """

    example: ClassVar[dict[str, Any] | None] = {"path": "../data/train"}

    path: str
    """The folder, from the recipe's folder."""
    labelled: bool = True
    """Whether the names of folders are labels. When false, every label is null."""

    def columns(self, context: StepContext) -> Columns:
        self._root(context)
        return dict(_SCHEMA)

    def files(self, context: StepContext) -> list[Path]:
        return list(_files_below(self._root(context)))

    def read(self, context: StepContext) -> Iterator[Batch]:
        root = self._root(context)
        paths, files = ImagePaths(root), map(context.declared, _files_below(root))
        count = 0
        while chunk := list(islice(files, context.run.batch_rows)):
            count += len(chunk)
            yield self._batch(chunk, root, paths)
        if not count:
            raise empty_source([root], "no picture")

    def _root(self, context: StepContext) -> Path:
        root = Path(os.path.normpath(context.path(self.path)))
        if root.is_dir():
            return root
        if root.exists():
            raise UserError(
                f"{root} is a file, not a folder", remedy="Name the folder above the labels' folders."
            )
        raise missing(root)

    def _batch(self, files: list[Path], root: Path, paths: ImagePaths) -> Batch:
        rows, rejects = [], []
        for file in files:
            name = file.relative_to(root).as_posix()
            if file.suffix.lower() not in _SUFFIXES:
                words = f"{name} has no suffix of a picture ({file.suffix or 'none'})"
                rejects.append(Reject(name, "not_a_picture", words, str(file)))
                continue
            try:
                image = paths.one(name)
            except ImageFault as fault:
                rejects.append(Reject(name, fault.reason, fault.detail, str(file)))
                continue
            label = file.parent.name if self.labelled and file.parent != root else None
            rows.append((name, str(file), None, [image], label, None))
        return Batch(pl.DataFrame(rows, schema=_SCHEMA, orient="row"), rejects)


def _files_below(root: Path) -> Iterator[Path]:
    """Every file below a folder, folder by folder, each sorted by name."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name.lower() not in _LEFT_BY_SYSTEMS:
                yield Path(folder, name)
