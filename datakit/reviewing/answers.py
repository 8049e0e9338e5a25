"""What another tool says that a person decided about a record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


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
    """The person, or the tool's own name where it names none."""
    when: datetime | None
    """As it stands in the answer: without a zone where that says none."""
    why: str = ""
    build: str = ""
    is_named: bool = True
    """Whether the tool said who the person is."""


@dataclass(frozen=True)
class Unanswered:
    """A record that nobody has said anything about."""

    id: str


@dataclass(frozen=True)
class NoAnswer:
    """Something that decides nothing."""

    id: str
    why: str


def moment(text: Any) -> datetime | None:
    """A time as a tool writes it; None for what is none."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
