"""Questions as calls to endpoints: many in flight, each failure with its own fate."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from typing import Any

from datakit.core.call_budget import CallBudget
from datakit.core.call_stats import CallStats
from datakit.core.errors import DatakitError
from datakit.core.settings import LlmSettings, RunSettings
from datakit.llm._endpoint import Endpoint
from datakit.llm._evidence import CONFIRMED, of_its_record
from datakit.llm._faults import Fault, pause_s
from datakit.llm._judge import Spent
from datakit.llm._pool import Pool
from datakit.llm._refusals import UNKNOWN, Refusals
from datakit.llm.answer import Answer
from datakit.llm.prices import check_budget, unknown_price
from datakit.llm.request import Request, Turn
from datakit.llm.transport import RequestTokens

_LOOK_S, _QUIET_LOOKS = 0.1, 2
"""How often a refused record looks whether others are answered; after so many looks at nobody it ends."""


class Calls:
    """The transport by calls to the endpoints that the recipe names. Made and used on one event loop."""

    def __init__(
        self,
        settings: LlmSettings,
        run: RunSettings | None = None,
        budget: CallBudget | None = None,
        stats: CallStats | None = None,
    ) -> None:
        run = run or RunSettings()
        self.settings, self._budget_usd = settings, run.budget_usd
        self._budget, self._stats = budget or CallBudget(), stats or CallStats()
        self._attempts: Counter[str] = Counter()
        self._stopped: DatakitError | None = None
        self.notes: dict[str, Any] = {"attempts": self._attempts}
        self.marks: dict[str, Any] = {}
        weights = [(e.weight, e.concurrency) for e in settings.endpoints] or [(1.0, None)]
        self._endpoints = [
            Endpoint(
                endpoint_settings,
                weight=weight,
                most_open=min(concurrency or run.concurrency, run.concurrency),
                attempts=self._attempts,
                note=self._note,
            )
            for endpoint_settings, (weight, concurrency) in zip(
                settings.each_endpoint(), weights, strict=True
            )
        ]
        self.tokens = RequestTokens(self._endpoints[0].provider)
        self._pool = Pool(self._endpoints, run.concurrency)
        for endpoint in self._endpoints:
            check_budget(endpoint.settings.model, endpoint.price, run.budget_usd)
        if any(endpoint.price is None for endpoint in self._endpoints):
            self._note(unknown_price(settings.model))

    async def close(self) -> None:
        """Gives connections back."""
        for endpoint in self._endpoints:
            await endpoint.close()

    async def ask(self, request: Request, further: tuple[Turn, ...], spent: Spent) -> Answer | Fault:
        """One answer, after as many tries as the settings allow."""
        pool, tries = self._pool, 0
        refusals = Refusals()
        avoid: Endpoint | None = None
        tokens: int | None = None
        while True:
            if tokens is None and (self._budget_usd is not None or pool.needs_tokens):
                tokens = self.tokens.of(request, further)
            used: float | None = None
            slot = await pool.turn(
                (tokens or 0) + self.settings.most_answer_tokens(request.max_tokens), avoid
            )
            endpoint = slot.endpoint
            try:
                outcome, version = await self._call(endpoint, request, further, tokens or 0, spent)
                if isinstance(outcome, Answer):
                    used = outcome.tokens_in + outcome.tokens_out
            finally:
                pool.back(slot, used)
            if isinstance(outcome, Answer):
                return outcome
            if outcome.fate == "adapt":
                if endpoint.dialect.adapt(outcome, version):
                    continue
                outcome = replace(outcome, fate="retry", reason=UNKNOWN)
                endpoint.evidence.heard(outcome)
            if (end := endpoint.evidence.ends(outcome)) is not None:
                await self._out(endpoint, end)
                continue
            if outcome.reason == UNKNOWN:
                refusals.add(outcome, endpoint.evidence)
                if not refusals.is_open or not await self._others_answered(endpoint):
                    return refusals.fate(endpoint.evidence)
                avoid = await self._before_next(endpoint, outcome, len(refusals.faults) - 1)
                continue
            if not outcome.may_pass or tries >= self._most_tries(outcome):
                return outcome if outcome.fate != "stop" else of_its_record(outcome)
            avoid = await self._before_next(endpoint, outcome, tries)
            tries += 1

    async def _before_next(self, endpoint: Endpoint, fault: Fault, tries: int) -> Endpoint:
        """Waits for the next try as long as makes sense; the endpoint that it should avoid."""
        if tries or not self._pool.others(endpoint):
            await self._wait(fault, tries)
        return endpoint

    async def _others_answered(self, endpoint: Endpoint) -> bool:
        """Whether the endpoint has given an answer, at the latest when no call is under way any more."""
        quiet = 0
        with self._stats.aside():
            while not endpoint.evidence.has_answered and self._stopped is None and quiet < _QUIET_LOOKS:
                await asyncio.sleep(_LOOK_S)
                quiet = 0 if any(other.limiter.open for other in self._endpoints) else quiet + 1
        return endpoint.evidence.has_answered

    def _most_tries(self, fault: Fault) -> int:
        """Further tries after a fault. What would stop the build is seen more than once, whatever is set."""
        most = self.settings.max_retries
        return max(most, CONFIRMED - 1) if fault.fate == "stop" else most

    async def _call(
        self, endpoint: Endpoint, request: Request, further: tuple[Turn, ...], tokens: int, spent: Spent
    ) -> tuple[Answer | Fault, int]:
        """What came of one call, and the version of the dialect that it was made in.

        Body and money are set aside only while the call is under way.
        """
        price = endpoint.price
        most = endpoint.settings.most_answer_tokens(request.max_tokens)
        worst = price.cost(tokens, most) if price and self._budget_usd is not None else 0.0
        await self._budget.reserve(worst, self._budget_usd if price else None)
        cost = 0.0
        try:
            if self._stopped is not None:
                raise self._stopped
            version = endpoint.dialect.version
            body = await endpoint.body(request, further)
            spent.calls += 1
            self._stats.in_flight += 1
            try:
                outcome = await endpoint.send(body)
            finally:
                self._stats.in_flight -= 1
            if isinstance(outcome, Answer):
                cost = spent.add(outcome, price)
            return outcome, version
        finally:
            self._budget.settle(worst, cost)

    async def _out(self, endpoint: Endpoint, fault: Fault) -> None:
        """Goes on without the endpoint. Raises StopProvider when it was the last."""
        error = await endpoint.stop(fault)
        self._pool.pump()
        warning = f"Went on without {endpoint.address}: {error}"
        if len(self._endpoints) > 1 and warning not in self.notes.get("warnings", ()):
            self._note(warning)
        if all(other.out is not None for other in self._endpoints):
            raise error

    async def _wait(self, fault: Fault, tries: int) -> None:
        """The pause before the next try. No slot is held meanwhile."""
        with self._stats.aside():
            until = time.monotonic() + pause_s(fault, tries)
            while self._stopped is None and (left := until - time.monotonic()) > 0:
                await asyncio.sleep(min(left, 1.0))

    def halt(self, error: DatakitError) -> None:
        self._stopped = self._stopped or error
        self._pool.halt(self._stopped)

    def _note(self, text: str) -> None:
        self.notes.setdefault("warnings", []).append(text)
