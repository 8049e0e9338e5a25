"""Records whose answers have boxes in other numbers than the model that is trained counts in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import polars as pl

from datakit.core.answer_forms import ContractFormat
from datakit.core.box_forms import PARTS
from datakit.core.chat_places import ChatPlace, places_in
from datakit.core.image import ImageProblem, read_header
from datakit.core.outcome import Reject
from datakit.core.record import GENERAL
from datakit.core.step_context import StepContext
from datakit.core.transform import Renderer, Transform

_NAMES = "(?i)box|point|quad"
"""What a text with places says somewhere."""
_SAY = "say what they are (render.chat: `keep_messages: true, kept_boxes: pixels`)"
_RELATIVE = ("qwen2_vl", "qwen3_vl")
"""Families whose numbers are parts of the sides: no resizing moves them."""


@dataclass(frozen=True)
class BoxGuard:
    """What boxes in chats must be like, of which nobody has said what they are."""

    max_pixels: int | None = None
    """Pictures over it are scaled down, and places in pixels with them; None where nothing is."""
    is_relative: bool = False
    """Whether the model counts in thousandths of the sides."""
    only_general: bool = False
    """Whether a step has written the boxes of all but the general data."""

    def fitting(self, batch: pl.DataFrame, left_out: list[Reject]) -> pl.DataFrame:
        """The records of a batch whose boxes can be meant; the others join those left out."""
        text = pl.element().struct.field("content").fill_null("")
        named = batch["messages"].list.eval(text.str.contains(_NAMES)).list.any().fill_null(False)
        if self.only_general:
            named &= (batch["set"] == GENERAL).fill_null(False)
        faults = {
            id_: fault
            for id_, images, messages in batch.filter(named).select("id", "images", "messages").iter_rows()
            if (fault := self._fault(id_, images or (), [turn["content"] or "" for turn in messages]))
        }
        left_out += faults.values()
        return batch.filter(~pl.col("id").is_in(list(faults))) if faults else batch

    def _fault(self, id_: str, images: Sequence[str], texts: Sequence[str]) -> Reject | None:
        places = list(chain.from_iterable(map(places_in, texts)))
        large = next((place for place in places if _is_over(place)), None)
        if self.is_relative and large is not None:
            words = f"the model counts to {PARTS} along each side, and a text of the chat has"
            return Reject(id_, "box_outside", f"{words} {large.text[:60]}: {_SAY}")
        if places and self.max_pixels is not None and _is_scaled(images, self.max_pixels):
            words = (
                f"a text of the chat has a place in pixels, {places[0].text[:60]}, and its picture is scaled"
            )
            return Reject(id_, "boxes_moved", f"{words} down to {self.max_pixels:,} pixels: {_SAY}")
        return None


def box_guard(context: StepContext, emitted_max_pixels: int | None, *, trainer: bool) -> BoxGuard | None:
    """What boxes of chats must be like; None where a step has written them all, or nothing is known.

    `trainer`: the files are for LLaMA-Factory, which scales pictures down by itself, whatever was emitted.
    """
    only_general = any(_counts(step, context) for step in context.steps)
    if only_general and not _mixes_behind_kept(context.steps):
        return None
    if context.pictures.form in _RELATIVE:
        return BoxGuard(is_relative=True, only_general=only_general)
    limits = [emitted_max_pixels]
    if trainer and context.pictures.form is not None:
        limits.append(context.pictures.trainer.max_pixels)
    least = min((limit for limit in limits if limit is not None), default=None)
    return None if least is None else BoxGuard(least, only_general=only_general)


def _is_over(place: ChatPlace) -> bool:
    return any(number > PARTS for number in place.numbers)


def _counts(step: Transform, context: StepContext) -> bool:
    """Whether a step writes boxes in the numbers of the model."""
    form = step.answer_format(context) if isinstance(step, Renderer) else None
    return bool(getattr(step, "kept_boxes", None)) or (
        isinstance(form, ContractFormat) and form.seen is not None
    )


def _mixes_behind_kept(steps: Sequence[Transform]) -> bool:
    """Whether general data joins where no later step writes the boxes of kept dialogues anew."""
    kept = max((at for at, step in enumerate(steps) if getattr(step, "kept_boxes", None)), default=-1)
    return any(step.name() == "mix.general" for step in steps[kept + 1 :])


def _is_scaled(images: Sequence[str], max_pixels: int) -> bool:
    for path in images:
        try:
            header = read_header(path)
        except ImageProblem:
            continue  # left out for that, with its own reason
        if header.width * header.height > max_pixels:
            return True
    return False
