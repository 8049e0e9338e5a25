"""A data set that LLaMA-Factory loads without dropping a row: JSON arrays, pictures, dataset_info.json."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field, model_validator

from datakit.core.errors import UserError
from datakit.core.record import COLUMNS, GENERAL, TRAIN, VAL
from datakit.core.tools import Tools
from datakit.core.transform import Artifact, Emitter
from datakit.emit._json_array import JsonArray
from datakit.emit._pictures import How, Pictures

SUMMARY = "emitted.json"
"""What was written: rows, records and kind of each file, and the pixel limit of the pictures."""
TRAINER_MAX_PIXELS = 589_824
"""LLaMA-Factory's own default of `image_max_pixels` (768 x 768)."""

_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
_PAIR = "(user|observation) (assistant|function_call)"
_TURNS = f"^(system )?{_PAIR}( {_PAIR})*$"
_SLICE = 256
"""Rows encoded at a time: larger pieces leave the processor's cache and cost 30% more (2026-11-24)."""
_CHUNK = 2048


class Llamafactory(Emitter):
    """A LLaMA-Factory data set: `<name>_train.json`, `_val.json`, `_general.json`, pictures and index.

    Each file is a JSON array with one row `{"id", "messages", "images"}` a line, in record order; general
    data has its own file. A training record with `repeat` 3 is written three times: the first copies of all
    records, then the second ones, so that the first n rows are n different records (the trainer shuffles
    by itself). Where a part has records with pictures and records without, the latter get a file of their
    own (`<name>_train_text.json`): the trainer cannot load the two from one file. A part without records
    has no file.

    Pictures stand in `images/` under names made of their content, equal pictures once. A picture that the
    trainer would see otherwise than datakit does (EXIF rotation, CMYK, transparency, animation, a format
    other than JPEG, PNG or WebP) is written anew, upright and RGB, whatever `images` says.

    Paths are relative to the build, so that it can be moved. Raises UserError for records that the trainer
    would drop or stop at: no messages, turns out of order, an empty answer, `<image>` places that do not
    match the pictures.
    """

    images: How = "link"
    """`link` makes hard links (symbolic ones where the file system allows no hard ones), `copy` copies,
    `resize` copies and scales down what is over `image_max_pixels`."""
    image_max_pixels: int | None = Field(default=None, ge=784)
    """Largest picture that `resize` leaves, in pixels; 589,824 (LLaMA-Factory's own limit) when not given.
    The training configuration takes it over."""

    @model_validator(mode="after")
    def _limit_belongs_to_resize(self) -> Llamafactory:
        if self.image_max_pixels is not None and self.images != "resize":
            raise ValueError(f"`image_max_pixels` belongs to `images: resize`, not to `{self.images}`")
        return self

    def needs(self, tools: Tools) -> tuple[str, ...]:
        return ("id", "messages", "images")

    def write(self, frame: pl.LazyFrame, folder: Path, tools: Tools) -> list[Artifact]:
        pictures = Pictures(
            folder=folder / "images",
            how=self.images,
            max_pixels=self._max_pixels(),
            files=tools.files,
            workers=tools.run.workers or os.cpu_count() or 1,
        )
        parts = _Parts(folder, tools.name)
        try:
            for batch in _batches(frame):
                _check(batch)
                places = pictures.place(batch["images"].explode().drop_nulls())
                parts.append(_with_places(batch, places))
            artifacts = parts.close()
        finally:
            parts.release()
        if not parts.rows(TRAIN):
            raise UserError(
                "no record is left for training",
                remedy="Look at the steps' rejects; with curate.split, lower `val`.",
            )
        (folder / "dataset_info.json").write_bytes(_ascii(parts.dataset_info()))
        (folder / SUMMARY).write_bytes(_ascii(self._summary(parts, pictures)))
        return [
            *artifacts,
            Artifact(path="dataset_info.json", kind="config"),
            Artifact(path=SUMMARY, kind="config"),
        ]

    def _max_pixels(self) -> int | None:
        return (self.image_max_pixels or TRAINER_MAX_PIXELS) if self.images == "resize" else None

    def _summary(self, parts: _Parts, pictures: Pictures) -> dict[str, Any]:
        return {
            "trainer": "llamafactory",
            "image_max_pixels": self._max_pixels(),
            "pictures_saved_anew": pictures.saved_anew,
            "pictures_linked_softly": pictures.linked_softly,
            "files": parts.summary(),
        }


