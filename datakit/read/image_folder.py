"""read.image_folder: records out of a folder of pictures, one sub-folder a label."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from datakit.core.errors import UserError
from datakit.core.outcome import Batch, Reject
from datakit.core.record import BASE, COLUMNS, GIVEN_SPLIT
from datakit.core.step_context import StepContext
from datakit.core.transform import Columns, Reader
from datakit.read._class_folders import ClassFolders, ClassFrom
from datakit.read._column_names import PICTURE_SUFFIXES
from datakit.read._files import closed_folder, empty_source, missing
from datakit.read._images import ImageFault, ImagePaths
from datakit.read._known_files import boxes_beside_pictures
from datakit.read._label_column import LabelColumn

_LEFT_BY_SYSTEMS = frozenset({"thumbs.db", "desktop.ini"})
_SPLITS = {"split": COLUMNS["split"], GIVEN_SPLIT: COLUMNS["split"]}
_SCHEMA = {name: COLUMNS[name] for name in BASE}


@dataclass(frozen=True)
class _Source:
    root: Path
    paths: ImagePaths
    folders: ClassFolders
    labels: LabelColumn

    def label(self, name: str) -> str | None:
        folders = self.labels.cleaned(self.folders.label(name))
        return "/".join(filter(None, folders)) or None


class ImageFolder(Reader):
    """One record per picture below a folder, sorted by path; its label is the name of the folder it is in.

    Where several folders have one name (`女装/其他` and `男装/其他`) their labels are the paths below `path`.
    When all folders at the top are called as splits are (train, val, test, 训练集 …), they are the
    column `split`, which curate.split respects, and no part of a label; `test` is validation. Pictures in no
    folder of a class have a null label. The id is the path below `path`, such as `购物车页面/0001.jpg`.
    Hidden files and folders, `Thumbs.db` and `desktop.ini` are passed over. Folders that are links are
    followed where they lead to a place below `path` or `image_root`. Signs in folders' names that nobody
    sees, such as zero-width spaces, are taken out of labels and told, and é in two signs is é in one.

    Reasons of rejection: not_a_picture (by suffix), image_outside (a link to somewhere else).
    `source_file` is the picture, `source_line` null.
    """

    example: ClassVar[dict[str, Any] | None] = {"path": "../data/train"}

    path: str
    """The folder, from the recipe's folder."""
    labelled: bool = True
    """Whether the names of folders are labels. When false, every label is null."""
    class_from: ClassFrom | None = None
    """What of the folders is the label: `leaf` (the folder the picture is in), `top` (the one at the top) or
    `path` (all of them, with `/`). When not given: `leaf`, and `path` for names that several folders have."""
    split_folders: bool = True
    """Whether folders at the top that are called train, val or test are splits."""
    image_root: str | None = None
    """Folder that links may lead into, besides `path` itself."""

    def columns(self, context: StepContext) -> Columns:
        return self._schema(self._folders(self._names(context)))

    def files(self, context: StepContext) -> list[Path]:
        return [file for file, refused in _below(self._root(context), self._allowed(context)) if not refused]

    def read(self, context: StepContext) -> Iterator[Batch]:
        root, allowed = self._root(context), self._allowed(context)
        files = list(_below(root, allowed))
        labels = LabelColumn(context.labels, words_for_none=False)  # somebody made a folder called `none`
        folders = self._folders(self._names(context))
        if self.labelled and (fault := boxes_beside_pictures(file for file, refused in files if not refused)):
            raise fault
        if note := folders.note():
            yield Batch(pl.DataFrame(schema=self._schema(folders)), notes={"columns": note})
        paths = ImagePaths(root) if self.image_root is None else ImagePaths(allowed[-1], root)
        for start in range(0, len(files), context.run.batch_rows):
            part = files[start : start + context.run.batch_rows]
            yield self._batch(part, _Source(root, paths, folders, labels), context)
        if warnings := labels.warnings():
            yield Batch(pl.DataFrame(schema=self._schema(folders)), notes={"warnings": warnings})
        if not files:
            raise empty_source([root], "no picture")

    def _schema(self, folders: ClassFolders) -> Columns:
        return {**_SCHEMA, **(_SPLITS if folders.splits else {})}

    def _names(self, context: StepContext) -> list[str]:
        """The pictures' paths below the root."""
        root = self._root(context)
        return [
            file.relative_to(root).as_posix()
            for file, _ in _below(root, self._allowed(context))
            if file.suffix.lower() in PICTURE_SUFFIXES
        ]

    def _folders(self, names: list[str]) -> ClassFolders:
        return ClassFolders.of(names, self.class_from, splits=self.split_folders)

    def _allowed(self, context: StepContext) -> tuple[Path, ...]:
        """Where links may lead."""
        own = self._root(context)
        return (own,) if self.image_root is None else (own, context.path(self.image_root))

    def _root(self, context: StepContext) -> Path:
        root = Path(os.path.normpath(context.path(self.path)))
        if root.is_dir():
            return root
        if root.exists():
            raise UserError(
                f"{root} is a file, not a folder", remedy="Name the folder above the labels' folders."
            )
        raise missing(root)

    def _batch(self, files: list[tuple[Path, bool]], source: _Source, context: StepContext) -> Batch:
        rows: list[tuple[Any, ...]] = []
        rejects, folders = [], source.folders
        for file, refused in files:
            name = file.relative_to(source.root).as_posix()
            if refused:
                words = f"the folder {name} is a link to {file.resolve()}; allow that place with `image_root`"
                rejects.append(Reject(name, "image_outside", words, str(file)))
                continue
            try:
                image = source.paths.one(name)
            except ImageFault as fault:
                rejects.append(Reject(name, fault.reason, fault.detail, str(file)))
                continue
            if file.suffix.lower() not in PICTURE_SUFFIXES:
                words = f"{name} has no suffix of a picture ({file.suffix or 'none'})"
                rejects.append(Reject(name, "not_a_picture", words, str(file)))
                continue
            context.declared(file)
            label = source.label(name) if self.labelled else None
            split = (folders.split(name),) * len(_SPLITS) if folders.splits else ()
            rows.append((name, str(file), None, [image], label, None, *split))
        return Batch(pl.DataFrame(rows, schema=self._schema(folders), orient="row"), rejects)


def _below(root: Path, allowed: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Every file below a folder, folder by folder, each sorted by name; links to folders are followed.

    With each whether it is refused: so is a folder that is a link out of `allowed`. A link into a folder that
    it stands in would have no end and is passed over.
    """
    places = [place.resolve() for place in allowed]
    for folder, folders, names in os.walk(root, onerror=closed_folder, followlinks=True):
        here, followed = Path(folder), []
        for name in sorted(name for name in folders if not name.startswith(".") and name != "lost+found"):
            if not os.path.islink(os.path.join(folder, name)):
                followed.append(name)
                continue
            target = (here / name).resolve()
            if not any(target.is_relative_to(place) for place in places):
                yield here / name, True
            elif not _is_above(target, here, root):
                followed.append(name)
        folders[:] = followed
        for name in sorted(names):
            if not name.startswith(".") and name.lower() not in _LEFT_BY_SYSTEMS:
                yield here / name, False


def _is_above(target: Path, folder: Path, root: Path) -> bool:
    """Whether a folder, or one that it was reached through, lies in `target`."""
    passed = [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]
    return any(place.resolve().is_relative_to(target) for place in passed)
