"""Runs an annotator over a stage: look every record up in the store, pay only for what is missing, join."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from datakit.artifacts.report import StepReport
from datakit.core.errors import BatchFilesWritten, BudgetSpent, DatakitError, StopProvider
from datakit.core.outcome import RETRY, Batch, Outcome, Reject, Rejected, Retry
from datakit.core.tools import Tools
from datakit.core.transform import Annotator, Row
from datakit.run.keys import Keys, tools_by_model
from datakit.run.parts import account
from datakit.run.progress import Progress
from datakit.run.stage import Stage
from datakit.run.store import Store
from datakit.run.worker_main import answer as answer_safely
from datakit.run.workers import Job, WorkerPool, default_workers

PLACE = ("id", "source_file", "source_line")
TRACE = pl.Struct({"key": pl.Binary, "new": pl.Boolean})
"""Of the columns `@number.step`: the key of a record's answer, and whether this run made it."""


Answered = list[tuple[bytes, Outcome]]
"""Outcomes by key."""
SMOOTH_S = 10.0
"""The rate of calls that is shown is that of so many seconds."""
MOST_WAITING = 8
"""Records that wait for their next try, times the concurrency, beyond which no further record is started."""


@dataclass
class Annotation:
    """One annotator at work on one stage."""

    annotator: Annotator
    tools: Tools
    store: Store
    progress: Progress
    report: StepReport
    spent_usd: float = 0.0
    """What the build had spent before this step."""
    _keys: list[bytes] = field(default_factory=list)
    """The key of every record, in order."""
    _new: set[bytes] = field(default_factory=set)
    _retries: dict[bytes, Retry] = field(default_factory=dict)
    _models: dict[bytes, str] = field(default_factory=dict)
    """Key -> the model that the record is bound to, until it is asked."""
    _writers: set[str] = field(default_factory=set)
    """Who wrote the results that were joined."""
    _marks: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def keys(self) -> list[bytes]:
        """The key of every record, in order, once `pay` or `missing` has gone through them."""
        return self._keys

    def pay(self, stage: Stage) -> None:
        """Makes the store hold a result for every record, as far as that succeeds.

        Raises BudgetSpent or StopProvider when it must end early; what was paid for is stored then.
        """
        self.progress.start(self.report.name, stage.rows)
        try:
            self._pay(stage)
        except KeyboardInterrupt:
            if not (away := self.tools.flight.batches_away):
                raise
            goes_on = f"{away} batches go" if away > 1 else "The batch goes"
            raise KeyboardInterrupt(
                f"Interrupted. {goes_on} on at the provider: run the same command to collect the answers. "
                "Nothing is sent twice."
            ) from None
        if waiting := self.tools.flight.to_run:
            raise BatchFilesWritten(sum(waiting.values()), list(waiting), self.tools.flight.unanswered)

    def _pay(self, stage: Stage) -> None:
        for answered in self._work(self._within_budget(self._missing(stage))):
            for key, outcome in answered:
                if "parts" not in outcome.meta:  # those were counted when they came
                    account(self.report, outcome)
                if isinstance(outcome, Retry):
                    self._retries[key] = outcome
                else:
                    self.store.put(key, self.report.name, outcome)
                    self._new.add(key)
            self.progress.advance(len(answered), self._live())

    def join(self, stage: Stage) -> Iterator[Batch]:
        """The stage's records with the annotator's columns; those without a result as rejects."""
        columns = {**stage.schema, **self.annotator.gives(self.tools)}
        trace = f"@{self.report.number}.{self.report.name}"
        paid: set[bytes] = set()
        at = 0
        for frame in stage.batches():
            keys = self._keys[at : at + frame.height]
            at += frame.height
            yield self._join_batch(frame, keys, columns, trace, paid)
        if self._writers:  # told by what is stored, so that a build from the store says the same
            self.report.notes["writer"] = ", ".join(sorted(self._writers))

    def missing(self, stage: Stage) -> int:
        """How many pieces of work the store does not hold (equal inputs count once). Pays nothing."""
        return sum(1 for _ in self._missing(stage))

    def _row_columns(self, stage: Stage) -> list[str]:
        wanted = [*PLACE, *self.annotator.needs(self.tools), *getattr(self.annotator, "optional", ())]
        return [name for name in dict.fromkeys(wanted) if name in stage.schema]

    def _missing(self, stage: Stage) -> Iterator[Job]:
        """Rows that have no result yet, one per key, read as they are asked for."""
        of = Keys(self.annotator, self.tools).of
        asked: set[bytes] = set()
        names = self._row_columns(stage)
        for frame in stage.batches(names):
            rows = frame.to_dicts()
            keyed = [of(row) for row in rows]
            keys = [key for key, _ in keyed]
            self._keys.extend(keys)
            known = self.store.known(dict.fromkeys(keys))
            for (key, model), row in zip(keyed, rows, strict=True):
                if key in known or key in asked:
                    self.progress.advance(1)
                else:
                    asked.add(key)
                    if self.annotator.executor == "async":
                        self._models[key] = model
                    yield key, row

    def _work(self, jobs: Iterator[Job]) -> Iterator[Answered]:
        first = next(jobs, None)
        if first is None:
            return
        rest = _chain(first, jobs)
        if self.annotator.executor == "process":
            count = self.tools.run.workers or default_workers()
            pool = WorkerPool(self.annotator, self.tools, count, self.tools.run.worker_memory_mb)
            yield from ([found] for found in pool.run(rest))
        elif self.annotator.executor == "async":
            yield from _drive(self._in_flight(rest))
        else:
            worker = self.annotator.start(self.tools)
            for key, row in rest:
                yield [(key, answer_safely(worker, row))]

    async def _in_flight(self, jobs: Iterator[Job]) -> AsyncGenerator[Answered, None]:
        """Answers as they come, with a bounded number of records open.

        A record that waits for its next try makes room for another. When the budget is spent or the provider
        stops, no further record is started, and answers under way are still taken: they are paid for.
        """
        flight, run = self.tools.flight, self.tools.run
        by_batch = run.is_batch and self.tools.llm.resolved_provider() != "offline"
        most = run.batch_max_requests if by_batch else run.concurrency
        workers = {
            model: self.annotator.start(tools)
            for model, tools in tools_by_model(self.annotator, self.tools).items()
        }
        flight.is_storing, flight.batches_away = False, 0
        finished: asyncio.Queue[asyncio.Task[tuple[bytes, Outcome]] | None] = asyncio.Queue()
        flight.listen(lambda: finished.put_nowait(None))
        tasks: set[asyncio.Task[tuple[bytes, Outcome]]] = set()
        stopped: BaseException | None = None
        try:
            while True:
                while stopped is None and len(tasks) < most + min(flight.waiting, MOST_WAITING * most):
                    try:
                        job = next(jobs, None)
                    except BudgetSpent as spent:
                        stopped, job = spent, None
                    if job is None:
                        break
                    worker = workers[self._models.pop(job[0])]
                    task = asyncio.create_task(_answer(worker, *job))
                    task.add_done_callback(finished.put_nowait)
                    tasks.add(task)
                if not tasks:
                    break
                done = [await finished.get()]
                while not finished.empty():
                    done.append(finished.get_nowait())
                ended = [task for task in done if task is not None]
                tasks.difference_update(ended)
                errors = [error for task in ended if (error := task.exception()) is not None]
                answered = [task.result() for task in ended if task.exception() is None]
                if answered or flight.told:
                    flight.is_storing = True
                    yield answered
                    flight.is_storing = False
                stopped = stopped or next(iter(errors), None)
                if stopped is not None and not isinstance(stopped, BudgetSpent | StopProvider):
                    break
            if stopped is not None:
                raise stopped
        except BaseException:
            flight.is_storing |= bool(tasks)  # those are broken off, with answers that may have come
            raise
        finally:
            flight.listen(None)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._take_notes(workers)
            for worker in workers.values():
                close = getattr(worker, "close", None)
                if close is not None and inspect.isawaitable(closing := close()):
                    await closing

    def _take_notes(self, workers: dict[str, Any]) -> None:
        """What the workers have to say besides their names; of several models, only the warnings."""
        attempts: Counter[str] = Counter()
        found = [dict(getattr(worker, "notes", None) or {}) for worker in workers.values()]
        for notes in found:
            attempts.update(notes.pop("attempts", {}))
            notes.pop("writer", None)
        self.report.attempts = dict(attempts)
        if len(found) > 1:
            warnings = [warning for notes in found for warning in notes.get("warnings", [])]
            found = [{"warnings": warnings}] if warnings else []
        for notes in found:
            self.report.notes.update(notes)

    def _within_budget(self, jobs: Iterator[Job]) -> Iterator[Job]:
        """The jobs, until what is spent reaches the budget (a client stops before that by itself)."""
        budget = self.tools.run.budget_usd
        for job in jobs:
            spent = self.spent_usd + self.report.cost_usd
            if budget is not None and spent >= budget:
                raise BudgetSpent(budget, spent)
            yield job

    def _live(self) -> str:
        """Money, rate and calls under way, for the progress line."""
        now, flight, budget = time.monotonic(), self.tools.flight, self.tools.run.budget_usd
        self._marks.append((now, self.report.calls))
        while self._marks[0][0] < now - SMOOTH_S:
            self._marks.popleft()
        if not flight.in_flight and not self.report.cost_usd:
            return flight.told
        (began, before), seconds = self._marks[0], max(now - self._marks[0][0], 0.1)
        parts = [f"{(self.report.calls - before) / seconds * 60:,.0f} calls/min" if now > began else ""]
        if self.report.cost_usd:
            spent = self.spent_usd + self.report.cost_usd
            parts.append(f"${spent:.4f}" + (f" of ${budget:g}" if budget else ""))
        parts += [f"{flight.in_flight} in flight"] if flight.in_flight else []
        parts += [f"{flight.waiting} waiting"] if flight.waiting else []
        parts += [flight.told]
        return ", ".join(part for part in parts if part)

    def _join_batch(
        self, frame: pl.DataFrame, keys: list[bytes], columns: dict[str, Any], trace: str, paid: set[bytes]
    ) -> Batch:
        names = self.annotator.gives(self.tools)
        stored = self.store.get_many(dict.fromkeys(keys))
        if self.annotator.executor == "async":
            self._writers |= {
                str(model) for found in stored.values() if (model := found.outcome.meta.get("model"))
            }
        rows = frame.select(_present(frame, self._needed())).to_dicts()
        kept: list[int] = []
        values: dict[str, list[Any]] = {name: [] for name in names}
        traces: list[dict[str, Any]] = []
        rejects: list[Reject] = []
        for index, (key, row) in enumerate(zip(keys, rows, strict=True)):
            outcome = self._read(stored.get(key), key, row)
            if not isinstance(outcome, dict):
                rejects.append(_reject(row, outcome))
                continue
            kept.append(index)
            new = key in self._new and key not in paid
            paid.add(key)
            self.report.new, self.report.cached = self.report.new + new, self.report.cached + (not new)
            traces.append({"key": key, "new": new})
            for name, column in values.items():
                column.append(outcome.get(name))
        added = [pl.Series(name, values[name], dtype=dtype) for name, dtype in names.items()]
        note = pl.Series(trace, traces, dtype=TRACE)
        base = frame if len(kept) == frame.height else frame[kept]
        out = base.with_columns(added).select(list(columns)).with_columns(note)
        return Batch(out, rejects)

    def _read(self, stored: Any, key: bytes, row: Row) -> Row | Rejected | Retry:
        if stored is None:
            return self._retries.get(key, Retry("not_answered", "no result was made"))
        if isinstance(stored.outcome, Rejected):
            return stored.outcome
        return self.annotator.columns(stored.outcome.raw, row, self.tools)

    def _needed(self) -> list[str]:
        return [*PLACE, *self.annotator.needs(self.tools), *getattr(self.annotator, "optional", ())]


