"""Worker processes for OCR, hashing and other CPU work: one thread each, replaced when they grow or die.

Workers are started with a plain command instead of fork or spawn, so that a notebook, a script without a
main guard and a threaded parent all work. A record whose worker dies is tried once more in a fresh worker;
the results of all others are kept: a worker sends each answer when it has it, and so what it had answered
before it died is there to be read.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import wait

from datakit.core.credentials import worker_environment
from datakit.core.errors import DatakitError, UserError
from datakit.core.outcome import Retry, is_bought
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Row
from datakit.run.executors.base import LINGER_S, Answered, Job
from datakit.run.executors.messages import Inbox, packed

_BEGIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from datakit.run.executors.process_worker import main; main()"
)
"""Whatever the parent imports, the worker can too, and nothing else: not a folder `datakit` that stands where
the command was given, as in a clone of another version."""
MAX_DEATHS = 8
QUEUE_PER_WORKER = 2  # one in work, one waiting
MOST_QUEUED = 256


@dataclass
class _Child:
    process: subprocess.Popen[bytes]
    socket: socket.socket
    inbox: Inbox
    jobs: deque[Job] = field(default_factory=deque)
    """What it has not answered: the first is in work."""
    room: int = QUEUE_PER_WORKER
    """So many jobs it may have at once: twice what it answers while the caller lingers."""


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
        credentials = annotator.credentials(context)
        self._environment = worker_environment(credentials, context.llm.key_names())
        self.notes: Row = {}
        self._count = context.run.workers or default_workers()
        self._children: list[_Child] = []
        self._crashed: set[bytes] = set()
        self._deaths = 0  # workers in a row that died without an answer
        self._again: deque[Job] = deque()
        self._error: DatakitError | None = None
        """Raised when what was answered before it is handed out."""
        # What may have been bought is stored the moment it comes, and no more of it is begun than must be.
        self._lingers = not (annotator.asks_model or annotator.endpoint(context) or credentials)

    def run(self, jobs: Iterator[Job]) -> Generator[Answered, None, None]:
        """Outcomes in the order in which they are finished. `jobs` is read only as fast as work is done."""
        try:
            while True:
                self._feed(jobs)
                if not any(child.jobs for child in self._children):
                    return
                ready = wait([child.socket for child in self._children])
                if self._lingers:
                    time.sleep(LINGER_S)
                spoke = [child for child in self._children if child.socket in ready]
                answered = [pair for child in spoke for pair in self._receive(child)]
                self._lingers = self._lingers and not any(is_bought(outcome) for _, outcome in answered)
                if answered:
                    yield answered
                if self._error is not None:
                    raise self._error
        finally:
            self._close()

    def _close(self) -> None:
        """Ends every worker; what they were doing is lost, what they had answered is not."""
        for child in self._children:
            _end(child)
        self._children = []

    def _feed(self, jobs: Iterator[Job]) -> None:
        """Gives every worker what it has room for, and starts those that are missing."""
        for slot in range(self._count):
            child = self._children[slot] if slot < len(self._children) else None
            room = child.room if child and self._lingers else QUEUE_PER_WORKER
            room -= len(child.jobs) if child else 0
            more = list(islice(iter(lambda: self._next(jobs), None), max(room, 0)))
            if not more:
                continue
            if child is None:
                child = self._start()
                self._children.append(child)
            child.jobs.extend(more)
            _send(child, pickle.dumps([(job.key, job.row) for job in more]))

    def _next(self, jobs: Iterator[Job]) -> Job | None:
        return self._again.popleft() if self._again else next(jobs, None)

    def _start(self) -> _Child:
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BEGIN, str(theirs.fileno()), json.dumps(sys.path)],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C and a closed terminal reach the parent alone, which ends its workers
            env={**self._environment, **_ONE_THREAD},
        )
        theirs.close()
        child = _Child(process, ours, Inbox(ours))
        _send(child, self._setup)
        return child

    def _receive(self, child: _Child) -> Answered:
        """What a worker has said; of one that is gone, what becomes of the record that it died on."""
        answered: Answered = []
        try:
            messages = [pickle.loads(message) for message in child.inbox.read()]
        except pickle.UnpicklingError:  # something in the worker writes where it must not
            child.process.kill()
            messages = []
        if not messages:
            return self._bury(child)
        for message in messages:
            if isinstance(message, DatakitError):
                self._error = message
            elif message == "retire":
                self._retire(child)
            else:
                child.jobs.popleft()
                answered.append(message)
        if answered:
            self._deaths = 0
        child.room = max(QUEUE_PER_WORKER, min(2 * len(answered), MOST_QUEUED))
        return answered

    def _retire(self, child: _Child) -> None:
        """A worker has grown: others take over what it has not begun."""
        _end(child)
        self._children.remove(child)
        self._again.extend(child.jobs)

    def _bury(self, child: _Child) -> Answered:
        """A worker is gone: its first job may be the cause, the others only waited."""
        code = child.process.wait()
        suspect = child.jobs.popleft() if child.jobs else None
        self._retire(child)
        if suspect is None:
            return []
        self._deaths += 1
        if self._deaths > MAX_DEATHS + self._count:
            self._error = UserError(
                f"{self._deaths} worker processes died one after the other (last exit code {code})",
                remedy="See the messages above; with `run.workers: 1` less memory is needed.",
            )
        if suspect.key in self._crashed:
            return [(suspect.key, Retry("worker_crashed", _last_words(suspect, code)))]
        self._crashed.add(suspect.key)
        self._again.append(suspect)
        return []


def _send(child: _Child, message: bytes) -> None:
    with contextlib.suppress(OSError):  # a dead worker is found when its socket is read
        child.socket.sendall(packed(message))


def _end(child: _Child) -> None:
    child.socket.close()
    child.process.kill()
    child.process.wait()


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
