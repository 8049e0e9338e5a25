"""The client that asks by batch files: the questions and the judgement of calls, at the price of batches."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from datakit.core.errors import BudgetSpent, StopProvider
from datakit.core.outcome import Rejected, Retry
from datakit.core.record import digest
from datakit.core.tools import Tools
from datakit.llm._batch_carriers import WAITS, ByHand, ByProvider, Carrier
from datakit.llm._batch_desk import Desk
from datakit.llm._batch_folder import BatchFolder
from datakit.llm._batch_service import BatchService
from datakit.llm._conversation import Conversation
from datakit.llm._dialect import Dialect
from datakit.llm._endpoint import Endpoint
from datakit.llm._faults import Fault
from datakit.llm._judge import Answer, Spent
from datakit.llm._payload import Turn
from datakit.llm.prices import Price, price_of, unknown_price
from datakit.llm.request import Completion, Request

_FREE = Price(0.0, 0.0, 0.0)


class BatchClient:
    """Answers of one model by batch files. Made and used on one event loop."""

    def __init__(self, tools: Tools) -> None:
        first, *others = tools.llm.each_endpoint()
        self.settings, self._factor = first, tools.llm.batch_price_factor
        self._attempts: Counter[str] = Counter()
        self.notes: dict[str, Any] = {"attempts": self._attempts}
        price = price_of(first)
        self._price = price.times(self._factor) if price else None
        if price is None:
            self._note(unknown_price(first.model))
        if others and tools.run.mode == "batch":
            self._note(f"Batches go to one endpoint of a model only, the first ({first.base_url}).")
        self._conversation = Conversation(first, self._ask)
        self._endpoint: Endpoint | None = None
        carrier: Carrier = ByHand(first.model, tools.flight)
        address = ""
        self._dialect = Dialect(first, self._note)
        if tools.run.mode == "batch":
            self._endpoint = Endpoint(first, attempts=Counter(), note=self._note)
            carrier = ByProvider(BatchService(self._endpoint))
            address = digest(self._endpoint.connection.base_url).hex()
        store = tools.run.store_folder(tools.project)
        self._desk = Desk(
            settings=first,
            run=tools.run,
            flight=tools.flight,
            files=tools.files,
            dialect=self._dialect,
            price=self._price,
            folder=BatchFolder(store, carrier.way, address),
            carrier=carrier,
            tokens=self._conversation.tokens,
        )

    async def complete(self, request: Request) -> Completion | Rejected | Retry:
        """The answer, or why there is none.

        Raises StopProvider for a wrong key, model or address, BudgetSpent when not one line fits into the
        budget, UserError when another build waits for the same batch, and ImageProblem for a broken picture.
        """
        spent = Spent(self.settings.model)
        try:
            found = await self._conversation.run(request, spent)
        except StopProvider as error:
            self._desk.halt(error)
            raise
        except BudgetSpent as error:
            if spent.answers:  # what was paid for this record is accounted for
                return Retry("budget_spent", str(error), spent.meta())
            raise
        # The hours in a queue are no measure of work, and the price is not that of a call.
        marks = {"seconds": None, "price_factor": self._factor}
        if isinstance(found, Completion):
            found.facts.update(marks)
            return found
        return replace(found, meta={**found.meta, **marks})

    async def close(self) -> None:
        """Lets go of files and connections; batches under way are found again."""
        await self._desk.close()
        if self._endpoint is not None:
            await self._endpoint.close()

    async def _ask(self, request: Request, further: tuple[Turn, ...], spent: Spent) -> Answer | Fault:
        """One answer, after as many batches as the settings allow."""
        tries = 0
        while True:
            found = await self._desk.answer(request, further)
            what = found.what
            if not (isinstance(what, Fault) and what.reason == WAITS):
                spent.calls += 1
                self._attempts[what.reason if isinstance(what, Fault) else "answered"] += 1
            if isinstance(what, Answer):
                spent.add(what, self._price if found.is_first or self._price is None else _FREE)
                return what
            if what.fate == "stop":
                raise await self._stopped(what)
            if what.fate == "adapt":
                if not self._dialect.adapt(what, found.version):
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
