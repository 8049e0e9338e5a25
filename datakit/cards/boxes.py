"""The boxes of a record's question and answer, where they stand on the picture of a card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.box_forms import FORMS, SeenPictures
from datakit.core.box_texts import entries_in
from datakit.core.boxes import Box, Size
from datakit.core.seen_pictures import trained_pictures

COLUMNS = ("answer_boxes", "ask_box")
"""Columns of render.grounding with boxes in the numbers of the model."""
_STEP = "render.grounding"


def seen_in(build: BuildFolder) -> SeenPictures | None:
    """How the model of a build sees pictures; None where no step asks about boxes."""
    steps = [step for step in build.recipe.get("steps") or () if isinstance(step, Mapping) and _STEP in step]
    if not steps:
        return None
    form = (steps[-1][_STEP] or {}).get("form")
    emitted = build.emitted.image_max_pixels if build.emitted is not None else None
    pictures = trained_pictures(build.recipe.get("train") or {}, emitted, build.path)
    return pictures.seen(form if form in FORMS else None)


def boxes_of(record: Mapping[str, Any], seen: SeenPictures, size: Size) -> list[Box]:
    """The boxes of a record in pixels of its picture of this size."""
    texts = (record.get(name) for name in COLUMNS)
    entries = [entry for text in texts if text for entry in entries_in(str(text)) or ()]
    return [Box(0, seen.pixels(entry["bbox_2d"], size), entry.get("label")) for entry in entries]
