"""Records whose answers have boxes in pixels of a picture that an emitter scales down."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from datakit.core.answer_forms import ContractFormat
from datakit.core.image import ImageProblem, read_header
from datakit.core.outcome import Reject
from datakit.core.step_context import StepContext
from datakit.core.transform import Renderer, Transform

_PLACE = r"""["'](?:bbox|point)_2d\\?["']\s*:\s*\[[\s\[]*-?\.?\d|data-(?:bbox|point)=\\?["'][\s\[]*-?\d"""
"""Boxes and points in JSON, and in the HTML of documents that Qwen2.5-VL writes."""
_WORDS = (
    "an answer has `bbox_2d` in pixels, and its picture is scaled down: say what they are (render.chat: "
    "`keep_messages: true, kept_boxes: pixels`), or emit with `images: link`"
)
_RELATIVE = ("qwen2_vl", "qwen3_vl")
"""Families whose numbers are parts of the sides: no resizing moves them."""


def may_move(context: StepContext) -> bool:
    """Whether boxes of chats may be in pixels that nobody has counted for the model.

    Not where the model counts in parts of the sides, nor where a step has written the boxes for it.
    """
    return context.pictures.form not in _RELATIVE and not any(
        _counts(step, context) for step in context.steps
    )


def _counts(step: Transform, context: StepContext) -> bool:
    """Whether a step writes boxes in the numbers of the model."""
    form = step.answer_format(context) if isinstance(step, Renderer) else None
    return bool(getattr(step, "kept_boxes", None)) or (
        isinstance(form, ContractFormat) and form.seen is not None
    )


def without_moved_boxes(batch: pl.DataFrame, max_pixels: int, left_out: list[Reject]) -> pl.DataFrame:
    """The records of a batch whose boxes stay where they are; the others join those left out."""
    text = pl.element().struct.field("content").fill_null("")
    boxed = pl.col("messages").list.eval(text.str.contains(_PLACE)).list.any().fill_null(False)
    rows = batch.select("id", "images", boxed=boxed).iter_rows()
    moved = {id_ for id_, images, has_boxes in rows if has_boxes and _is_scaled(images or (), max_pixels)}
    left_out += [Reject(id_, "boxes_moved", _WORDS) for id_ in batch["id"] if id_ in moved]
    return batch.filter(~pl.col("id").is_in(list(moved))) if moved else batch


def _is_scaled(images: Sequence[str], max_pixels: int) -> bool:
    for path in images:
        try:
            header = read_header(path)
        except ImageProblem:
            continue  # left out for that, with its own reason
        if header.width * header.height > max_pixels:
            return True
    return False
