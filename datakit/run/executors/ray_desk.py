"""The desk at which a Ray actor works: a step's worker, and stand-ins for what the driver alone holds."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import pickle
import queue
import tempfile
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from datakit.core import copied_files
from datakit.core.call_budget import CallBudget
from datakit.core.credentials import worker_environment
from datakit.core.errors import DatakitError
from datakit.core.files import FileDigests
from datakit.core.outcome import Done, Outcome, Rejected, Retry
from datakit.core.remote_pictures import read
from datakit.core.step_context import StepContext
from datakit.core.sub_results import SubResults, Turns
from datakit.core.transform import Annotator
from datakit.core.workers import async_row_worker, row_worker
from datakit.run.executors.base import Job, timed_answer, unexpected
from datakit.run.executors.event_loop import new_loop
from datakit.run.executors.process_worker import resident_mb
from datakit.run.executors.ray_actor import Post, Setup


class SentJob(NamedTuple):
    """A job on its way to an actor."""

    job: Job
    pictures: Mapping[str, str]
    """Path -> sha256 of the file as the driver sees it, of those that it sees."""
    urls: Mapping[str, str] = MappingProxyType({})
    """Path -> URL of those that are copies of an object store's."""


class NoPicture(Exception):
    """The driver cannot give a picture away; says why."""


class _Turns(Turns):
    def __init__(self, post: Post) -> None:
        self._post = post

    def take(self, question: bytes) -> bool:
        return bool(self._post.ask("take", question))

    def holder(self, question: bytes) -> int | None:
        return None  # a process of the driver's machine

    def answered(self, question: bytes) -> None:
        self._post.tell("answered", question)

    def release(self, question: bytes) -> None:
        self._post.tell("release", question)


class _Parts(SubResults):
    """The driver's: what is put is on its disk when this returns."""

    def __init__(self, post: Post) -> None:
        self._post, self._turns = post, _Turns(post)

    @property
    def turns(self) -> Turns:
        return self._turns

    def get(self, key: bytes) -> Done | Rejected | None:
        found: Done | Rejected | None = self._post.ask("get", key)
        return found

    def put(self, key: bytes, outcome: Done | Rejected) -> None:
        self._post.ask("put", key, outcome)

    def answers_to(self, question: bytes) -> list[Done | Rejected]:
        found: list[Done | Rejected] = self._post.ask("answers_to", question)
        return found

    def keep_unread(self, key: bytes, answer: Done) -> None:
        self._post.ask("keep_unread", key, answer)


class _Budget(CallBudget):
    """The driver's, so that it holds for all actors together."""

    def __init__(self, post: Post) -> None:
        super().__init__()
        self._post = post

    async def reserve(self, usd: float, budget_usd: float | None) -> None:
        if budget_usd is not None:
            await asyncio.wrap_future(self._post.asked("reserve", usd))

    def settle(self, reserved_usd: float, cost_usd: float) -> None:
        self._post.tell("settle", reserved_usd, cost_usd)


class _Desk:
    """What both kinds have in common: pictures that this machine does not have."""

    lingers = True

    def __init__(self, post: Post) -> None:
        self.post = post
        self._digests = FileDigests()
        self._folder = tempfile.TemporaryDirectory(prefix="datakit-")
        self._lock, self._number = threading.Lock(), 0
        self._held: dict[bytes, list[str]] = {}

    def fetched(self, sent: SentJob) -> Retry | None:
        """Lets the job's pictures be read here. A file of this machine serves when its content is the
        driver's, wherever it comes from, and so does an object of a store; the bytes of others travel.
        Says why where they cannot."""
        held = self._held[sent.job.key] = []
        for path, digest in sent.pictures.items():
            with self._lock:
                if copied_files.at_hand(path) != path:
                    copied_files.hold(path, "")
                    held.append(path)
                    continue
            if self._digests.sha256(path) == digest:
                continue
            data = _from_store(sent.urls[path], digest) if path in sent.urls else None
            try:
                data = data if data is not None else self.post.ask("picture", path)
            except NoPicture as error:
                return Retry("image_not_here", str(error))
            with self._lock:
                self._number += 1
                copy = os.path.join(self._folder.name, str(self._number))
                with open(copy, "wb") as file:
                    file.write(data)
                if copied_files.hold(path, copy) != copy:
                    os.remove(copy)
                held.append(path)
        return None

    def done(self, sent: SentJob) -> None:
        """Lets go of what was fetched for the job."""
        with self._lock:
            for path in self._held.pop(sent.job.key, ()):
                if copy := copied_files.let_go(path):
                    os.remove(copy)

    def standing(self) -> tuple[int, int]:
        """Calls in flight, and records that wait for their next try."""
        return 0, 0


