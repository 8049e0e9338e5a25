"""The recipe's `card:` section: what the data card shows."""

from __future__ import annotations

from pydantic import Field

from datakit.core.settings import Settings


class CardSettings(Settings):
    """What the data card shows. Nothing of it changes the data or what is asked of a model."""

    gallery: int = Field(default=1, ge=0, le=50)
    """Records of each class in the gallery, the same ones for the same records; 0 for no gallery. Of more
    than 400 pictures the first 400 are shown."""
    worst: int = Field(default=3, ge=0, le=50)
    """Records (or pairs) of each kind under Worst of each kind; 0 for none."""
