"""Tokens that each turn of an answer may take: by the trained answers, and by what the context leaves.

A bundle carries it: how many tokens a prompt has is counted where a tokenizer is, or stands in the bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Count = Callable[[str, str | None, Sequence[str], Sequence[str]], int | None]
"""Id, system turn, user turns and pictures of a record -> tokens of what it asks in all its turns, without
the answers between them; None where nobody knows."""


def rounded_room(longest: int) -> int:
    """Room for answers of which the longest trained one has so many tokens: twice that, and 16 at least."""
    return max(16, -(-2 * longest // 16) * 16)


@dataclass(frozen=True)
class Rooms:
    """The room of each turn of a build, and what is known of its prompts."""

    trained: tuple[int, ...]
    """By the trained answers of each turn; the last one stands for further turns."""
    longest_prompt: int
    """Tokens of the longest prompt with its pictures."""
    count: Count | None = None

    def of_turn(self, turn: int) -> int:
        """Tokens for an answer of a turn, counted from 0, as the trained ones need them."""
        return self.trained[min(turn, len(self.trained) - 1)]

    def asked_tokens(self, id_: str, system: str | None, users: Sequence[str], images: Sequence[str]) -> int:
        """Tokens of what a record asks; those of the longest prompt where nobody counts."""
        counted = self.count(id_, system, users, images) if self.count is not None else None
        return self.longest_prompt if counted is None else counted


@dataclass(frozen=True)
class TurnRooms:
    """The rooms of one record's turns: what is wanted, but never more than the context leaves."""

    wanted: tuple[int, ...]
    context: int | None
    """Tokens that the server takes; None where it does not say."""
    asked: int
    """Tokens of all that the record asks."""

    def __call__(self, turn: int, spent: int) -> int:
        """Tokens for the answer of a turn; `spent` were taken by the answers before it.

        Of a prompt that leaves nothing the server decides.
        """
        most = self.wanted[turn]
        if self.context is None:
            return most
        room = self.context - self.asked - spent
        return min(most, room if room > 0 else max(self.context - 1, 1))
