"""What one point of a scenario showed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Point:
    """One disaster and the builds after it."""

    scenario: str
    number: int
    what: str
    """The disaster in words."""
    faults: list[str] = field(default_factory=list)
    """The promises that broke."""
    figures: dict[str, float] = field(default_factory=dict)
    """Counts, which are added up over a scenario's points; of those that end in `most` the largest stays."""
    skipped: str = ""
    """Why it could not be tried here."""
    folder: str = ""
    """Where its project is kept."""
    repeat: str = ""
    """The command that does it again."""

    def expect(self, holds: bool, fault: str) -> bool:
        """Notes a promise that does not hold."""
        if not holds:
            self.faults.append(fault)
        return holds

    def count(self, **figures: float) -> None:
        """Adds to the figures."""
        for name, value in figures.items():
            before = self.figures.get(name, 0)
            self.figures[name] = max(before, value) if name.endswith("most") else before + value

    def as_json(self) -> dict[str, Any]:
        return dict(vars(self))


def dice(seed: int, scenario: str, number: int) -> random.Random:
    """The chance of one point, so that it can be repeated alone."""
    return random.Random(f"{seed}/{scenario}/{number}")
