"""Records with all their columns as Parquet files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

from pydantic import Field, model_validator

from datakit.core.record import TRAIN
from datakit.core.step_context import StepContext
from datakit.core.transform import EVERY, Artifact, Emitter, FinalRecords
from datakit.emit._records import PLACED, SPLITS, nothing_to_train
from datakit.emit._tables import ImageForm, Tables, chosen_columns, limit_fault, placing


class Parquet(Emitter):
    """`<name>_train.parquet`, `_val`, `_general`: messages, label and every other column of the records.

    `images` is a list of paths in the build, or, with `images: bytes`, of structs `{bytes, path}`, which
    Hugging Face's `datasets` takes for pictures. All files have the same columns and types; a record
    without pictures has an empty list. A training record with `repeat` 3 has three rows, first copies
    first. Pictures are upright RGB, as in emit.llamafactory, which shares `images/`.

    Left out unless `columns` names them: `split`, `given_split`, `repeat` and `set`, which the files say, and
    `source_file` and `source_line`, which name places on this machine. Traces of steps are never written.

    Leaves out records that a trainer would stop at, as emit.llamafactory does.
    """

    version: ClassVar[int] = 2

    images: ImageForm = "link"
    """`bytes` puts the pictures into the files; `link` makes hard links, `copy` copies, `resize` copies and
    scales down what is over `image_max_pixels`."""
    image_max_pixels: int | None = Field(default=None, ge=784)
    """Larger pictures are scaled down to this; for `bytes` and `resize`."""
    columns: tuple[str, ...] | None = None
    """Columns besides `id`, `messages` and `images`; all but those above when not given."""

    @model_validator(mode="after")
    def _fits_together(self) -> Parquet:
        fault = limit_fault(self.images, self.image_max_pixels)
        if fault:
            raise ValueError(fault)
        return self

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("id", "messages", "images", *(self.columns or ()))

    def carries(self, context: StepContext) -> tuple[str, ...]:
        return EVERY if self.columns is None else self.columns

    def optional(self, context: StepContext) -> tuple[str, ...]:
        return EVERY if self.columns is None else PLACED

    def write(self, records: FinalRecords, folder: Path, context: StepContext) -> list[Artifact]:
        work = folder / ".parquet"
        work.mkdir()
        images = placing(self.images, folder / "images", work / "pictures", self.image_max_pixels, context)
        columns = chosen_columns(records, self.columns)
        tables = Tables(work, columns, self.images, images, "a trainer", context.left_out)
        try:
            tables.fill(records)
            if not tables.rows.get(TRAIN):
                raise nothing_to_train(context.left_out)
            artifacts = []
            files = tables.close()
            for split in (split for split in SPLITS if split in files):
                (path,) = files[split]
                name = f"{context.name}_{split}.parquet"
                path.rename(folder / name)
                artifacts.append(Artifact(path=name, kind="data", records=tables.rows[split]))
        finally:
            shutil.rmtree(work)
        return artifacts
