"""Figures of the checked rows: what each data set holds, and how long its rows are."""

from __future__ import annotations

from array import array
from dataclasses import asdict, dataclass, field
from typing import Any

from datakit.checking.record import RecordCheck

Size = tuple[int, int]


@dataclass
class Tally:
    """One data set in figures."""

    name: str
    part: str
    """`train` or `eval`."""
    rows: int = 0
    kept: int = 0
    dropped: int = 0
    stops: int = 0
    """Rows at which preprocessing ends with an error."""
    crashes: int = 0
    """Kept rows at which a training step fails."""
    cut: int = 0
    pictures: int = 0
    text_tokens: int = 0
    image_tokens: int = 0
    longest: int = 0
    """Tokens of the longest row before any cut."""

    def add(self, found: RecordCheck) -> None:
        """Counts a row in."""
        self.rows += 1
        if found.verdict == "kept":
            self.kept += 1
            self.crashes += found.crashes
            self.cut += found.input_tokens < found.tokens
            self.pictures += len(found.sizes)
            self.text_tokens += found.text_tokens
            self.image_tokens += sum(found.image_tokens)
            self.longest = max(self.longest, found.tokens)
        elif found.verdict == "dropped":
            self.dropped += 1
        else:
            self.stops += 1

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass
class Lengths:
    """Text tokens and pictures of every kept row, for proposals."""

    text: array[int] = field(default_factory=lambda: array("q"))
    shape: array[int] = field(default_factory=lambda: array("q"))
    """Number of the row's picture sizes in `shapes`."""
    shapes: dict[tuple[Size, ...], int] = field(default_factory=dict)

    def add(self, found: RecordCheck) -> None:
        """Takes a kept row in."""
        sizes = tuple(found.sizes)
        self.text.append(found.text_tokens)
        self.shape.append(self.shapes.setdefault(sizes, len(self.shapes)))
