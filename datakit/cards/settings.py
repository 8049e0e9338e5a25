"""The recipe's `card:` section: what the data card shows."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from datakit.core.settings import Settings


class CardSettings(Settings):
    """What the data card shows. Nothing of it changes the data or what is asked of a model."""

    language: Literal["auto", "zh", "en"] = "auto"
    """Language of the card's own words: `zh` (Chinese), `en` (English), or `auto`: Chinese where half of the
    labelled records or more have a Chinese label (without labels: where the prompts are mostly Chinese), else
    English. What was noted down freely, such as the findings of `datakit check`, stays English."""
    gallery: int = Field(default=1, ge=0, le=50)
    """Records of each class in the gallery, the same ones for the same records; 0 for no gallery. Of more
    than 400 pictures the first 400 are shown."""
    worst: int = Field(default=3, ge=0, le=50)
    """Records (or pairs) of each kind under Worst of each kind; 0 for none."""
