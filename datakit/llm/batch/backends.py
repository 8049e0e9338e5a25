"""Who has batch files answered: the endpoint's Files and Batches API, or somebody who runs them by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from datakit.core.call_stats import CallStats
from datakit.core.errors import StopProvider
from datakit.core.regular_files import regular
from datakit.core.scripts import shell_words
from datakit.llm._faults import Fault
from datakit.llm.batch import files as batch_files
from datakit.llm.batch.journal import Entry, Way
from datakit.llm.batch.openai_service import ENDED, BatchService, Unreachable

if TYPE_CHECKING:
    from openai.types import Batch

_FETCHES = 3
"""Downloads of a file that holds fewer answers than the provider counted."""
_LATE_S = 2.0
"""An order that is just being carried out may not be listed yet."""
_PATIENCE_S = 900.0
"""An endpoint may be out of reach for so long while a batch is under way there."""
WAITS = "batch_file_waits"
"""Reason of a question that stands in a file which nobody has run yet."""
_MISSING = {"expired": "batch_expired", "cancelled": "batch_cancelled"}


@dataclass(frozen=True)
class Ended:
    """The answers are beside the file; lines without one failed for this reason."""

    missing: str


class BatchFailed(Exception):
    """A batch failed before a line of it was asked; `error` is None where it only has to wait for room."""

    def __init__(self, error: StopProvider | None) -> None:
        super().__init__(str(error))
        self.error = error


class BatchBackend(Protocol):
    """Carries files there and answers back."""

    way: Way

    async def recover(self, entry: Entry) -> bool:
        """Whether a file that an earlier run left is on its way; else it is of no use."""
        ...

    async def order(self, entry: Entry) -> None:
        """Sends a file that was written. Raises StopProvider."""
        ...

    async def look(self, entry: Entry) -> Ended | Fault | int:
        """How a file stands: its answers are there, or nobody gives them in this run, or so many are done.

        Raises StopProvider or BatchFailed.
        """
        ...

    async def done(self, entry: Entry) -> None:
        """Every answer is in the result store."""
        ...


class ServiceBackend:
    """The endpoint's own batches. Every step is on disk before the next is taken."""

    way: Way = "batch"

    def __init__(self, service: BatchService) -> None:
        self._service = service
        self._lost_since: float | None = None

    async def recover(self, entry: Entry) -> bool:
        state = entry.known
        if state.status == "uploaded" and state.file_id:
            # Killed between the order and its confirmation: only the provider knows whether it came.
            batch = await self._find(entry, state.file_id)
            if batch is None:
                await asyncio.sleep(_LATE_S)
                batch = await self._find(entry, state.file_id)
            if batch is not None:
                entry.change(status="submitted", batch_id=batch.id)
        return entry.known.status in ("submitted", "collected")

    async def order(self, entry: Entry) -> None:
        try:
            file_id = await self._service.upload(entry.input)
            entry.change(status="uploaded", file_id=file_id)
            batch = await self._service.submit(file_id, entry.name, entry.known.created)
        except Unreachable as error:
            raise self._service.down(error) from None
        entry.change(status="submitted", batch_id=batch.id)
        entry.input.unlink(missing_ok=True)

    async def look(self, entry: Entry) -> Ended | Fault | int:
        if entry.known.status == "collected":
            return Ended(entry.known.missing)
        try:
            batch = await self._service.look(str(entry.known.batch_id))
            counts = batch.request_counts
            self._lost_since = None
            if batch.status == "failed":
                error = await self._service.refused(batch)
                await self._service.delete(batch.input_file_id)
                raise BatchFailed(error)
            if batch.status in ENDED:
                return await self._collect(entry, batch)
        except Unreachable as error:
            now = time.monotonic()
            self._lost_since = self._lost_since or now
            if now - self._lost_since > _PATIENCE_S:
                raise self._service.down(error) from None
            return 0
        return counts.completed + counts.failed if counts else 0

    async def done(self, entry: Entry) -> None:
        await self._service.delete(*entry.known.remote)

    async def _find(self, entry: Entry, file_id: str) -> Batch | None:
        try:
            return await self._service.find(file_id, entry.name, entry.known.created)
        except Unreachable as error:
            raise self._service.down(error) from None

    async def _collect(self, entry: Entry, batch: Batch) -> Ended:
        completed = batch.request_counts.completed if batch.request_counts else 0
        if batch.output_file_id:
            for _ in range(_FETCHES):
                await self._service.fetch(batch.output_file_id, entry.output)
                if sum(1 for _ in batch_files.read(self._service.provider, entry.output)) >= completed:
                    break
        if batch.error_file_id:
            await self._service.fetch(batch.error_file_id, entry.errors)
        missing = _MISSING.get(batch.status, "line_missing")
        ids = [batch.input_file_id, batch.output_file_id, batch.error_file_id]
        entry.change(status="collected", missing=missing, remote=[id_ for id_ in ids if id_])
        return Ended(missing)


class ManualBackend:
    """Files that somebody runs, `vllm run-batch` above all. What must be run is noted in the flight."""

    way: Way = "batch_files"

    def __init__(self, model: str, stats: CallStats, flags: Sequence[str] = ()) -> None:
        self._model, self._stats, self._flags = model, stats, flags

    async def recover(self, entry: Entry) -> bool:
        return True

    async def order(self, entry: Entry) -> None:
        """Nothing to do: `look` says what is to be run."""

    async def look(self, entry: Entry) -> Ended | Fault | int:
        if _is_whole(entry.output):
            return Ended("line_missing")
        words = ["-i", _shown(entry.input), "-o", _shown(entry.output), "--model", self._model, *self._flags]
        command = shell_words(["vllm", "run-batch", *words])
        self._stats.to_run[command] = len(entry.known.ids)
        return Fault("retry", WAITS, f"asked in {entry.input}, which nobody has run yet")

    async def done(self, entry: Entry) -> None:
        """Keeps what whoever ran the file wrote, where some of it is no answer: it says what went wrong."""
        if entry.has_failed:
            self._stats.kept.append(_shown(entry.keep_output()))


def _is_whole(path: Path) -> bool:
    """Whether a file of answers is there and ends with a whole line; else it is still being written."""
    try:
        with open(path, "rb", opener=regular) as file:
            file.seek(-1, 2)
            return file.read(1) == b"\n"
    except OSError:  # not there, or empty
        return False


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
