"""What another tool says that a person decided about a record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Answer:
    """An answer, in the words of the review that it was asked in."""

    id: str
    judged: str
    old: str | None
    label: str | None
    """The label that was chosen."""
    drops: bool
    who: str
    when: datetime | None
    why: str = ""
    build: str = ""


@dataclass(frozen=True)
class NoAnswer:
    """Something that decides nothing."""

    id: str
    why: str
