"""What the driver answers to actors' letters: it alone holds the result store, the leases and the budget."""

from __future__ import annotations

import os
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from datakit.core.errors import BudgetSpent
from datakit.core.outcome import Outcome
from datakit.core.regular_files import read_regular
from datakit.core.step_context import StepContext
from datakit.core.sub_results import QUESTION
from datakit.run.executors.ray_actor import Letter
from datakit.run.executors.ray_desk import NoPicture
from datakit.run.leases import LOST_S

MOST_PICTURE_BYTES = 64 << 20
"""Larger files do not travel to an actor; it must see them itself."""


class Office:
    """Answers the letters of all actors of one step, each known by a number."""

    def __init__(self, context: StepContext) -> None:
        self._parts, self._budget = context.sub_results, context.budget
        self._budget_usd = context.run.budget_usd
        self._asks: dict[bytes, tuple[int, float | None]] = {}
        """Question -> the actor that asks it, and when its answer came."""
        self._reserved: dict[int, float] = defaultdict(float)
        self._queue: deque[tuple[int, int, float]] = deque()
        """Actor, letter and worst price of calls that wait for others to be settled."""
        self.replies: dict[int, list[tuple[int, Any]]] = defaultdict(list)
        """Actor -> letter and what is said to it, not sent yet."""
        self._answers: dict[str, Callable[..., Any]] = {
            "get": lambda _, key: self._parts.get(key),
            "put": lambda _, key, outcome: self._parts.put(key, outcome),
            "answers_to": lambda _, question: self._parts.answers_to(question),
            "keep_unread": lambda _, key, outcome: self._parts.keep_unread(key, outcome),
            "take": self._take,
            "answered": self._answered,
            "release": self._release,
            "settle": self._settle,
            "picture": lambda _, path: _picture(path),
        }

    def read(self, actor: int, letter: Letter) -> None:
        """Does what a letter asks for; what is to be said to it is in `replies`."""
        if letter.kind == "reserve":
            self._queue.append((actor, letter.number, *letter.values))
            self._grant()
            return
        value = self._answers[letter.kind](actor, *letter.values)
        if letter.number:
            self.replies[actor].append((letter.number, value))

    def stored(self, outcomes: list[Outcome]) -> None:
        """Says that these are in the store: others may ask for the answers."""
        for outcome in outcomes:
            if (question := outcome.meta.get(QUESTION)) is not None:
                self._asks.pop(bytes.fromhex(question), None)

    def bury(self, actor: int) -> None:
        """An actor is gone. What its calls may have cost at most counts as spent: nobody knows better."""
        for question in [question for question, (asker, _) in self._asks.items() if asker == actor]:
            self._release(actor, question)
        self._queue = deque(waiting for waiting in self._queue if waiting[0] != actor)
        self.replies.pop(actor, None)
        if lost := self._reserved.pop(actor, 0.0):
            self._budget.settle(lost, lost)
        self._grant()

    def _take(self, actor: int, question: bytes) -> bool:
        asker, answered = self._asks.get(question, (actor, None))
        is_lost = answered is not None and time.monotonic() - answered > LOST_S
        if (asker != actor and not is_lost) or not self._parts.turns.take(question):
            return False
        self._asks[question] = (actor, None)
        return True

    def _answered(self, actor: int, question: bytes) -> None:
        self._asks[question] = (actor, time.monotonic())
        self._parts.turns.answered(question)

    def _release(self, _: int, question: bytes) -> None:
        self._asks.pop(question, None)
        self._parts.turns.release(question)

    def _settle(self, actor: int, reserved_usd: float, cost_usd: float) -> None:
        reserved_usd = min(reserved_usd, self._reserved[actor])
        self._reserved[actor] -= reserved_usd
        self._budget.settle(reserved_usd, cost_usd)
        self._grant()

    def _grant(self) -> None:
        """As CallBudget.reserve: a call waits while others under way may leave it room."""
        budget, most = self._budget, self._budget_usd
        while self._queue:
            actor, number, usd = self._queue[0]
            if usd <= budget.left(most):
                budget.hold(usd)
                self._reserved[actor] += usd
                self.replies[actor].append((number, None))
            elif budget.reserved_usd <= 0.0:
                self.replies[actor].append((number, BudgetSpent(most or 0.0, budget.spent_usd, usd)))
            else:
                return
            self._queue.popleft()


def _picture(path: str) -> bytes | NoPicture:
    """A picture of this machine for an actor that does not have it, or why it does not get it."""
    try:
        if (size := os.path.getsize(path)) > MOST_PICTURE_BYTES:
            return NoPicture(
                f"{path}: the node does not see this file, and its {size:,} bytes are too many to send "
                f"(at most {MOST_PICTURE_BYTES:,}); mount its folder there under the same path"
            )
        return read_regular(path)
    except OSError as error:
        return NoPicture(f"{path}: the node does not see this file, nor can it be sent: {error.strerror}")
