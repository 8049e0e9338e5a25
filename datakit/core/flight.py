"""What the engine and the clients of one build share while calls are under way: money, and who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Any

from datakit.core.errors import BudgetSpent


@dataclass
class Flight:
    """The account of a build's calls. One for all steps, so that the budget holds for the whole build.

    A copy for a worker process is empty: calls are made in the engine's own process.
    """

    spent_usd: float = 0.0
    reserved_usd: float = 0.0
    """Worst price of the calls under way."""
    in_flight: int = 0
    """Calls under way."""
    waiting: int = 0
    """Records that failed once and wait for their next try. They hold no slot: others are sent meanwhile."""
    told: str = ""
    """What a client that answers late has to say, for the progress line."""
    is_storing: bool = False
    """Answers were handed out that may not be in the store yet: nobody may throw their source away."""
    batches_away: int = 0
    """Batches that go on at the provider when this process ends."""
    to_run: dict[str, int] = field(default_factory=dict)
    """Commands that somebody must run, and the requests that wait for each."""
    unanswered: dict[str, int] = field(default_factory=dict)
    """Why requests whose file somebody ran have no answer all the same, and how many of each."""
    _settled: list[asyncio.Future[None]] = field(default_factory=list)
    _listener: Callable[[], None] | None = None

    async def reserve(self, usd: float, budget_usd: float | None) -> None:
        """Sets the worst price of a call aside. Waits for calls under way when only they stand between.

        Raises BudgetSpent when the call does not fit into what is left, so the budget is never exceeded
        by calls that cost what they were reckoned to cost at most.
        """
        while budget_usd is not None and self.spent_usd + self.reserved_usd + usd > budget_usd:
            if self.reserved_usd <= 0.0:
                raise BudgetSpent(budget_usd, self.spent_usd, usd)
            waiter = asyncio.get_running_loop().create_future()
            self._settled.append(waiter)
            await waiter
        self.reserved_usd += usd

    def left(self, budget_usd: float | None) -> float:
        """What may be set aside now without waiting."""
        return inf if budget_usd is None else budget_usd - self.spent_usd - self.reserved_usd

    def hold(self, usd: float) -> None:
        """Sets aside what fits into what is `left`, or what was sent already."""
        self.reserved_usd += usd

    def settle(self, reserved_usd: float, cost_usd: float) -> None:
        """Puts the real price of a call in place of what was set aside for it."""
        self.reserved_usd -= reserved_usd
        if self.reserved_usd < 1e-12:
            self.reserved_usd = 0.0
        self.spent_usd += cost_usd
        waiters, self._settled = self._settled, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def listen(self, listener: Callable[[], None] | None) -> None:
        """Has `listener` called when a record begins to wait, so that another can be started."""
        self._listener = listener

    def tell(self, text: str) -> None:
        """Shows how things stand while no answer comes."""
        self.told = text
        if self._listener is not None:
            self._listener()

    @contextmanager
    def aside(self) -> Any:
        """Around the wait of a record between two tries."""
        self.waiting += 1
        if self._listener is not None:
            self._listener()
        try:
            yield
        finally:
            self.waiting -= 1

    def __reduce__(self) -> tuple[type[Flight], tuple[()]]:
        return Flight, ()
