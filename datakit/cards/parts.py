"""The parts of a data set in words."""

from __future__ import annotations

from datakit.core.wording import later, t

PART_NAMES = {"train": later("training"), "val": later("validation"), "general": later("general data")}
"""Part of a data set -> how the card calls it, in order."""


def part_name(part: str) -> str:
    """How the card calls a part, in its own language."""
    return t(PART_NAMES[part]) if part in PART_NAMES else part
