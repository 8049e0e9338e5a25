"""Worker processes for OCR, hashing and other CPU work: one thread each, replaced when they grow or die.

Workers are started with a plain command instead of fork or spawn, so that a notebook, a script without a
main guard and a threaded parent all work. A record whose worker dies is tried once more in a fresh worker;
the results of all others are kept.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from datakit.core.credentials import worker_environment
from datakit.core.errors import DatakitError, UserError
from datakit.core.outcome import Outcome, Retry
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Row
from datakit.run.executors.base import Answered, Job

MAX_DEATHS = 8
QUEUE_PER_WORKER = 2  # one in work, one waiting: a dead worker takes at most two jobs along


@dataclass
class _Child:
    process: subprocess.Popen[bytes]
    pipe: Connection
    jobs: deque[Job] = field(default_factory=deque)
    retiring: bool = False


class ProcessExecutor:
    """Runs an annotator's worker in `run.workers` processes."""

    def __init__(self, annotator: Annotator, context: StepContext) -> None:
        try:
            self._setup = pickle.dumps((annotator, context, context.run.worker_memory_mb))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise UserError(
                f"{annotator.name()} cannot be sent to a worker process: {error}",
                remedy="Define the transform in a module that can be imported, not in a notebook.",
            ) from None
        self._environment = worker_environment(annotator.credentials(context), context.llm.key_names())
        self.notes: Row = {}
        self._count = context.run.workers or default_workers()
        self._children: list[_Child] = []
        self._crashed: set[bytes] = set()
        self._deaths = 0  # workers in a row that died without an answer
        self._again: deque[Job] = deque()

    def run(self, jobs: Iterator[Job]) -> Generator[Answered, None, None]:
        """Outcomes in the order in which they are finished. `jobs` is read only as fast as work is done."""
        try:
            exhausted = False
            while True:
                exhausted = self._feed(jobs, exhausted)
                if exhausted and not self._again and not any(child.jobs for child in self._children):
                    return
                for pipe in wait([child.pipe for child in self._children]):
                    child = next(child for child in self._children if child.pipe is pipe)
                    yield from ([answered] for answered in self._receive(child))
        finally:
            self._close()

    def _close(self) -> None:
        """Ends every worker; what they were doing is lost, what they had answered is not."""
        for child in self._children:
            child.pipe.close()
            child.process.kill()
            child.process.wait()
        self._children = []

    def _feed(self, jobs: Iterator[Job], exhausted: bool) -> bool:
        for slot in range(self._count):
            while slot >= len(self._children) or len(self._children[slot].jobs) < QUEUE_PER_WORKER:
                job = self._again.popleft() if self._again else None
                if job is None and not exhausted:
                    job = next(jobs, None)
                    exhausted = job is None
                if job is None:
                    break
                if slot >= len(self._children):
                    self._children.append(self._start())
                child = self._children[slot]
                if child.retiring:
                    self._again.appendleft(job)
                    break
                child.jobs.append(job)
                with contextlib.suppress(OSError):  # a dead worker is found when its pipe is read
                    child.pipe.send((job.key, job.row))
        return exhausted

    def _start(self) -> _Child:
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            [sys.executable, "-m", "datakit.run.executors.process_worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C and a closed terminal reach the parent alone, which ends its workers
            env={**self._environment, **_ONE_THREAD},
        )
        theirs.close()
        pipe = Connection(ours.detach())
        with contextlib.suppress(OSError):
            pipe.send_bytes(pickle.dumps(sys.path))  # so that whatever the parent imports, the worker can too
            pipe.send_bytes(self._setup)
        return _Child(process, pipe)

    def _receive(self, child: _Child) -> Iterator[tuple[bytes, Outcome]]:
        try:
            message: Any = child.pipe.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            yield from self._bury(child)
            return
        if isinstance(message, DatakitError):
            raise message
        if message == "retire":
            child.retiring = True
            return
        self._deaths = 0
        key, outcome = message
        child.jobs.popleft()
        yield key, outcome

    def _bury(self, child: _Child) -> Iterator[tuple[bytes, Outcome]]:
        """A worker is gone: its first job may be the cause, the others only waited."""
        code = child.process.wait()
        child.pipe.close()
        self._children.remove(child)
        if not child.jobs:
            return
        if not child.retiring:
            self._deaths += 1
            if self._deaths > MAX_DEATHS + self._count:
                raise UserError(
                    f"{self._deaths} worker processes died one after the other (last exit code {code})",
                    remedy="See the messages above; with `run.workers: 1` less memory is needed.",
                )
            job = child.jobs.popleft()
            if job.key in self._crashed:
                yield job.key, Retry("worker_crashed", _last_words(job, code))
            else:
                self._crashed.add(job.key)
                self._again.append(job)
        self._again.extend(child.jobs)


def _last_words(job: Job, code: int) -> str:
    """What a worker's end says of the record that it died on."""
    names = ", ".join(map(str, job.row.get("images") or ()))
    on = f" ({names})" if names else ""
    if code == -signal.SIGKILL:
        return (
            f"a worker was killed twice on this record{on}: the system does that when memory runs out; free "
            "some, set `run.workers` lower, or make its pictures smaller"
        )
    return f"a worker died twice on this record{on} (exit code {code})"


_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
_ONE_THREAD = dict.fromkeys(_THREAD_SETTINGS, "1")


def default_workers() -> int:
    """One worker per core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
