"""What a step starts: the workers that the engine hands records to, and all that it asks of them.

A worker inherits from the protocol of its kind and so has the defaults: no notes, nothing to close.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import polars as pl

from datakit.core.errors import DatakitError
from datakit.core.factored_chats import FactoredChats
from datakit.core.outcome import Batch, Outcome, Reject, Rejected

Row = dict[str, Any]
"""A record as a worker gets it: column -> value."""


@runtime_checkable
class RowWorker(Protocol):
    """Answers one record at a time, in the engine's own thread or in a worker process.

    A worker process ends without a word: neither `notes` nor `close` is asked of its worker.
    """

    @abstractmethod
    def answer(self, row: Row) -> Outcome:
        """What became of the record."""

    @property
    def notes(self) -> Row:
        """Facts for the report, asked for when the last record is answered."""
        return {}

    def close(self) -> None:
        """Lets go of what the worker holds."""
        return


@runtime_checkable
class AsyncRowWorker(Protocol):
    """Answers one record at a time on the event loop, many at once."""

    @abstractmethod
    async def answer(self, row: Row) -> Outcome:
        """What became of the record."""

    @property
    def notes(self) -> Row:
        """Facts for the report, asked for when the last record is answered."""
        return {}

    async def close(self) -> None:
        """Lets go of what the worker holds, such as connections."""
        return


@runtime_checkable
class BatchWorker(Protocol):
    """What a guard or a renderer starts: a batch in, the records that go on and the rejected ones out."""

    @property
    def notes(self) -> Row:
        """Facts for the report, asked for after the last batch."""
        return {}

    @abstractmethod
    def __call__(self, frame: pl.DataFrame) -> Batch:
        """The records that go on and the rejected ones."""


class FactoredChatsWorker(BatchWorker):
    """A worker that takes and gives chats without what they share: prompts of one template are long."""

    @abstractmethod
    def factored(self, records: FactoredChats) -> tuple[FactoredChats, list[Reject]]:
        """The records that go on and the rejected ones."""

    def __call__(self, frame: pl.DataFrame) -> Batch:
        """The same with whole chats."""
        records, rejects = self.factored(FactoredChats(frame))
        return Batch(records.expanded(), rejects)


class WrittenPrompt(Protocol):
    """The prompt of one record."""

    @property
    def system(self) -> str | None:
        """The system turn."""

    @property
    def users(self) -> tuple[str, ...]:
        """The user turns, one but for dialogues."""


class PromptWriter(Protocol):
    """Writes prompts of single records, as the training had them."""

    def prompt(self, record: Mapping[str, Any]) -> WrittenPrompt | Rejected:
        """The prompt of one record."""


Worker = BatchWorker | Callable[[pl.DataFrame], Batch]
"""What a guard or a renderer starts. A plain function has no notes."""


def row_worker(started: RowWorker | AsyncRowWorker) -> RowWorker:
    """What a step has started, as a worker whose `answer` gives the outcome itself.

    Raises DatakitError, a fault of the transform, for one that must be awaited.
    """
    if inspect.iscoroutinefunction(started.answer):
        kind = type(started).__name__
        raise DatakitError(f'{kind}.answer is `async`, so its step needs executor "event_loop"')
    return started if isinstance(started, RowWorker) else _Plain(started)


def async_row_worker(started: RowWorker | AsyncRowWorker) -> AsyncRowWorker:
    """What a step has started, as a worker whose `answer` is awaited."""
    return started if isinstance(started, AsyncRowWorker) else _PlainAsync(started)


@runtime_checkable
class _Noting(Protocol):
    notes: Any


@runtime_checkable
class _Closing(Protocol):
    def close(self) -> Any: ...


class _Plain(RowWorker):
    """A worker of a plug-in of datakit 0.1.0, which inherited from nothing."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker

    def answer(self, row: Row) -> Outcome:
        outcome: Outcome = self._worker.answer(row)
        return outcome

    @property
    def notes(self) -> Row:
        return dict(self._worker.notes or {}) if isinstance(self._worker, _Noting) else {}

    def close(self) -> None:
        if isinstance(self._worker, _Closing):
            self._worker.close()


class _PlainAsync(AsyncRowWorker):
    """The same on the event loop."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker

    async def answer(self, row: Row) -> Outcome:
        outcome: Outcome = await self._worker.answer(row)
        return outcome

    @property
    def notes(self) -> Row:
        return dict(self._worker.notes or {}) if isinstance(self._worker, _Noting) else {}

    async def close(self) -> None:
        if isinstance(self._worker, _Closing) and inspect.isawaitable(closing := self._worker.close()):
            await closing
