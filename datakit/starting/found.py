"""What data holds: records, pictures, labels, texts and boxes, all gone through by the reader itself."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from datakit.core.boxes import BOXES
from datakit.core.errors import UserError
from datakit.core.language import Language, language_of
from datakit.core.outcome import Batch
from datakit.core.record import BASE
from datakit.core.scripts import shell_words
from datakit.core.step_context import StepContext
from datakit.core.training_columns import LOSS, OBJECTS, plain_name
from datakit.read._boxes import BOX_COLUMN
from datakit.read._column_names import MESSAGES_NAMES, names_picture
from datakit.read._row_reader import TableReader
from datakit.starting.asked import Task
from datakit.starting.columns import Column, is_plain
from datakit.starting.pictures import Base, Looked, Spread, are_missing, base_of, looked_at
from datakit.starting.sources import Source

_BESIDE = (OBJECTS, LOSS)
_NO_CHATS = ("messages_format",)
_CHAT_FAULTS = (*_NO_CHATS, "image_places")
"""Reasons of rejects for what stands in a column of chats."""
_TEXTS = 60_000
"""Characters that a language is told by."""


@dataclass
class Found:
    """What a source holds."""

    source: Source
    records: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    """Reason -> rows that are no records."""
    example: str = ""
    """The first of them, in words."""
    pictures: Counter[int] = field(default_factory=Counter)
    """Pictures of a record -> records."""
    paths: Spread = field(default_factory=Spread)
    missing: Spread = field(default_factory=Spread)
    """Paths of pictures that were not there when the reader looked for them."""
    folders: set[str] = field(default_factory=set)
    """Folders that hold the pictures."""
    labels: Counter[str] = field(default_factory=Counter)
    texts: int = 0
    chats: int = 0
    beside: set[str] = field(default_factory=set)
    """Columns beside chats that ms-swift has a place for, and LLaMA-Factory has none."""
    boxes: int = 0
    box_texts: int = 0
    columns: dict[str, Column] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    """Columns that the source itself says hold classes."""
    notes: list[str] = field(default_factory=list)
    """What the reader has to say."""
    looked: Looked = field(default_factory=Looked)
    doubts: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """Some of the texts, for their language."""

    @property
    def images(self) -> int:
        """Pictures of all records, those that several share once each."""
        return sum(number * records for number, records in self.pictures.items())

    @property
    def reject_share(self) -> float:
        """Rows that are no records, and records whose picture cannot be used, as far as was looked."""
        total = self.records + self.rejects.total()
        rejected = self.rejects.total() / total if total else 0.0
        return rejected + (1 - rejected) * self.looked.share

    def language(self) -> Language | None:
        """That of the labels and texts; None where there are none with letters."""
        said = (" ".join(words).replace("{", " ").replace("}", " ") for words in (self.labels, self.said))
        return next(filter(None, (language_of([text]) for text in said)), None)

    def add(self, batch: Batch) -> None:
        """Takes the next records of the source."""
        frame = batch.frame
        self.records += frame.height
        for reject in batch.rejects:
            self.example = self.example or f"{reject.id}: {reject.detail or reject.reason}"
            self.rejects[reject.reason] += 1
            if reject.reason == "image_missing":  # readers of boxes look at the pictures' sizes
                self.missing.add([reject.detail.partition(": ")[0]])
        self._add_notes(batch.notes)
        if not frame.height:
            return
        self.pictures.update(frame["images"].list.len().to_list())
        paths = frame["images"].explode().drop_nulls().to_list()
        self.paths.add(paths)
        self.folders.update(map(os.path.dirname, paths))
        self.labels.update(frame["label"].drop_nulls().to_list())
        self.texts += frame["text"].drop_nulls().len()
        if "messages" in frame.columns:
            chats = frame.filter(pl.col("messages").list.len() > 0)
            self.chats += chats.height
            self.beside |= {name for name in _BESIDE if name in chats.columns and chats[name].count()}
        if frame.schema.get(BOXES) == BOX_COLUMN:
            boxes = frame[BOXES].explode().drop_nulls().struct.unnest()
            self.boxes += boxes.height
            self.box_texts += boxes["text"].drop_nulls().len()
        for name, kind in frame.schema.items():
            if (name not in BASE or name == "text") and is_plain(kind) and not _is_copy(frame, name):
                self.columns.setdefault(name, Column()).add(frame[name])
        self._say(frame)

    def _add_notes(self, notes: Mapping[str, Any]) -> None:
        self.notes += [notes["columns"]] if "columns" in notes else []
        self.notes += notes.get("warnings", ())

    def _say(self, frame: pl.DataFrame) -> None:
        """Keeps some of the texts."""
        if sum(map(len, self.said)) > _TEXTS:
            return
        head = frame.head(200)
        self.said += head["text"].drop_nulls().to_list()
        if "messages" in head.columns:
            self.said += [turn["content"] or "" for turn in head["messages"].explode().drop_nulls()]
        if head.schema.get(BOXES) == BOX_COLUMN:
            boxes = head[BOXES].explode().drop_nulls()
            self.said += [word for box in boxes for word in (box["label"], box["text"]) if word]
        self.said += [text for name in self.columns if name in head.columns for text in _texts(head[name])]


def _is_copy(frame: pl.DataFrame, name: str) -> bool:
    """Whether a column has the pictures' paths, or the labels again, by the name of the source."""
    head = frame[name].drop_nulls().head(50).to_list()
    pictures = sum(map(names_picture, head))
    return 2 * pictures > len(head) or (bool(head) and frame[name].equals(frame["label"]))


