"""How much of the evidence that answers cite stands in their pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pydantic import BaseModel

from datakit.artifacts.predictions import Prediction


class CitedLines(BaseModel):
    """The lines of text that the answers of a file cite."""

    hold: int
    """Lines that OCR reads at their place."""
    lack: int
    """Lines that it does not."""
    unread: int
    """Lines on pictures that were not read."""

    @classmethod
    def of(cls, answers: Iterable[Prediction]) -> CitedLines | None:
        """Of a file's answers; None where they cite none."""
        counts = Counter(line.get("holds") for answer in answers for line in answer.evidence or ())
        if not counts:
            return None
        return cls(hold=counts[True], lack=counts[False], unread=counts[None])

    def __str__(self) -> str:
        checked = self.hold + self.lack
        share = f" ({100 * self.hold / checked:.0f}%)" if checked else ""
        unread = f"; of {self.unread:,} more the picture was not read" if self.unread else ""
        return f"Of {checked:,} lines cited as evidence OCR reads {self.hold:,}{share} in place{unread}."
