"""Worker processes that run inputs one after the other; one that dies or hangs is told with its input."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import psutil

from fuzzing.faults import Account

SILENT_S = 150.0
"""A worker that says nothing for so long is ended; its own alarm rings long before."""
MOST_MB = 3000.0
"""A worker that holds more is ended at once, for the machine's sake."""
INPUTS_EACH = 2000
"""A worker is replaced after so many inputs, so that what libraries keep does not add up."""
Job = tuple[str, int, int]
"""Kind, seed and number."""


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    job: Job | None = None
    since: float = 0.0
    jobs: int = 0


def accounts(jobs: Iterator[Job], count: int) -> Iterator[Account]:
    """What became of each input, in the order in which they end."""
    workers: list[_Worker] = []
    try:
        while True:
            while len(workers) < count and (job := next(jobs, None)) is not None:
                workers.append(_given(_started(), job))
            if not workers:
                return
            for pipe in wait([worker.pipe for worker in workers], timeout=0.5):
                worker = next(worker for worker in workers if worker.pipe is pipe)
                yield _received(worker)
                job = next(jobs, None) if worker.process.is_alive() and worker.jobs < INPUTS_EACH else None
                if job is not None:
                    _given(worker, job)
                else:
                    workers.remove(_ended(worker))
            for worker in list(workers):
                if words := _too_much(worker):
                    yield _lost(worker, words)
                    workers.remove(_ended(worker))
    finally:
        for worker in workers:
            _ended(worker)


def _started() -> _Worker:
    context = multiprocessing.get_context("spawn")  # polars has threads, which a fork would not take along
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def work(pipe: Connection) -> None:
    """The loop of a worker."""
    from fuzzing import surroundings
    from fuzzing.kinds import drawn
    from fuzzing.one_input import account_of

    surroundings.prepare()
    with contextlib.suppress(EOFError, BrokenPipeError):  # nobody has further inputs
        while True:
            kind, seed, number = pipe.recv()
            pipe.send(account_of(kind, number, drawn(kind, seed, number)))


def _given(worker: _Worker, job: Job) -> _Worker:
    worker.job, worker.since = job, time.monotonic()
    worker.jobs += 1
    worker.pipe.send(job)
    return worker


def _received(worker: _Worker) -> Account:
    try:
        account: Account = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(5)
        return _lost(worker, f"the process died (exit code {worker.process.exitcode})")
    return account


def _lost(worker: _Worker, words: str) -> Account:
    from fuzzing.kinds import drawn

    assert worker.job is not None
    kind, seed, number = worker.job
    return Account(kind, number, valid=True, fault=f"lost: {words}", tree=drawn(kind, seed, number))


def _too_much(worker: _Worker) -> str:
    if time.monotonic() - worker.since > SILENT_S:
        return f"hang: no word for {SILENT_S:g} s"
    try:
        megabytes = psutil.Process(worker.process.pid).memory_info().rss / 2**20
    except psutil.Error:
        return ""
    return f"memory: more than {MOST_MB:g} MB" if megabytes > MOST_MB else ""


def _ended(worker: _Worker) -> _Worker:
    worker.pipe.close()
    worker.process.kill()
    worker.process.join()
    return worker