def _texts(series: pl.Series) -> list[str]:
    return series.drop_nulls().to_list() if series.dtype == pl.String else []


def found_in(source: Source, context: StepContext, task: Task | None = None) -> Found:
    """What a source holds, its pictures found. Raises UserError for one that cannot be read, or is empty."""
    found = _without_chats(_read(source, context), context, task)
    if found.rejects["image_outside"] * 2 > found.records + found.rejects.total():
        found = _outside(found, context)
    missing = found.missing.paths if found.rejects["image_missing"] > found.records else found.paths.paths
    if are_missing(missing) and "image_root" not in found.source.parameters:
        found = _elsewhere(found, missing, context)
    if not found.records and not found.rejects["image_missing"]:
        raise _no_record(found)
    if not found.records or are_missing(found.paths.paths):
        raise _no_picture(found)
    found.looked = looked_at(found.paths.paths)
    found.doubts = [*source.doubts, *found.doubts]
    return found


def _read(source: Source, context: StepContext) -> Found:
    found = Found(source)
    try:
        reader = source.reader()
        if missing := [name for name, _ in reader.packages(context) if not _is_there(name)]:
            raise UserError(
                f"{source.words} is read with the package {missing[0]}, which is not installed",
                remedy='Install it: pip install "datakit[hub]"',
            )
        for batch in reader.read(context):
            found.add(batch)
        found.classes = reader.class_columns(context) if isinstance(reader, TableReader) else []
    except UserError as error:
        remedy = "\n  ".join(filter(None, (error.remedy, *source.doubts)))
        raise UserError(error.message, remedy=remedy, where=error.where, exit_code=error.exit_code) from None
    return found


