"""Places of a text that hold personal data."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

Kind = Literal["phone", "id_number", "bank_card", "courier", "email", "plate", "address", "name"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order in which they are looked for: what is one kind is no other."""
STARS = "****"


class Span(NamedTuple):
    """One place."""

    kind: Kind
    start: int
    end: int
    mask: str
    """What stands in its place; it has as many lines."""

    def overlaps(self, start: int, end: int) -> bool:
        return self.start < end and start < self.end


class Taken:
    """The places that were found already, in any order."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def is_free(self, start: int, end: int) -> bool:
        return not any(span.overlaps(start, end) for span in self.spans)

    def add(self, span: Span) -> None:
        if self.is_free(span.start, span.end):
            self.spans.append(span)
