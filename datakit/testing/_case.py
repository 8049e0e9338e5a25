"""How one transform is tried: its parameters, example records, and what it finds around it."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from datakit.core.labels import LabelSet
from datakit.core.parameters import validated
from datakit.core.record import BASE, COLUMNS
from datakit.core.transform import Transform

Rows = pl.DataFrame | Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Case:
    """A transform and what it is tried with. Only the first field must be given."""

    transform: Transform | type[Transform]
    """The step, or its class, which then gets `parameters`."""
    records: Rows | Callable[[], Rows] | None = None
    """Example records, as a frame or as dicts (columns that every record has are filled in); those of
    `example_records` when not given. A few that pass and a few that do not tell the most."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """A recipe's plain values for a class."""
    write_files: Callable[[Path], None] | None = None
    """Writes what the step reads into a folder, from which its paths start: the source of a reader, a table,
    `templates/`."""
    labels: LabelSet | None = None
    """The label file in force."""
    answers: Mapping[str, Any] | None = None
    """What a model on this machine answers to every question; without it the offline writer works."""
    by_neighbours: bool = False
    """A record's fate depends on the other records, so half the records may give another output."""
    golden: Path | None = None
    """The file that keeps the output of this version of the transform. None: no output is kept."""
    golden_columns: tuple[str, ...] | None = None
    """Columns in it; all that the step gives when not named. Digits of scores differ on machines."""
    golden_root: Path | None = None
    """A folder whose place is no part of the output, such as that of the checkout."""

    @property
    def kind(self) -> type[Transform]:
        """The class of the step."""
        return self.transform if isinstance(self.transform, type) else type(self.transform)

    def made(self) -> Transform:
        """The step with its parameters."""
        if isinstance(self.transform, Transform):
            return self.transform
        return validated(self.kind, dict(self.parameters))

    def frame(self) -> pl.DataFrame:
        """The example records, with all columns that every record has."""
        rows = self.records() if callable(self.records) else self.records
        if rows is None:
            return example_records()
        return rows if isinstance(rows, pl.DataFrame) else _completed(rows)


def _completed(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Dicts as records: columns that every record has are filled in where they are absent."""
    absent: dict[str, Any] = {"images": [], "label": None, "text": None}
    full = [
        {"id": f"example-{number}", "source_file": "examples.jsonl", "source_line": number, **absent, **row}
        for number, row in enumerate(rows, 1)
    ]
    frame = pl.DataFrame(full, infer_schema_length=None)
    typed = [name for name in COLUMNS if name in frame.columns]
    frame = frame.with_columns(pl.col(name).cast(COLUMNS[name]) for name in typed)
    return frame.select(*BASE, *(name for name in frame.columns if name not in BASE))


@cache
def example_records() -> pl.DataFrame:
    """Twelve records with every column of `datakit.core.record.COLUMNS`: drawn pictures, one record with two
    and one with none, two labels, texts of several lengths, nulls, and chats as an emitter gets them.

    Further columns are added as to any frame: `example_records().with_columns(price=pl.lit(3))`.
    """
    pictures = _pictures()
    rows = []
    for number in range(1, 13):
        images = [] if number == 12 else [pictures[number % 3]] * (2 if number == 3 else 1)
        label = "cart" if number % 2 else "checkout"
        question = "<image>" * len(images) + f"Which screen is number {number}?"
        rows.append(
            {
                "id": f"example-{number}",
                "source_file": "examples.jsonl",
                "source_line": number,
                "images": images,
                "label": label,
                "text": None if number % 5 == 0 else "a line of text " * (number % 4 + 1) + str(number),
                "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": label}],
                "split": "val" if number % 4 == 0 else "train",
                "repeat": 1,
                "set": "",
            }
        )
    return pl.DataFrame(rows, schema=COLUMNS)


@cache
def _pictures() -> tuple[str, ...]:
    """Three drawn pictures, which lie in a folder until the process ends."""
    from PIL import Image, ImageDraw

    folder = Path(tempfile.mkdtemp(prefix="datakit-testing-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    paths = []
    for number, colour in enumerate(("white", "lightblue", "pink")):
        image = Image.new("RGB", (160, 120 + 20 * number), colour)
        ImageDraw.Draw(image).text((12, 40), f"Screen {number}: add to cart", fill="black")
        paths.append(str(folder / f"screen-{number}.jpg"))
        image.save(paths[-1])
    return tuple(paths)


def with_nulls(frame: pl.DataFrame) -> pl.DataFrame:
    """Every second record has null in every column that may be null."""
    solid = {"id", "source_file", "source_line", "images", "split", "repeat", "set"}
    second = pl.int_range(pl.len()) % 2 == 1
    return frame.with_columns(
        pl.when(second).then(pl.lit(None, dtype=frame.schema[name])).otherwise(pl.col(name)).alias(name)
        for name in frame.columns
        if name not in solid
    )
