"""The money of one build's calls: what is spent, and what is set aside for calls under way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from math import inf

from datakit.core.errors import BudgetSpent


@dataclass
class CallBudget:
    """The account of a build's calls. One for all steps, so that the budget holds for the whole build.

    A copy for a worker process is empty: calls are made in the engine's own process.
    """

    spent_usd: float = 0.0
    reserved_usd: float = 0.0
    """Worst price of the calls under way."""
    _settled: list[asyncio.Future[None]] = field(default_factory=list)

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

    def __reduce__(self) -> tuple[type[CallBudget], tuple[()]]:
        return CallBudget, ()
