"""The parts of a data set in words."""

from __future__ import annotations

PART_NAMES = {"train": "training", "val": "validation", "general": "general data"}
"""Part of a data set -> how the card calls it, in order."""
