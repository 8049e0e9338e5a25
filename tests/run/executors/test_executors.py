"""Every executor keeps the protocol: each job comes back once, whatever its worker does; nothing stays."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

from datakit.core.errors import BudgetSpent, StopProvider, UserError
from datakit.core.outcome import Done, Outcome, Rejected, Retry
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.core.transform import AsyncRowWorker, Row, RowWorker
from datakit.run.executors import GROUP, executor_for
from datakit.run.executors.base import Executor, Job
from datakit.run.executors.messages import Inbox, packed
from datakit.run.executors.process import ProcessExecutor
from tests.support.toys import AsyncWork, ProcessWork, Work

COUNT = 30
LLM = LlmSettings(provider="offline")


class Faulty(Work):
    """Fails in a way that nobody foresaw at the texts in `fail`; the provider stops it at `crash`."""

    registered_name: ClassVar[str] = "toy.faulty"

    def start(self, context: StepContext) -> Any:
        return _Faulty(self)


class FaultyProcess(Faulty):
    executor = "process"


class FaultyAsync(Faulty):
    executor = "event_loop"

    def start(self, context: StepContext) -> Any:
        return _FaultyAsync(self)


class _Faulty(RowWorker):
    def __init__(self, work: Work) -> None:
        self.work = work

    def answer(self, row: Row) -> Outcome:
        if row["text"] in self.work.fail:
            raise ValueError(f"cannot do {row['text']}")
        if row["text"] in self.work.crash:
            raise StopProvider("no such key")
        return Done(row["text"])


class _FaultyAsync(AsyncRowWorker):
    def __init__(self, work: Work) -> None:
        self.faulty = _Faulty(work)

    async def answer(self, row: Row) -> Outcome:
        await asyncio.sleep(0.02 * (int(row["text"]) % 3))
        return self.faulty.answer(row)


KINDS = pytest.mark.parametrize("kind", [Work, ProcessWork, AsyncWork])
FAULTY = pytest.mark.parametrize("kind", [Faulty, FaultyProcess, FaultyAsync])
Make = Callable[..., Executor]


@pytest.fixture
def make(tmp_path: Path, make_context: Callable[..., StepContext]) -> Make:
    """The executor of a toy."""

    def make(kind: type[Work], workers: int = 2, **parameters: Any) -> Executor:
        context = make_context(run=RunSettings(workers=workers, concurrency=4), llm=LLM)
        return executor_for(kind(log=str(tmp_path / "log"), **parameters), context)

    return make


def jobs(count: int = COUNT) -> Iterator[Job]:
    return (Job(b"%d" % number, {"text": str(number)}, LLM.model) for number in range(count))


def outcomes(executor: Executor, given: Iterator[Job] | None = None) -> dict[bytes, Outcome]:
    """All outcomes by key; no key may come twice."""
    answered = [pair for batch in executor.run(given or jobs()) for pair in batch]
    assert len({key for key, _ in answered}) == len(answered)
    return dict(answered)


@KINDS
def test_every_job_comes_back_once_under_its_key(make: Make, kind: type[Work]) -> None:
    found = outcomes(make(kind, fail=("3",), refuse=("4",), times=2))
    assert found.keys() == {b"%d" % number for number in range(COUNT)}
    assert isinstance(found.pop(b"3"), Retry)
    assert isinstance(found.pop(b"4"), Rejected)
    assert {key: one.raw for key, one in found.items() if isinstance(one, Done)} == {
        key: key.decode() * 2 for key in found
    }


def untimed(found: dict[bytes, Outcome]) -> dict[bytes, Outcome]:
    """The outcomes without how long each took."""
    for outcome in found.values():
        if isinstance(outcome, Done):
            outcome.meta.pop("seconds", None)
    return found


@KINDS
def test_order_of_the_jobs_changes_no_outcome(make: Make, kind: type[Work]) -> None:
    assert untimed(outcomes(make(kind), iter([*jobs()][::-1]))) == untimed(outcomes(make(kind)))


@KINDS
def test_run_without_jobs_gives_nothing(make: Make, kind: type[Work]) -> None:
    assert outcomes(make(kind), iter(())) == {}


@pytest.mark.parametrize("kind", [Work, ProcessWork])
def test_answers_that_cost_nothing_come_many_at_a_time_and_bought_ones_at_once(
    make: Make, kind: type[Work]
) -> None:
    free = list(filter(None, make(kind, price_usd=0.0).run(jobs(400))))
    assert sum(map(len, free)) == 400
    assert len(free) < 200
    bought = list(filter(None, make(kind).run(jobs())))
    assert sum(map(len, bought)) == COUNT
    assert max(map(len, bought)) <= 4  # of two workers that had two each and answer at the same moment


@FAULTY
def test_exception_in_a_worker_is_a_retry_of_its_record_alone(make: Make, kind: type[Work]) -> None:
    found = outcomes(make(kind, fail=("7",)))
    assert found.pop(b"7") == Retry("unexpected_error", "ValueError: cannot do 7")
    assert len(found) == COUNT - 1
    assert all(isinstance(outcome, Done) for outcome in found.values())


@FAULTY
def test_error_that_is_meant_for_the_user_ends_the_run(make: Make, kind: type[Work]) -> None:
    with pytest.raises(StopProvider, match="no such key"):
        outcomes(make(kind, crash=("7",)))
    assert psutil.Process().children() == []


@pytest.mark.parametrize("kind", [Faulty, FaultyProcess])
def test_what_was_answered_before_an_error_for_the_user_comes_first(make: Make, kind: type[Work]) -> None:
    run, answered = make(kind, workers=1, crash=("25",)).run(jobs()), set[bytes]()
    with pytest.raises(StopProvider, match="no such key"):
        answered.update(key for batch in run for key, _ in batch)
    assert answered == {b"%d" % number for number in range(25)}


@KINDS
def test_jobs_are_read_only_as_fast_as_work_begins(make: Make, kind: type[Work]) -> None:
    """Else records would be started that the budget has no room for."""
    read: list[Job] = []
    given = (read.append(job) or job for job in jobs())  # type: ignore[func-returns-value]
    run = make(kind).run(given)
    next(batch for batch in run if batch)
    assert len(read) <= 5  # two workers with one more each, or four records on the loop, and the next
    run.close()


@KINDS
def test_error_of_the_jobs_ends_the_run_without_losing_count(make: Make, kind: type[Work]) -> None:
    def given() -> Iterator[Job]:
        yield from jobs(6)
        raise BudgetSpent(1.0, 1.0)

    answered: list[bytes] = []
    run = make(kind).run(given())
    with pytest.raises(BudgetSpent):
        answered.extend(key for batch in run for key, _ in batch)
    assert len(set(answered)) == len(answered) <= 6
    if kind is AsyncWork:
        assert len(answered) == 6  # they are paid for
    assert psutil.Process().children() == []


@FAULTY
def test_early_close_leaves_no_process_thread_or_task(make: Make, kind: type[Work]) -> None:
    threads = threading.active_count()
    run = make(kind).run(jobs())
    next(batch for batch in run if batch)
    assert len(psutil.Process().children()) == (2 if kind is FaultyProcess else 0)
    tasks = [one for one in gc.get_objects() if isinstance(one, asyncio.Task) and not one.done()]
    assert bool(tasks) == (kind is FaultyAsync)
    run.close()
    assert psutil.Process().children() == []
    assert threading.active_count() == threads
    assert all(task.cancelled() for task in tasks)


def test_worker_that_has_grown_is_replaced(tmp_path: Path, make_context: Callable[..., StepContext]) -> None:
    run = RunSettings(workers=1).model_copy(update={"worker_memory_mb": 1})
    executor = ProcessExecutor(ProcessWork(log=str(tmp_path / "log")), make_context(run=run))
    assert len(outcomes(executor, jobs(5))) == 5
    assert sorted((tmp_path / "log").read_text().split()) == ["0", "1", "2", "3", "4"]


def test_worker_is_of_the_package_that_its_parent_is_of(
    tmp_path: Path, make_context: Callable[..., StepContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of a folder of that name where the command was given, such as a clone of another version."""
    (tmp_path / "datakit").mkdir()
    (tmp_path / "datakit" / "__init__.py").write_text("raise SystemExit('another version')", "utf-8")
    monkeypatch.chdir(tmp_path)
    work = ProcessWork(log=str(tmp_path / "log"))
    context = make_context(llm=LLM, run=RunSettings(workers=1))
    (answered,) = ProcessExecutor(work, context).run(iter([Job(b"1", {"text": "a", "images": []})]))
    assert answered[0][0] == b"1"
    assert isinstance(answered[0][1], Done)


