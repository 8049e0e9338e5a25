"""Calls of models and services on one event loop in the caller's thread, many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterator

from datakit.core.call_stats import CallStats
from datakit.core.errors import BudgetSpent, DatakitError, StopProvider
from datakit.core.interrupts import interruptible
from datakit.core.outcome import Outcome
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Row
from datakit.core.workers import AsyncRowWorker, async_row_worker
from datakit.run.executors.base import Answered, Job, notes_of, unexpected
from datakit.run.keys import tools_by_model

MOST_WAITING = 8
"""Records that wait for their next try, times the concurrency, beyond which no further record is started."""


class EventLoopExecutor:
    """A worker for each model that records are bound to, with a bounded number of records open.

    A record that waits for its next try makes room for another. When the budget is spent or the provider
    stops, no further record is started, and answers under way are still handed out: they are paid for.
    """

    def __init__(self, annotator: Annotator, context: StepContext) -> None:
        self._annotator, self._context = annotator, context
        run = context.run
        self._most = run.batch_max_requests if asks_by_batch(annotator, context) else run.concurrency
        self.notes: Row = {}

    def run(self, jobs: Iterator[Job]) -> Generator[Answered, None, None]:
        """Answers as they come.

        Everything stays in the caller's thread, so an answer is in the store before the next is looked at.
        """
        with asyncio.Runner(loop_factory=new_loop) as runner:
            answers = self._answers(jobs)
            try:
                while True:
                    try:
                        answered = interruptible(runner, _next(answers))
                    except StopAsyncIteration:
                        return
                    yield answered
            finally:
                interruptible(runner, _close(answers))

    async def _answers(self, jobs: Iterator[Job]) -> AsyncGenerator[Answered, None]:
        stats = self._context.stats
        workers = {
            model: async_row_worker(self._annotator.start(context))
            for model, context in tools_by_model(self._annotator, self._context).items()
        }
        stats.is_storing, stats.batches_away = False, 0
        records = _OpenRecords(stats)
        stopped: BaseException | None = None
        try:
            while True:
                if stopped is None:
                    stopped = self._begin(jobs, workers, records)
                if not records.tasks:
                    break
                answered, errors = await records.ended()
                if answered or stats.message or stats.elsewhere:
                    stats.is_storing = True
                    yield answered
                    stats.is_storing = False
                stopped = stopped or next(iter(errors), None)
                if stopped is not None and not isinstance(stopped, BudgetSpent | StopProvider):
                    break
            if stopped is not None:
                raise stopped
        except BaseException:
            stats.is_storing |= bool(records.tasks)  # those are broken off, with answers that may have come
            raise
        finally:
            await records.cancel()
            self.notes = notes_of(workers.values())
            for worker in workers.values():
                await worker.close()

    def _begin(
        self, jobs: Iterator[Job], workers: dict[str, AsyncRowWorker], records: _OpenRecords
    ) -> BudgetSpent | None:
        """Starts records as long as there is room; what it gives says that no further one may be started."""
        stats = self._context.stats
        while len(records.tasks) < self._most + min(stats.waiting, MOST_WAITING * self._most):
            try:
                job = next(jobs, None)
            except BudgetSpent as spent:
                return spent
            if job is None:
                break
            records.start(workers[job.model], job)
        return None


class _OpenRecords:
    """The records that are being answered, each a task; wakes too when a record begins to wait."""

    def __init__(self, stats: CallStats) -> None:
        self.tasks: set[asyncio.Task[tuple[bytes, Outcome]]] = set()
        self._ended: asyncio.Queue[asyncio.Task[tuple[bytes, Outcome]] | None] = asyncio.Queue()
        self._stats = stats
        stats.listen(lambda: self._ended.put_nowait(None))

    def start(self, worker: AsyncRowWorker, job: Job) -> None:
        task = asyncio.create_task(_answer(worker, job))
        task.add_done_callback(self._ended.put_nowait)
        self.tasks.add(task)

    async def ended(self) -> tuple[Answered, list[BaseException]]:
        """What has been answered since, and errors that end the run; both may be empty."""
        events = [await self._ended.get()]
        while not self._ended.empty():
            events.append(self._ended.get_nowait())
        tasks = [task for task in events if task is not None]
        self.tasks.difference_update(tasks)
        errors = [error for task in tasks if (error := task.exception()) is not None]
        return [task.result() for task in tasks if task.exception() is None], errors

    async def cancel(self) -> None:
        self._stats.listen(None)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def asks_by_batch(annotator: Annotator, context: StepContext) -> bool:
    """Whether the step's questions go through batch files: only those of the recipe's own endpoints do."""
    is_recipes = annotator.endpoint(context) is None and context.llm.resolved_provider() != "offline"
    return context.run.is_batch and is_recipes


async def _answer(worker: AsyncRowWorker, job: Job) -> tuple[bytes, Outcome]:
    try:
        return job.key, await worker.answer(job.row)
    except (DatakitError, asyncio.CancelledError):
        raise
    except Exception as error:  # a bug in a transform or a client: shown in the report as a retry
        return job.key, unexpected(error)


async def _close(answers: AsyncGenerator[Answered, None]) -> None:
    await answers.aclose()


async def _next(answers: AsyncGenerator[Answered, None]) -> Answered:
    return await anext(answers)


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's when it is installed (`datakit[fast]`)."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
