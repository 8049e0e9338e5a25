"""Where questions wait for their batch: files are written, sent, looked after, and their answers handed out.

Files are written when no record can go further without an answer. What is known of a file is on disk before
the next thing is done with it, so that a build may be killed at any point.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from datakit.core.call_budget import CallBudget
from datakit.core.call_stats import CallStats
from datakit.core.errors import BudgetSpent, StopProvider
from datakit.core.files import FileDigests
from datakit.core.settings import LlmSettings, RunSettings
from datakit.llm._dialect import Dialect
from datakit.llm._faults import Fault
from datakit.llm.answer import Answer
from datakit.llm.batch import files as batch_files
from datakit.llm.batch.backends import BatchBackend, BatchFailed, Ended
from datakit.llm.batch.files import FileLimits, Found, Line, Written
from datakit.llm.batch.journal import BatchFolder, Entry, HeldElsewhere, State
from datakit.llm.prices import Price
from datakit.llm.request import Request, Turn

QUIET_S = 0.1
"""When nothing new was asked for so long and nothing else is to be done, every record waits for an answer."""
_TURNS = 10
"""Of the event loop, after which everything that could go on has gone on."""
_LEAST = 10
"""Where the budget holds for less than one of so many lines that wait, the build ends: each file may take a
day, and ever smaller ones would follow."""
_FIRST_LOOK_S, _SLOWER = 1.0, 1.5


@dataclass(eq=False)
class Asked:
    """A file that is under way, and when to look after it."""

    entry: Entry
    look_at: float = 0.0
    pause_s: float = _FIRST_LOOK_S
    done: int = 0
    """Lines that were answered, as far as is known."""
    had_company: bool = False
    """Whether other files of this build were under way beside it."""


@dataclass
class BatchScheduler:
    """The batches of one model. Made and used on one event loop."""

    settings: LlmSettings
    run: RunSettings
    budget: CallBudget
    stats: CallStats
    files: FileDigests
    dialect: Dialect
    price: Price | None
    folder: BatchFolder
    backend: BatchBackend
    tokens: Callable[[Request, tuple[Turn, ...]], int]
    _waiting: list[Line] = field(default_factory=list)
    _elsewhere: list[Line] = field(default_factory=list)
    """Lines that wait for a file of another build to end: it has their answers, or asks them."""
    _open: dict[str, list[Line]] = field(default_factory=dict)
    """Lines under way, by `custom_id`."""
    _asked: list[Asked] = field(default_factory=list)
    _answered: list[tuple[Entry, list[str]]] = field(default_factory=list)
    """Files whose answers were handed out, until those are stored."""
    _questions: int = 0
    _most_asked: int | None = None
    """Files that the provider takes at a time, once it has refused one more."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _stopped: BaseException | None = None

    async def answer(self, request: Request, further: tuple[Turn, ...]) -> Found:
        """The answer to one question. Raises ImageProblem, BudgetSpent, StopProvider or UserError."""
        if self._stopped is not None:
            raise self._stopped
        line = Line(request, further, asyncio.get_running_loop().create_future())
        self._waiting.append(line)
        self._questions += 1
        self._news.set()
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await line.future

    def halt(self, error: BaseException) -> None:
        """Nothing is sent any more: whoever waits for an answer gets `error`. Batches under way are kept."""
        self._stopped = self._stopped or error
        under_way = (line for lines in self._open.values() for line in lines)
        lines = [*self._waiting, *self._elsewhere, *under_way]
        self._waiting, self._elsewhere, self._open = [], [], {}
        for line in lines:
            line.fail(self._stopped)

    async def close(self) -> None:
        """Lets go of everything. Batches under way are found again by the next run."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._tidy()
        away = [batch for batch in self._asked if batch.entry.known.status == "submitted"]
        self.stats.batches_away += len(away)
        self.stats.message, self.stats.in_flight = "", 0
        for entry in [*(batch.entry for batch in self._asked), *(entry for entry, _ in self._answered)]:
            entry.release()

    async def _work(self) -> None:
        try:
            while self._stopped is None:
                await self._quiet()
                questions_before = self._questions
                await self._tidy()
                self._waiting, self._elsewhere = [*self._elsewhere, *self._waiting], []
                if self._waiting and self._has_room:
                    await self._send()
                for batch in [
                    open_batch for open_batch in self._asked if open_batch.look_at <= time.monotonic()
                ]:
                    await self._look(batch)
                    if self._answered:
                        break  # one file's answers are stored and forgotten before the next one's are read
                self._tell()
                if questions_before == self._questions and not self._answered:
                    await self._sleep()
            self.halt(self._stopped)  # who was just being looked after too
        except Exception as error:  # whoever waits for an answer gets it, and the build tells it
            self.halt(error)

    @property
    def _has_room(self) -> bool:
        return self._most_asked is None or len(self._asked) < self._most_asked

    async def _quiet(self) -> None:
        """Until no record can go further without an answer. What was answered is in the store then."""
        before = -1
        while before != self._questions:
            before = self._questions
            self._news.clear()
            await asyncio.sleep(QUIET_S)
            for _ in range(_TURNS):
                await asyncio.sleep(0)

    async def _sleep(self) -> None:
        """Until something is asked, a batch is to be looked after, or money of others may be free again."""
        self._news.clear()
        times = [batch.look_at for batch in self._asked]
        if self._elsewhere or (not times and self._waiting):
            times += [time.monotonic() + _FIRST_LOOK_S]
        delay_s = max(min(times) - time.monotonic(), 0.0) if times else None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), delay_s)

    async def _send(self) -> None:
        """Sends what waits; what is under way already, sent by an earlier run too, is only awaited."""
        while self._waiting and self._has_room:
            await self._sort_out()
            if not self._waiting:
                break
            entry = self.folder.create()
            try:
                written = await self._write(entry)
            finally:
                if entry.state is None:
                    entry.remove()
            if not written.lines or written.too_dear_usd is not None:
                break

    async def _sort_out(self) -> None:
        """Names the lines that wait, and takes those out that are under way. Others may come meanwhile."""
        fresh, count = [], len(self._waiting)
        held: set[str] = set()
        self.folder.look()
        for line in self._waiting[:count]:
            if not line.id or line.version != self.dialect.version:
                line.name(self.dialect, self.files, self.settings.max_image_pixels)
            try:
                if line.id in held:
                    self._elsewhere.append(line)
                elif line.id in self._open or await self._taken_up(line.id):
                    self._open.setdefault(line.id, []).append(line)
                else:
                    fresh.append(line)
            except HeldElsewhere as held_file:
                held.update(held_file.ids)
                self._elsewhere.append(line)
        self._waiting[:count] = fresh

    async def _taken_up(self, id_: str) -> bool:
        """Whether a batch of another run has the question; it is waited for then."""
        entry = self.folder.claim(id_)
        if entry is None:
            return False
        if not await self.backend.recover(entry):
            entry.remove()  # nothing was ordered: what is wanted now is written anew
            return False
        self.budget.hold(entry.known.worst_usd)
        for other in entry.known.ids:
            self._open.setdefault(other, [])
        self._asked.append(Asked(entry))
        return True

    async def _write(self, entry: Entry) -> Written:
        """Writes and sends one file of what waits. Raises BudgetSpent when too few lines can be paid."""
        budget_usd = self.run.budget_usd if self.price is not None else None
        left, most_bytes = self.budget.left(budget_usd), int(self.run.batch_max_mb * 1_000_000)
        limits = FileLimits(self.run.batch_max_requests, most_bytes, left)
        lines = [line for line in self._waiting if line.id]
        self._waiting = [line for line in self._waiting if not line.id]
        written = Written(left=lines)
        try:
            written = await asyncio.to_thread(
                batch_files.write, entry.input, lines, self.dialect, limits, self._worst_usd
            )
        finally:
            self._waiting = [*written.left, *self._waiting]
        if written.too_dear_usd is not None and len(written.lines) * _LEAST < len(lines):
            self._waiting, written.lines = [*written.lines, *self._waiting], []
        for line, why in written.broken:
            if isinstance(why, Fault):
                line.give(why)
            else:
                line.fail(why)
        if written.lines:
            for line in written.lines:
                self._open.setdefault(line.id, []).append(line)
            await self._order(entry, written)
        elif written.too_dear_usd is not None and not self.budget.reserved_usd:
            raise BudgetSpent(budget_usd or 0.0, self.budget.spent_usd, written.too_dear_usd)
        return written

    async def _order(self, entry: Entry, written: Written) -> None:
        ids = list(dict.fromkeys(line.id for line in written.lines))
        entry.keep(
            State(
                way=self.backend.way,
                endpoint=self.folder.endpoint,
                status="written",
                ids=ids,
                worst_usd=written.worst_usd,
                created=time.time(),
            )
        )
        self.budget.hold(written.worst_usd)
        batch = Asked(entry, had_company=bool(self._asked))
        self._asked.append(batch)
        self.stats.tell(f"sending a batch of {len(ids):,} requests")
        await self.backend.order(entry)
        batch.look_at = time.monotonic()

    async def _look(self, batch: Asked) -> None:
        try:
            state = await self.backend.look(batch.entry)
        except BatchFailed as failed:
            await self._failed(batch, failed)
            return
        if isinstance(state, Ended):
            self._hand_out(batch, state.missing)
        elif isinstance(state, Fault):
            self._asked.remove(batch)
            self.budget.settle(batch.entry.known.worst_usd, 0.0)
            self._give(batch.entry.known.ids, state)
            batch.entry.release()
        else:
            batch.done = max(state, batch.done)
            batch.look_at = time.monotonic() + min(batch.pause_s, self.run.batch_poll_s)
            batch.pause_s = min(batch.pause_s * _SLOWER, self.run.batch_poll_s)

    def _hand_out(self, batch: Asked, missing: str) -> None:
        """Gives every answer to who asked for it; questions without one fail for the reason `missing`.

        Answers that nobody has asked for in this run (another recipe, --limit, a record that comes later)
        stay where they are: they are paid for.
        """
        entry, cost = batch.entry, 0.0
        self._asked.remove(batch)
        open_, unasked = set(entry.known.ids), list[str]()
        faults = 0
        refused: list[tuple[str, Fault]] = []
        has_answers = False
        for id_, outcome in batch_files.read(self.dialect.provider, entry.output, entry.errors):
            if id_ in open_:
                open_.discard(id_)
                has_answers |= isinstance(outcome, Answer)
                faults += isinstance(outcome, Fault) and outcome.fate in ("again", "stop")
                if isinstance(outcome, Fault) and outcome.fate == "stop":
                    refused.append((id_, outcome))
                    continue
                if isinstance(outcome, Answer) and not self._open.get(id_):
                    unasked.append(id_)
                    self._open.pop(id_, None)
                    continue
                if isinstance(outcome, Answer) and self.price is not None:
                    cost += self.price.cost(outcome.tokens_in, outcome.tokens_out, outcome.cached)
                self._give([id_], outcome)
        for id_, fault in refused:  # a line among answered ones was refused for its own sake
            self._give([id_], replace(fault, fate="again") if has_answers else fault)
        entry.has_failed = bool(faults or open_)
        ended = missing.replace("_", " ")
        self._give(list(open_), Fault("again", missing, f"{ended}: the batch ended without this answer"))
        self.budget.settle(entry.known.worst_usd, cost)
        self._answered.append((entry, unasked))

    def _give(self, ids: list[str], outcome: Answer | Fault) -> None:
        if (
            ids
            and isinstance(outcome, Fault)
            and outcome.fate == "again"
            and self.backend.way == "batch_files"
        ):
            count = self.stats.unanswered.get(outcome.detail, 0)
            self.stats.unanswered[outcome.detail] = count + len(ids)
        for id_ in ids:
            for number, line in enumerate(self._open.pop(id_, ())):
                line.give(outcome, is_first=number == 0)

    async def _failed(self, batch: Asked, failed: BatchFailed) -> None:
        """A batch that did not begin: its questions wait again, for room in the queue, or all is over."""
        entry, error = batch.entry, failed.error
        self._asked.remove(batch)
        self.budget.settle(entry.known.worst_usd, 0.0)
        self._waiting.extend(line for id_ in entry.known.ids for line in self._open.pop(id_, ()))
        if error is None and not batch.had_company:
            error = StopProvider(
                f"the account's queue of batches has no room for {len(entry.known.ids):,} requests",
                "Wait for its other batches or lower run.batch_max_requests, then run the same command.",
            )
        entry.remove()
        if error is not None:
            raise error
        self._most_asked = max(len(self._asked), 1)

    async def _tidy(self) -> None:
        """Removes files whose answers are stored: since they were handed out nothing is left to go on."""
        if self.stats.is_storing:
            return
        while self._answered:
            entry, unasked = self._answered[0]
            await self.backend.done(entry)
            self._answered.pop(0)
            if unasked:
                self.folder.leave(entry, unasked)
            else:
                entry.remove()

    def _worst_usd(self, line: Line) -> float:
        """The highest price of a line; free of the work of counting where no budget holds."""
        if self.price is None or self.run.budget_usd is None:
            return 0.0
        most = self.settings.most_answer_tokens(line.request.max_tokens)
        return self.price.cost(self.tokens(line.request, line.further), most)

    def _tell(self) -> None:
        if not self._asked:
            self.stats.in_flight = 0
            if count := len(self._elsewhere):
                self.stats.tell(f"waits for {count:,} answer{'s' if count > 1 else ''} of another build")
            return
        total = sum(len(batch.entry.known.ids) for batch in self._asked)
        self.stats.in_flight = total
        batches = f"{len(self._asked)} batch{'es' if len(self._asked) > 1 else ''} under way"
        wait_s = max(min(batch.look_at for batch in self._asked) - time.monotonic(), 0.0)
        done = sum(batch.done for batch in self._asked)
        self.stats.tell(f"{batches}, {done:,} of {total:,} requests done, next look in {wait_s:.0f} s")
