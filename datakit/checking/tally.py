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
    uncounted: int = 0
    """Kept rows whose tokens are not known: they may be longer than anything said here."""
    pictures: int = 0
    text_tokens: int = 0
    image_tokens: int = 0
    longest: int = 0
    """Tokens of the longest row before any cut."""

    def add(self, account: RecordCheck) -> None:
        """Counts a row in."""
        self.rows += 1
        if account.verdict == "kept":
            self.kept += 1
            self.crashes += account.crashes
            self.cut += account.input_tokens < account.tokens
            self.uncounted += not account.counted
            self.pictures += len(account.sizes)
            self.text_tokens += account.text_tokens
            self.image_tokens += sum(account.image_tokens)
            self.longest = max(self.longest, account.tokens)
        elif account.verdict == "dropped":
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

    uncounted: int = 0
    """Kept rows that are in none of the figures."""

    def add(self, account: RecordCheck) -> None:
        """Takes a kept row in."""
        if not account.counted:
            self.uncounted += 1
            return
        sizes = tuple(account.sizes)
        self.text.append(account.text_tokens)
        self.shape.append(self.shapes.setdefault(sizes, len(self.shapes)))