def _is_there(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def _without_chats(found: Found, context: StepContext, task: Task | None) -> Found:
    """The same without the column of chats, where it holds none, or its owner wants something else learnt."""
    reader = found.source.reader()
    if task == "chats" or not isinstance(reader, TableReader):
        return found
    faults = _NO_CHATS if task is None else _CHAT_FAULTS
    if sum(found.rejects[reason] for reason in faults) <= found.records:
        return found
    columns = [name for name in reader.source_columns(context) if plain_name(name) in MESSAGES_NAMES]
    try:
        again = _read(found.source.having(drop=columns), context)
    except UserError:
        return found
    if not again.images or not (again.labels or again.texts or again.columns):
        return found
    again.doubts.append(
        f"left out {' and '.join(f'`{name}`' for name in columns)} (`drop` of the reader), which is no "
        f"column of chats to learn, such as {found.example} (to learn it all the same: --task chats)"
    )
    return again


def _outside(found: Found, context: StepContext) -> Found:
    """The same where paths are absolute, or lead out of the data's folder by `..`."""
    source = found.source
    if not isinstance(source.reader(), TableReader) or "image_root" in source.parameters:
        return found
    wide = _read(source.having(image_root="/", image_base=str(source.folder)), context)
    if not wide.folders or are_missing(wide.paths.paths):
        return found
    root = os.path.commonpath([*wide.folders])
    again = _read(source.having(image_root=root, image_base=str(source.folder)), context)
    again.doubts.append(f"pictures lie in {root} (`image_root`)")
    return again


def _elsewhere(found: Found, paths: list[str], context: StepContext) -> Found:
    """The same with paths that start from another folder than that of the data, where one is found."""
    source = found.source
    if not isinstance(source.reader(), TableReader):
        return found
    base = base_of(paths, source.folder)
    if base is None:
        return found
    again = _read(source.having(image_root=str(base.folder)), context)
    again.doubts += _doubt_base(base, again)
    return again


def _doubt_base(base: Base, found: Found) -> list[str]:
    """What is said where picture paths do not start from the data's folder."""
    lines = [f"picture paths start from {base.folder}, for there they are (--image-root for another)"]
    if not base.is_inside:
        looked = found.paths.paths + found.missing.paths
        there = sum(map(os.path.exists, looked))
        lines[0] = (
            f"picture paths start from {base.folder}, outside the data's folder, in which fewer than half of "
            f"them lead to pictures; there {there:,} of {len(looked):,} do. Other folders may have pictures "
            "of these names: look whether they are the data's (--image-root for another)"
        )
    if base.others:
        more = f" and {len(base.others) - 1} more" if len(base.others) > 1 else ""
        lines.append(
            f"pictures of these names are in {base.others[0]}{more} too: look which are the data's "
            f"({shell_words(['--image-root', str(base.others[0])])})"
        )
    return lines


def _no_record(found: Found) -> UserError:
    counts = ", ".join(f"{reason} {count:,}" for reason, count in found.rejects.most_common(4))
    remedy = f"For example {found.example}" if found.example else "Is it the right file?"
    if sum(found.rejects[reason] for reason in _CHAT_FAULTS):
        remedy += ". To learn labels or texts of the table instead of its chats: --task classify or caption"
    return UserError(
        f"no record can be read from {found.source.words}: {counts or 'it is empty'}", remedy=remedy
    )


def _no_picture(found: Found) -> UserError:
    paths = found.paths.paths or found.missing.paths
    missing = [path for path in paths if not os.path.exists(path)]
    base = found.source.parameters.get("image_root")
    tried = "" if base else "; the working folder and the folders in, above and beside it were tried too"
    of_windows = "\\" in missing[0].replace(str(found.source.folder), "")
    words = (
        " Their paths have `\\`, as on Windows, which is read as `/` where that leads to a picture. Write "
        "them from the data's folder on, without a drive such as C:."
    )
    return UserError(
        f"of {len(paths):,} pictures that were looked for {len(missing):,} are not there: {missing[0]}",
        remedy=f"Paths start from {base or found.source.folder}{tried}. Say where: --image-root FOLDER."
        + (words if of_windows else ""),
    )


def data_folders(found: Found) -> list[Path]:
    """The folders that are data, and that nothing is ever written into."""
    path = found.source.path
    whole = [path] if path is not None and path.is_dir() else []
    return [*whole, *(Path(folder) for folder in sorted(found.folders))]