def _reject(row: Row, outcome: Rejected | Retry) -> Reject:
    prefix = RETRY if isinstance(outcome, Retry) else ""
    return Reject(
        row["id"],
        prefix + outcome.reason,
        outcome.detail,
        row.get("source_file") or "",
        row.get("source_line"),
    )


def _present(frame: pl.DataFrame, names: list[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name in frame.columns]


def _chain(first: Job, rest: Iterator[Job]) -> Iterator[Job]:
    yield first
    yield from rest


async def _answer(worker: Any, key: bytes, row: Row) -> tuple[bytes, Outcome]:
    try:
        return key, await worker.answer(row)
    except (DatakitError, asyncio.CancelledError):
        raise
    except Exception as error:  # a bug in a transform or a client: shown in the report as a retry
        return key, Retry("unexpected_error", f"{type(error).__name__}: {error}")


def _drive(answers: AsyncGenerator[Answered, None]) -> Iterator[Answered]:
    """An async generator as a plain one, on an event loop of its own.

    Everything stays in the caller's thread, so an answer is in the store before the next is looked at.
    """
    # A Runner turns Ctrl-C into a cancellation, so that connections are closed and nothing is left running.
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        try:
            while True:
                try:
                    answered = runner.run(_next(answers))
                except StopAsyncIteration:
                    return
                yield answered
        finally:
            runner.run(_close(answers))


async def _close(answers: AsyncGenerator[Answered, None]) -> None:
    await answers.aclose()


async def _next(answers: AsyncGenerator[Answered, None]) -> Answered:
    return await anext(answers)


def _new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's when it is installed (`datakit[fast]`)."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
