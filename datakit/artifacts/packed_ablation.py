"""ablation.json of an archive: what its machine must know of the ablation. The archive carries this."""

from __future__ import annotations

from typing import ClassVar

from datakit.artifacts.ablation_record import AblationRecord


class PackedAblation(AblationRecord):
    """The changes, each in a folder of its training's name, and what the comparison takes beside."""

    FORMAT: ClassVar[int] = 1

    seed: int
    """Of the bootstrap: the recipe's."""
    held_out: int
    """Labelled records that the base holds out."""
    command: str
    """What is typed at home to compare the results."""
