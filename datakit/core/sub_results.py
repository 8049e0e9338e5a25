"""Where a step keeps answers that are less than a record's whole result."""

from __future__ import annotations

from typing import Protocol

from datakit.core.outcome import Done, Rejected

MOST_KEPT = 1000
QUESTION = "question"
"""In the meta of an answer: the digest, in hex, of what was sent for it."""


class Turns(Protocol):
    """Whose turn it is to ask a question, among all that share a result store."""

    def take(self, question: bytes) -> bool:
        """Whether nobody else asks the question; it is ours to ask then."""
        ...

    def holder(self, question: bytes) -> int | None:
        """The process that asks a question, as far as that can be told."""
        ...

    def answered(self, question: bytes) -> None:
        """Says that the answer has come: the turn ends when it is stored."""
        ...

    def release(self, question: bytes) -> None:
        """Ends a turn: the answer is stored, or none came."""
        ...


class OursAlone(Turns):
    """Nobody shares the results: it is always our turn."""

    def take(self, question: bytes) -> bool:
        return True

    def holder(self, question: bytes) -> int | None:
        return None

    def answered(self, question: bytes) -> None:
        pass

    def release(self, question: bytes) -> None:
        pass


class SubResults(Protocol):
    """Answers by key, paid for once like whole results. A result made of parts names them in its meta.

    `meta["parts"]` of such a result are the keys in hex; its tokens and cost are those of all parts together,
    and were counted when the parts came.
    """

    @property
    def turns(self) -> Turns:
        """Who asks what at this moment."""
        ...

    def get(self, key: bytes) -> Done | Rejected | None:
        """The stored part."""
        ...

    def put(self, key: bytes, outcome: Done | Rejected) -> None:
        """Stores a part; it is on disk when this returns."""
        ...

    def answers_to(self, question: bytes) -> list[Done | Rejected]:
        """What is stored of the same question, under whatever key and for whatever step it was asked."""
        ...

    def keep_unread(self, key: bytes, answer: Done) -> None:
        """Stores an answer that came and could not be read: it was paid for, and a later version may read it.

        It is no result, and what it took is counted elsewhere.
        """
        ...


class MemorySubResults(dict[bytes, Done | Rejected]):
    """The newest parts in memory, where there is no result store."""

    turns = OursAlone()

    def put(self, key: bytes, outcome: Done | Rejected) -> None:
        while len(self) >= MOST_KEPT:
            del self[next(iter(self))]
        self[key] = outcome

    def answers_to(self, question: bytes) -> list[Done | Rejected]:
        return [outcome for outcome in self.values() if outcome.meta.get(QUESTION) == question.hex()]

    def keep_unread(self, key: bytes, answer: Done) -> None:
        self.put(key, answer)
