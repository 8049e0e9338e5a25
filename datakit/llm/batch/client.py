"""Questions as lines of batch files, at the price of batches."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from datakit.core.credentials import Mask, credentials, without_user
from datakit.core.errors import BudgetSpent, DatakitError, StopProvider, UserError
from datakit.core.record import digest
from datakit.core.step_context import StepContext
from datakit.llm._dialect import Dialect
from datakit.llm._echoes import cleaned
from datakit.llm._endpoint import Endpoint
from datakit.llm._faults import Fault
from datakit.llm._judge import Spent
from datakit.llm.answer import Answer
from datakit.llm.batch.backends import WAITS, BatchBackend, ManualBackend, ServiceBackend
from datakit.llm.batch.journal import BatchFolder
from datakit.llm.batch.openai_service import BatchService
from datakit.llm.batch.scheduler import BatchScheduler
from datakit.llm.prices import Price, check_budget, unknown_price
from datakit.llm.providers import provider_of
from datakit.llm.request import Request, Turn
from datakit.llm.transport import RequestTokens

_FREE = Price(0.0, 0.0, 0.0)


class Batches:
    """The transport of one model by batch files. Made and used on one event loop."""

    def __init__(self, context: StepContext) -> None:
        first, *others = context.llm.each_endpoint()
        self.settings, self._factor = first, context.llm.batch_price_factor
        self._attempts: Counter[str] = Counter()
        self.notes: dict[str, Any] = {"attempts": self._attempts}
        # The hours in a queue are no measure of work, and the price is not that of a call.
        self.marks: dict[str, Any] = {"seconds": None, "price_factor": self._factor}
        self._mask = Mask(credentials(context.llm.key_names()).values())
        provider = provider_of(first)
        if not provider.batch_path:
            raise UserError(
                f"{provider.name} takes no batch files, but run.mode is {context.run.mode}",
                remedy="Set run.mode: calls.",
            )
        self.tokens = RequestTokens(provider)
        price = provider.price()
        self._price = price.times(self._factor) if price else None
        check_budget(first.model, price, context.run.budget_usd)
        if price is None:
            self._note(unknown_price(first.model))
        if others and context.run.mode == "batch":
            self._note(
                "Batches go to one endpoint of a model only, "
                f"the first ({without_user(first.base_url or '')})."
            )
        self._endpoint: Endpoint | None = None
        backend: BatchBackend = ManualBackend(first.model, context.stats, context.batch_flags)
        address = ""
        self._dialect = Dialect(provider, self._note)
        if context.run.mode == "batch":
            self._endpoint = Endpoint(first, attempts=Counter(), note=self._note)
            backend = ServiceBackend(BatchService(self._endpoint))
            address = digest(provider.base_url).hex()
        store = context.run.store_folder(context.project)
        self._scheduler = BatchScheduler(
            settings=first,
            run=context.run,
            budget=context.budget,
            stats=context.stats,
            files=context.files,
            dialect=self._dialect,
            price=self._price,
            folder=BatchFolder(store, backend.way, address),
            backend=backend,
            tokens=self.tokens.of,
        )

    def halt(self, error: DatakitError) -> None:
        """No further question is sent. A budget that is spent only holds back the next file: those under way
        are paid for."""
        if not isinstance(error, BudgetSpent):
            self._scheduler.halt(error)

    async def close(self) -> None:
        """Lets go of files and connections; batches under way are found again."""
        await self._scheduler.close()
        if self._endpoint is not None:
            await self._endpoint.close()

    async def ask(self, request: Request, further: tuple[Turn, ...], spent: Spent) -> Answer | Fault:
        """One answer, after as many batches as the settings allow."""
        tries = 0
        while True:
            delivery = await self._scheduler.answer(request, further)
            what = cleaned(delivery.what, self._mask)
            if not (isinstance(what, Fault) and what.reason == WAITS):
                spent.calls += 1
                self._attempts[what.reason if isinstance(what, Fault) else "answered"] += 1
            if isinstance(what, Answer):
                spent.add(what, self._price if delivery.is_first or self._price is None else _FREE)
                return what
            if what.fate == "stop":
                raise await self._stopped(what)
            if what.fate == "adapt":
                if not self._dialect.adapt(what, delivery.version):
                    return replace(what, fate="retry", reason="request_refused")
            elif what.fate != "again" or tries >= self.settings.max_retries:
                return what
            else:
                tries += 1

    async def _stopped(self, fault: Fault) -> StopProvider:
        if self._endpoint is not None:
            return await self._endpoint.stop(fault)
        return StopProvider(
            f"whoever ran the batch files could not ask {self.settings.model}. {fault.detail}",
            "Mend that, remove the file of answers, and run the batch file again.",
        )

    def _note(self, text: str) -> None:
        self.notes.setdefault("warnings", []).append(text)