def _from_store(url: str, digest: str) -> bytes | None:
    """An object of a store if it can be read here and is the driver's version."""
    try:
        data = read(url)
    except Exception:  # no package, no way there, no right to: the driver has the bytes
        return None
    return data if hashlib.sha256(data).hexdigest() == digest else None


class _RowDesk(_Desk):
    """Work on this machine: one record after the other, the pictures of the next fetched meanwhile."""

    def __init__(self, setup: Setup, post: Post) -> None:
        super().__init__(post)
        kept = worker_environment(setup.keep, setup.drop)
        for name in os.environ.keys() - kept.keys():
            del os.environ[name]
        os.environ.update(kept)
        annotator, contexts = _work(setup)
        (context,) = contexts.values()
        self._most_mb = context.run.worker_memory_mb
        self._worker = row_worker(annotator.start(context))
        self._jobs: queue.SimpleQueue[tuple[SentJob, Retry | None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="work", daemon=True).start()

    def begin(self, jobs: list[SentJob]) -> None:
        for job in jobs:
            self._jobs.put((job, self.fetched(job)))

    def _run(self) -> None:
        while True:
            sent, fault = self._jobs.get()
            try:
                outcome: Outcome = fault or timed_answer(self._worker, sent.job.row)
            except DatakitError as error:
                self.post.tell("error", sent.job.key, error)
                return
            finally:
                self.done(sent)
            self.post.tell("outcome", sent.job.key, outcome)
            if resident_mb() > self._most_mb:
                self.post.tell("retire")
                return

    def close(self) -> list[dict[str, Any]]:
        return []


class _CallDesk(_Desk):
    """Calls of models on an event loop of this actor, its share of all calls at once."""

    lingers = False

    def __init__(self, setup: Setup, post: Post) -> None:
        super().__init__(post)
        annotator, contexts = _work(setup)
        mine: dict[str, Any] = {"sub_results": _Parts(post), "budget": _Budget(post)}
        contexts = {model: context.changed(**mine) for model, context in contexts.items()}
        self._stats = next(iter(contexts.values())).stats
        self._loop = new_loop()
        threading.Thread(target=self._loop.run_forever, name="calls", daemon=True).start()
        self._workers = self._on_loop(self._started(annotator, contexts))

    async def _started(self, annotator: Annotator, contexts: Mapping[str, StepContext]) -> dict[str, Any]:
        return {model: async_row_worker(annotator.start(context)) for model, context in contexts.items()}

    def begin(self, jobs: list[SentJob]) -> None:
        for job in jobs:
            asyncio.run_coroutine_threadsafe(self._answer(job), self._loop)

    async def _answer(self, sent: SentJob) -> None:
        key, row, model = sent.job
        try:
            outcome: Outcome | None = None
            if sent.pictures:
                outcome = await asyncio.to_thread(self.fetched, sent)
            if outcome is None:
                outcome = await self._workers[model].answer(row)
        except DatakitError as error:
            self.post.tell("error", key, error)
            return
        except Exception as error:  # a bug in a transform or a client: shown in the report as a retry
            outcome = unexpected(error)
        finally:
            self.done(sent)
        self.post.tell("outcome", key, outcome)

    def standing(self) -> tuple[int, int]:
        return self._stats.in_flight, self._stats.waiting

    def close(self) -> list[dict[str, Any]]:
        return self._on_loop(self._closed())  # type: ignore[no-any-return]

    async def _closed(self) -> list[dict[str, Any]]:
        notes = [dict(worker.notes) for worker in self._workers.values()]
        for worker in self._workers.values():
            with contextlib.suppress(Exception):
                await worker.close()
        return notes

    def _on_loop(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _work(setup: Setup) -> tuple[Annotator, dict[str, StepContext]]:
    annotator, contexts = pickle.loads(setup.work)
    return annotator, contexts


def desk_for(setup: Setup, post: Post) -> _RowDesk | _CallDesk:
    """The desk for the kind of work, with its worker started: models are loaded here, once an actor."""
    return _CallDesk(setup, post) if setup.calls else _RowDesk(setup, post)