def _batches(frame: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """The records in order, some at a time: their texts are never all in memory."""
    have = frame.collect_schema().names()
    absent = {"split": TRAIN, "repeat": 1, "set": ""}
    columns = [pl.lit(value, COLUMNS[name]).alias(name) for name, value in absent.items() if name not in have]
    chosen = ["id", "messages", "images", "split", "repeat", "set"]
    plain = frame.with_columns(columns).select(chosen).with_columns(pl.col("set").fill_null(""))
    yield from plain.collect_batches(chunk_size=_CHUNK, maintain_order=True)


def _check(batch: pl.DataFrame) -> None:
    """Raises UserError for what LLaMA-Factory would drop without a word or stop at."""
    contents = pl.element().struct.field("content")
    answers = contents.filter(pl.element().struct.field("role") == "assistant").str.strip_chars()
    facts = batch.select(
        "id",
        "split",
        "repeat",
        "set",
        pictures=pl.col("images").list.len().fill_null(0),
        turns=pl.col("messages").list.eval(pl.element().struct.field("role")).list.join(" "),
        untold=pl.col("messages").list.eval(contents.is_null()).list.any(),
        silent=pl.col("messages").list.eval(answers == "").list.any(),
        places=pl.col("messages").list.eval(contents.str.count_matches("<image>", literal=True)).list.sum(),
    )
    general = pl.col("set") == GENERAL
    faults = {
        "no messages": pl.col("turns").is_null() | (pl.col("turns") == ""),
        "turns that are not user and assistant in turn": ~pl.col("turns").str.contains(_TURNS),
        "a turn without text": pl.col("untold"),
        "an empty answer": pl.col("silent"),
        "another number of <image> places than pictures": pl.col("places") != pl.col("pictures"),
        "a split that is neither train nor val": ~pl.col("split").is_in([TRAIN, VAL]).fill_null(False),
        "`repeat` below 1": pl.col("repeat").fill_null(0) < 1,
        "the set general, but not the split train": general & (pl.col("split") != TRAIN),
    }
    for what, wrong in faults.items():
        found = facts.filter(wrong)["id"]
        if len(found):
            raise UserError(
                f"{_named(found)} {what}; LLaMA-Factory would drop or stop at such a record",
                remedy="Put render.chat before emitting, or reject these records with a guard.",
            )


def _named(ids: pl.Series) -> str:
    if len(ids) == 1:
        return f"record {ids[0]} has"
    return f"records {', '.join(ids.head(3))}{' and others' if len(ids) > 3 else ''} have"


def _with_places(batch: pl.DataFrame, places: dict[str, str]) -> pl.DataFrame:
    images = [[places[path] for path in paths or ()] for paths in batch["images"].to_list()]
    return batch.with_columns(images=pl.Series(images, dtype=pl.List(pl.String)))


class _Parts:
    """The data files as they fill: part (train, val, general) and whether its rows have pictures -> file."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._arrays: dict[tuple[str, bool], JsonArray] = {}

    def append(self, batch: pl.DataFrame) -> None:
        for rows in batch.iter_slices(_SLICE):
            keys = rows.select(
                part=pl.when(pl.col("set") == GENERAL).then(pl.lit(GENERAL)).otherwise("split"),
                pictures=pl.col("images").list.len() > 0,
                copies=pl.when(pl.col("split") == TRAIN).then("repeat").otherwise(1),
            )
            row = pl.struct("id", "messages", "images").struct.json_encode().cast(pl.Binary)
            lines = rows.select(row).to_series().to_list()
            self._sort(lines, keys.rows())

    def close(self) -> list[Artifact]:
        """Ends every file and gives it its name."""
        for array in self._arrays.values():
            array.close()
        for key, array in self._arrays.items():
            array.path = array.path.rename(self.folder / f"{self._entry(key)}.json")
        return [
            Artifact(path=array.path.name, kind="data", records=array.rows)
            for _, array in sorted(self._arrays.items(), key=_order)
        ]

    def release(self) -> None:
        """Closes what is open, whatever happened before."""
        for array in self._arrays.values():
            array.release()

    def rows(self, part: str) -> int:
        return sum(array.rows for (mine, _), array in self._arrays.items() if mine == part)

    def dataset_info(self) -> dict[str, Any]:
        """The trainer's index. A mapping resets whatever it does not name, so all tags are named."""
        info = {}
        for key, array in sorted(self._arrays.items(), key=_order):
            columns = {"messages": "messages", **({"images": "images"} if key[1] else {})}
            info[self._entry(key)] = {
                "file_name": array.path.name,
                "formatting": "sharegpt",
                "columns": columns,
                "tags": _TAGS,
            }
        return info

    def summary(self) -> dict[str, Any]:
        return {
            self._entry(key): {
                "file": array.path.name,
                "part": key[0],
                "pictures": key[1],
                "records": array.elements,
                "rows": array.rows,
            }
            for key, array in sorted(self._arrays.items(), key=_order)
        }

    def _sort(self, lines: list[bytes], keys: list[tuple[str, bool, int]]) -> None:
        groups: dict[tuple[str, bool], tuple[list[bytes], list[int]]] = {}
        for line, (part, pictures, copies) in zip(lines, keys, strict=True):
            mine = groups.setdefault((part, pictures), ([], []))
            mine[0].append(line)
            mine[1].append(copies)
        for key, group in groups.items():
            if key not in self._arrays:
                self._arrays[key] = JsonArray(self.folder / f".{key[0]}.{key[1]}.part")
            self._arrays[key].append(*group)

    def _entry(self, key: tuple[str, bool]) -> str:
        """Name in dataset_info.json; text-only rows are set apart only where rows with pictures exist too."""
        part, pictures = key
        apart = not pictures and (part, True) in self._arrays
        return f"{self.name}_{part}{'_text' if apart else ''}"


def _order(item: tuple[tuple[str, bool], JsonArray]) -> tuple[int, bool]:
    (part, pictures), _ = item
    return (TRAIN, VAL, GENERAL).index(part), not pictures


def _ascii(value: Any) -> bytes:
    """JSON in ASCII: the trainer opens its index in the locale's encoding."""
    return json.dumps(value, indent=2).encode("ascii") + b"\n"