def test_messages_come_whole_however_they_are_cut_and_the_last_half_one_does_not() -> None:
    ours, theirs = socket.socketpair()
    data = b"".join(map(packed, (b"one", b"", b"x" * 3000, b"lost")))[:-1]

    def send() -> None:
        for at in range(0, len(data), 7):
            ours.sendall(data[at : at + 7])
        ours.close()

    sender, inbox = threading.Thread(target=send), Inbox(theirs)
    sender.start()
    read: list[bytes] = []
    while messages := inbox.read():
        read += messages
    sender.join()
    theirs.close()
    assert read == [b"one", b"", b"x" * 3000]


def test_executor_of_another_package_is_found_by_its_name(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file and a line in its package's metadata."""
    (tmp_path / "backwards.py").write_text(
        "class Backwards:\n"
        "    def __init__(self, annotator, tools):\n"
        "        self.worker, self.notes = annotator.start(tools), {}\n"
        "    def run(self, jobs):\n"
        "        for job in [*jobs][::-1]:\n"
        "            yield [(job.key, self.worker.answer(job.row))]\n"
    )
    info = tmp_path / "backwards-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: backwards\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nbackwards = backwards:Backwards\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    class Reversed(Work):
        executor = "backwards"  # type: ignore[assignment]

    assert list(outcomes(make(Reversed))) == [b"%d" % number for number in range(COUNT)][::-1]
    monkeypatch.setattr(Reversed, "executor", "proces")
    with pytest.raises(UserError, match="Did you mean `process`"):
        make(Reversed)
