"""Whether a recipe is about pictures, so that records without any are a mistake."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datakit.core.errors import UserError
from datakit.core.qwen_models import is_vision_model
from datakit.core.step_context import StepContext
from datakit.core.transform import Reader
from datakit.recipe.recipe import Recipe, Step


def picture_need(steps: Sequence[Step], recipe: Recipe | None = None) -> str:
    """What in the steps, or in the whole recipe, works on pictures; "" for nothing."""
    for step in steps:
        if step.transform.needs_images:
            return f"step {step.number} ({step.name}) works on pictures"
    for step in recipe.emitters if recipe is not None else ():
        if getattr(step.transform, "image_max_pixels", None) is not None:
            return f"{step.name} limits pictures (`image_max_pixels`)"
    training = recipe.sections.get("train") if recipe is not None else None
    model, template = getattr(training, "model", None), getattr(training, "template", None)
    base = recipe.path.parent if recipe is not None else Path()
    if isinstance(model, str) and (is_vision_model(model, base) or is_vision_model(template or "", base)):
        return f"`train:` has a vision-language model ({model})"
    return ""


def no_pictures(need: str, readers: Sequence[Step], records: int, context: StepContext) -> UserError:
    """The error for a recipe of which no record has a picture, with the columns that are there."""
    step = readers[-1]
    names: list[str] = []
    for reader_step in readers:
        reader = reader_step.transform
        assert isinstance(reader, Reader)
        names += reader.source_columns(context.for_step(reader))
    listing = ", ".join(f"`{name}`" for name in dict.fromkeys(names)) or "none"
    return UserError(
        f"none of {records:,} records has a picture, but {need}. Columns there: {listing}",
        remedy="Name the column of the pictures: `image: <column>` at the reader. If the data is meant to be "
        "text only, say so there: `images: none`.",
        where=step.where,
    )


def says_text_only(readers: Sequence[Step]) -> bool:
    """Whether a reader declares that its data has no pictures."""
    return any(getattr(step.transform, "images", None) == "none" for step in readers)
