"""Records as Parquet files, one or more for each split, written as a stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from datakit.core.blur import BLUR
from datakit.core.errors import UserError, did_you_mean
from datakit.core.outcome import Reject
from datakit.core.record import GIVEN_SPLIT
from datakit.core.regular_files import read_regular
from datakit.core.step_context import StepContext
from datakit.core.transform import FinalRecords
from datakit.emit._images import ImageFiles
from datakit.emit._records import CHOSEN, batches, fitting, split_keys, with_places

ImageForm = Literal["bytes", "link", "copy", "resize"]
_OWN = {"split", GIVEN_SPLIT, "repeat", "set", "source_file", "source_line", BLUR}
"""Columns that are left out unless named: the files say the first four, the next two name this machine,
and the last is done to the pictures."""
_PICTURE = pl.Struct({"bytes": pl.Binary, "path": pl.String})
"""A picture as Hugging Face's `datasets` stores one."""
_ROWS = {"bytes": 64, "path": 2048}
"""Rows encoded at a time, and rows of a row group: with pictures in them, 64 are some 10 MB."""
Write = Callable[[list[Path], Path], None]


def chosen_columns(records: FinalRecords, wanted: Sequence[str] | None) -> list[str]:
    """The columns that are written. Raises UserError for one that is not there."""
    names = [name for name in records.schema if not name.startswith("@")]
    if wanted is None:
        return [name for name in names if name not in _OWN]
    for name in wanted:
        if name not in names:
            hint = did_you_mean(name, names) or f"Columns there: {', '.join(names)}."
            raise UserError(f"`columns` names `{name}`, which is no column here", remedy=hint)
    return list(dict.fromkeys(["id", "messages", "images", *wanted]))


@dataclass
class Tables:
    """The files of each split as they fill. A record with `repeat` 3 has three rows, first copies first."""

    folder: Path
    columns: list[str]
    form: ImageForm
    pictures: ImageFiles
    trainer: str
    left_out: list[Reject]
    """Takes the records that have no place in the files."""
    shard_bytes: int | None = None
    """A file is ended when it holds so much; None for one file a split."""
    records: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    filled: set[str] = field(default_factory=set)
    """Columns in which some record has a value."""
    _chunks: dict[tuple[str, int], list[Path]] = field(default_factory=dict)

    def fill(self, records: FinalRecords) -> None:
        """Writes the records into chunks, without those that a trainer would drop or stop at."""
        others = [name for name in self.columns if name not in CHOSEN]
        for batch in batches(records, others):
            for portion in fitting(batch, self.trainer, self.left_out).iter_slices(self.group_rows):
                self._add(portion)

    @property
    def group_rows(self) -> int:
        """Rows of a row group."""
        return _ROWS["bytes" if self.form == "bytes" else "path"]

    def close(self, name: str = "{part}.parquet", write: Write | None = None) -> dict[str, list[Path]]:
        """Split -> its files, each made by `write`. `name` may hold {part}, {number} and {count}."""
        write = write or self._sink
        files: dict[str, list[Path]] = {}
        for split in self.rows:
            rounds = sorted(key for key in self._chunks if key[0] == split)
            shards = self._shards([path for key in rounds for path in self._chunks[key]])
            for number, chunks in enumerate(shards):
                target = self.folder / name.format(part=split, number=number, count=len(shards))
                write(chunks, target)
                files.setdefault(split, []).append(target)
        self.release()
        return files

    def release(self) -> None:
        """Removes the chunks."""
        for chunks in self._chunks.values():
            for path in chunks:
                path.unlink(missing_ok=True)
        self._chunks.clear()

    def _add(self, portion: pl.DataFrame) -> None:
        portion, places = self.pictures.place_for(portion, self.left_out)
        self.filled.update(name for name in portion.columns if portion[name].null_count() < portion.height)
        placed = with_places(portion, places)
        if self.form == "bytes":
            placed = placed.with_columns(images=self._embedded(placed["images"].to_list()))
        keys = split_keys(portion)
        for split in dict.fromkeys(key[0] for key in keys):
            copies = [key[2] if key[0] == split else 0 for key in keys]
            self.records[split] = self.records.get(split, 0) + sum(count > 0 for count in copies)
            for number in range(max(copies)):
                repeated = placed.filter(pl.Series([count > number for count in copies])).select(self.columns)
                chunks = self._chunks.setdefault((split, number), [])
                path = self.folder / f".{split}.{number}.{len(chunks):06d}.chunk"
                repeated.write_parquet(path, compression="lz4")
                chunks.append(path)
                self.rows[split] = self.rows.get(split, 0) + repeated.height

    def _sink(self, chunks: list[Path], target: Path) -> None:
        pl.scan_parquet(chunks).sink_parquet(target, compression="zstd", row_group_size=self.group_rows)

    def _embedded(self, rows: Sequence[Sequence[str]]) -> pl.Series:
        values = [
            [
                {"bytes": read_regular(self.pictures.folder / Path(path).name), "path": Path(path).name}
                for path in paths
            ]
            for paths in rows
        ]
        return pl.Series(values, dtype=pl.List(_PICTURE))

    def _shards(self, chunks: list[Path]) -> list[list[Path]]:
        shards: list[list[Path]] = [[]]
        size = 0
        for path in chunks:
            bytes_ = path.stat().st_size
            if self.shard_bytes and shards[-1] and size + bytes_ > self.shard_bytes:
                shards.append([])
                size = 0
            shards[-1].append(path)
            size += bytes_
        return shards


def placing(
    form: ImageForm, folder: Path, hidden: Path, max_pixels: int | None, context: StepContext
) -> ImageFiles:
    """Where the pictures go: the build's `images/`, or a folder that is removed once they are in the rows."""
    if form == "bytes":
        return ImageFiles.into(hidden, "resize" if max_pixels else "link", max_pixels, context)
    return ImageFiles.into(folder, form, max_pixels, context)


def limit_fault(form: ImageForm, max_pixels: int | None) -> str:
    """What is wrong with the two parameters together; "" when nothing is."""
    if max_pixels is not None and form not in ("bytes", "resize"):
        return f"`image_max_pixels` belongs to `bytes` or `resize`, not to `{form}`"
    if form == "resize" and max_pixels is None:
        return "`images: resize` needs `image_max_pixels`"
    return ""
