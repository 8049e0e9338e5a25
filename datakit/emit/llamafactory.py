"""A data set that LLaMA-Factory loads without dropping a row: JSON arrays, pictures, dataset_info.json."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
from pydantic import Field, model_validator

from datakit.artifacts import names
from datakit.artifacts.build_draft import BuildDraft
from datakit.artifacts.emitted import Emitted
from datakit.core.factored_chats import FactoredChats
from datakit.core.pixels import TRAINER
from datakit.core.record import TRAIN
from datakit.core.step_context import StepContext
from datakit.core.training_columns import TOOLS
from datakit.core.transform import Artifact, Emitter, FinalRecords
from datakit.emit._images import How, ImageFiles
from datakit.emit._json_rows import json_rows
from datakit.emit._records import (
    PLACED,
    carried_columns,
    factored_batches,
    fitting,
    nothing_to_train,
    split_keys,
    with_places,
)
from datakit.emit._split_files import SplitFiles

_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}


class Llamafactory(Emitter):
    """A LLaMA-Factory data set: `<name>_train.json`, `_val.json`, `_general.json`, pictures and index.

    Each file is a JSON array with one row `{"id", "messages", "images"}` a line, in record order, and with
    `tools` (the functions that the model may call, as JSON) where the records have that column; general data
    has its own file. A training record with `repeat` 3 is written three times: the first copies of all
    records, then the second ones, so that the first n rows are n different records (the trainer shuffles
    by itself). Where a part has records with pictures and records without, the latter get a file of their
    own (`<name>_train_text.json`): the trainer cannot load the two from one file. A part without records
    has no file.

    Pictures stand in `images/` under names made of their content, equal pictures once. A picture that the
    trainer would see otherwise than datakit does (EXIF rotation, CMYK, transparency, animation, a format
    other than JPEG, PNG or WebP) is written anew, upright and RGB, whatever `images` says.

    Paths are relative to the build, so that it can be moved. Records that the trainer would drop or stop at
    are left out with their reason: no messages, turns out of order, an empty answer, `<image>` places that do
    not match the pictures, a picture that cannot be read, boxes or points in pixels of a picture that is
    scaled down (boxes_moved). Numbers that only may be places are written and told (`places_unclear`).
    """

    version: ClassVar[int] = 2

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

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("id", "messages", "images")

    def carries(self, context: StepContext) -> tuple[str, ...]:
        return (TOOLS,)

    def optional(self, context: StepContext) -> tuple[str, ...]:
        return (*PLACED, *self.carries(context))

    def write(self, records: FinalRecords, folder: Path, context: StepContext) -> list[Artifact]:
        images = ImageFiles.into(
            folder / names.IMAGES, self.images, self.trained_max_pixels, context, trainer=True
        )
        split_files = SplitFiles(folder, context.name)
        others = carried_columns(records, self.carries(context))
        try:
            for batch, shared in factored_batches(records, others):
                fit = fitting(batch, "LLaMA-Factory", context.left_out, shared)
                placed = with_places(*images.place_for(fit, context.left_out, shared))
                if placed.is_empty():
                    continue
                keys = iter(split_keys(placed))
                placed = placed.with_columns(pl.col(others).fill_null("")) if others else placed
                for rows in json_rows(FactoredChats(placed, shared), others):
                    split_files.append(rows, list(islice(keys, len(rows))))
            artifacts = split_files.close()
        finally:
            split_files.release()
        if not split_files.rows(TRAIN):
            raise nothing_to_train(context.left_out)
        draft = BuildDraft(folder)
        written = [
            draft.write_dataset_info(_dataset_info(split_files, others)),
            draft.write_emitted(self._summary(split_files, images)),
        ]
        return [*artifacts, *(Artifact(path=name, kind="config") for name in written)]

    @property
    def trained_max_pixels(self) -> int | None:
        return (self.image_max_pixels or TRAINER.max_pixels) if self.images == "resize" else None

    def _summary(self, split_files: SplitFiles, images: ImageFiles) -> Emitted:
        return Emitted(
            image_max_pixels=self.trained_max_pixels,
            pictures_saved_anew=images.saved_anew,
            pictures_linked_softly=images.linked_softly,
            files=split_files.summary(),
        )


def _dataset_info(split_files: SplitFiles, others: Sequence[str]) -> dict[str, Any]:
    """The trainer's index. A mapping resets whatever it does not name, so all tags are named."""
    return {
        split_files.entry(key): {
            "file_name": file.path.name,
            "formatting": "sharegpt",
            "columns": {
                "messages": "messages",
                **({"images": "images"} if key[1] else {}),
                **{name: name for name in others},
            },
            "tags": _TAGS,
        }
        for key, file in split_files.files()
    }
