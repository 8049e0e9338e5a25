"""Boxes of a model's answer, back in pixels of the picture that was asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from datakit.artifacts.predictions import Prediction
from datakit.core.box_forms import SeenPictures
from datakit.core.box_texts import entries_in
from datakit.core.boxes import Box
from datakit.core.errors import UserError
from datakit.core.image import read_header
from datakit.core.step_context import StepContext

FIELD = "boxes"


@runtime_checkable
class Locates(Protocol):
    """A renderer whose answers have boxes in the numbers of a model's family, as render.grounding's have."""

    def seen(self, context: StepContext) -> SeenPictures:
        """How the model sees pictures."""
        ...


def seen_by(renderer: object, context: StepContext) -> SeenPictures:
    """How the model of a build sees pictures. Raises UserError where its answers have no boxes of its own."""
    if not isinstance(renderer, Locates):
        raise UserError(
            "the prompts of this build do not say in which numbers boxes are answered",
            remedy="Render with render.grounding; boxes of render.chat are written as they come.",
        )
    return renderer.seen(context)


def boxes_of(prediction: Prediction, picture: str | Path, seen: SeenPictures) -> list[Box]:
    """The boxes of an answer in pixels of the upright picture; none for an answer without any.

    `picture` is the file that was asked about, at its own size. Raises ImageProblem for one that cannot be
    read, ValueError for one that the model's processor refuses.
    """
    stated = (prediction.values or {}).get(FIELD)
    entries = entries_in(stated) if isinstance(stated, str) else stated
    if not entries:
        return []
    header = read_header(picture)
    size = header.width, header.height
    return [Box(0, seen.pixels(entry["bbox_2d"], size), entry.get("label")) for entry in entries]
