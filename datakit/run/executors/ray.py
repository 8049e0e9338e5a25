"""Work on a Ray cluster: actors answer records, this process looks up, stores, counts and pays.

Plain actors, not Ray Data: outcomes must be in the store of this process the moment they are there, calls ask
it for leases and budget while they run, and a lost node may cost no other record. Ray Data hands whole blocks
on, and answers a lost one again.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
from collections import Counter, deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from datakit.core.counted import counted
from datakit.core.errors import BudgetSpent, DatakitError, StopProvider, UserError
from datakit.core.outcome import Retry
from datakit.core.remote_pictures import environment, url_of
from datakit.core.settings import LlmSettings
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Row
from datakit.llm.providers import provider_of
from datakit.run.executors import ray_cluster
from datakit.run.executors.base import Answered, Job, notes_of
from datakit.run.executors.event_loop import MOST_WAITING
from datakit.run.executors.ray_actor import Actor, Letter, Setup, versions
from datakit.run.executors.ray_desk import SentJob
from datakit.run.executors.ray_office import Office
from datakit.run.keys import tools_by_model

MOST_TRIES = 3
"""So many actors may end at a record before it is left to the next run. Nodes that are taken away do that to
records that can do nothing for it."""
MOST_DEATHS = 8
CALLS_PER_ACTOR = 8
"""Calls in flight for which an actor more is worth its memory."""
ROOM, MOST_ROOM = 2, 64
"""Records with an actor: one in work and one waiting; twice as many each time that it had nothing to do."""
_LOOK_S = 1.0


@dataclass
class _Member:
    """An actor as the driver sees it."""

    number: int
    slot: int
    handle: Any
    ref: Any
    """What is waited for: that it has started, then its letters."""
    room: int
    node: str = ""
    """"" until it has started."""
    jobs: dict[bytes, Job] = field(default_factory=dict)
    """What it has and has not answered, the oldest first."""
    in_flight: int = 0
    waiting: int = 0


class RayExecutor:
    """Runs an annotator's worker in actors; a drop-in for the executor that the annotator names."""

    def __init__(self, annotator: Annotator, context: StepContext, *, calls: bool) -> None:
        self._annotator, self._context, self._is_calls = annotator, context, calls
        self.notes: Row = {}
        self._members: dict[int, _Member] = {}
        self._office = Office(context)
        self._again: deque[Job] = deque()
        self._tries: Counter[bytes] = Counter()
        self._deaths = self._begun = 0
        self._count = 1
        self._exhausted = False
        self._stopped: DatakitError | None = None

    def run(self, jobs: Iterator[Job]) -> Generator[Answered, None, None]:
        """Outcomes in batches, as letters bring them. `jobs` is read only as fast as actors have room."""
        cluster = ray_cluster.connect(self._context.run.workers)
        self._count = self._context.run.workers or max(1, cluster.cpus)
        if self._is_calls:
            self._count = min(self._count, max(1, self._context.run.concurrency // CALLS_PER_ACTOR))
        self._context.stats.news = cluster.news()
        yield []
        try:
            yield from self._answers(jobs)
        except BaseException:
            self._close()
            cluster.close()
            raise
        self._close()

    def _answers(self, jobs: Iterator[Job]) -> Generator[Answered, None, None]:
        ray = ray_cluster.package()
        while True:
            self._gather()
            self._feed(jobs)
            is_idle = not any(member.jobs for member in self._members.values())
            if is_idle and (self._stopped or (self._exhausted and not self._again)):
                break
            refs = {member.ref: member for member in self._members.values()}
            ready, _ = ray.wait(list(refs), num_returns=1, timeout=_LOOK_S)
            if ready:
                ready, _ = ray.wait(list(refs), num_returns=len(refs), timeout=0)
            answered = [pair for ref in ready for pair in self._heard(refs[ref])]
            self._show()
            yield answered
            self._office.stored([outcome for _, outcome in answered])
            self._send_replies()
        self._take_notes()
        if self._stopped:
            raise self._stopped

    def _gather(self) -> None:
        """Starts actors, twice as many each time that some are there, so that few records start few."""
        there = sum(bool(member.node) for member in self._members.values())
        wanted = min(self._count, max(1, 2 * there))
        if self._stopped or (self._exhausted and not self._again and self._members):
            return
        slots = {member.slot for member in self._members.values()}
        for slot in range(wanted):
            if slot not in slots:
                self._start(slot)

    def _start(self, slot: int) -> None:
        ray = ray_cluster.package()
        share = 0
        if self._is_calls:
            share, rest = divmod(self._context.run.concurrency, self._count)
            share = max(1, share + (slot < rest))
        options: dict[str, Any] = {"num_cpus": 1, "max_restarts": 0, "max_concurrency": 4}
        handle = ray.remote(Actor).options(**options, scheduling_strategy="SPREAD").remote()
        ref = handle.start.remote(self._setup(share), self._environment())
        self._begun += 1
        self._members[self._begun] = _Member(self._begun, slot, handle, ref, share or ROOM)

    def _setup(self, share: int) -> Setup:
        annotator, context = self._annotator, self._context
        contexts = {"": context}
        if self._is_calls:
            run = context.run.model_copy(update={"concurrency": share})
            contexts = {
                model: own.changed(run=run, llm=_shared(own.llm, self._count))
                for model, own in tools_by_model(annotator, context).items()
            }
        try:
            work = pickle.dumps((annotator, contexts))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise UserError(
                f"{annotator.name()} cannot be sent to another process: {error}",
                remedy="Define the transform in a module that can be imported, not in a notebook.",
            ) from None
        keep = tuple(annotator.credentials(context))
        path = tuple(os.path.abspath(folder) for folder in sys.path)
        return Setup(versions(), work, share, path, tuple(context.llm.key_names()), keep)

    def _environment(self) -> dict[str, str]:
        """The variables of this process that the step's calls need: no other credential leaves it."""
        names = set(self._annotator.credentials(self._context))
        if self._is_calls:
            for own in tools_by_model(self._annotator, self._context).values():
                names |= own.llm.key_names()
                if own.llm.resolved_provider() != "offline":
                    for endpoint in own.llm.each_endpoint():
                        provider = provider_of(endpoint)
                        names |= {provider.key_name, provider.base_url_env, *provider.variables}
        return {name: os.environ[name] for name in names if name in os.environ}

    def _feed(self, jobs: Iterator[Job]) -> None:
        """Gives jobs to actors that have room."""
        for member in self._members.values():
            sent: list[SentJob] = []
            most = member.room + min(member.waiting, MOST_WAITING * member.room)
            while member.node and not self._stopped and len(member.jobs) < most:
                job = self._job_for(member, jobs)
                if job is None:
                    break
                member.jobs[job.key] = job
                sent.append(self._sent(job))
            if sent:
                stores = environment(url for one in sent for url in one.urls.values())
                member.handle.begin.remote(sent, stores)

    def _sent(self, job: Job) -> SentJob:
        files = self._context.files
        digests = {path: files.sha256(path) for path in job.row.get("images") or ()}
        seen = {path: one for path, one in digests.items() if not one.startswith("missing:")}
        urls = {path: url for path in seen if (url := url_of(path)) is not None}
        return SentJob(job, seen, urls)

    def _job_for(self, member: _Member, jobs: Iterator[Job]) -> Job | None:
        """The next job. One that an actor of work on its machine has ended with is given alone, so that the
        next end shows whether it is the cause: what was answered before it may have been lost too."""
        if not self._is_calls and any(self._tries[key] for key in member.jobs):
            return None
        if not self._again:
            return self._next(jobs)
        if not self._is_calls and member.jobs and self._tries[self._again[0].key]:
            return None
        return self._again.popleft()

    def _next(self, jobs: Iterator[Job]) -> Job | None:
        try:
            job = None if self._exhausted else next(jobs, None)
        except BudgetSpent as spent:
            self._stopped, job = spent, None
        self._exhausted = job is None
        return job

    def _heard(self, member: _Member) -> Answered:
        """What an actor has to say."""
        ray = ray_cluster.package()
        try:
            said = ray.get(member.ref)
        except ray.exceptions.RayError as error:
            return self._bury(member, error)
        answered: Answered = []
        if not member.node:
            member.node, fault = said
            if fault is not None:
                raise fault
        else:
            member.in_flight, member.waiting = said.in_flight, said.waiting
            for letter in said.letters:
                answered += self._read(member, letter)
            if answered and not member.jobs and not self._is_calls:
                member.room = min(2 * member.room, MOST_ROOM)
        if member.number in self._members:
            member.ref = member.handle.letters.remote()
        return answered

    def _read(self, member: _Member, letter: Letter) -> Answered:
        if letter.kind == "outcome":
            self._deaths = 0
            key, outcome = letter.values
            del member.jobs[key]
            return [(key, outcome)]
        if letter.kind == "error":
            key, error = letter.values
            del member.jobs[key]
            if not self._is_calls or not isinstance(error, BudgetSpent | StopProvider):
                raise error
            self._stopped = self._stopped or error
        elif letter.kind == "retire":
            self._end(member)
            self._again.extendleft(reversed(member.jobs.values()))
        else:
            self._office.read(member.number, letter)
        return []

    def _bury(self, member: _Member, error: Exception) -> Answered:
        """An actor is gone, or its node: what it had not answered is given to others."""
        words = str(error)
        if not member.node and "ModuleNotFoundError" in words:
            line = next(line for line in words.splitlines() if "ModuleNotFoundError" in line)
            raise UserError(
                f"a node of the Ray cluster cannot start an actor: {line.strip()}",
                remedy="Install datakit, in this version and with the same extras, on every node.",
            )
        self._end(member)
        self._deaths += 1
        if self._deaths > MOST_DEATHS + self._count:
            raise UserError(
                f"{self._deaths} Ray actors ended one after the other: {words.splitlines()[0]}",
                remedy="`ray status` and the logs of the nodes say why; memory is the usual cause.",
            )
        lost = list(member.jobs.values())
        if lost and not self._stopped:
            self._context.stats.news = f"Ray: lost an actor on {member.node}; others answer its records"
        self._tries.update(job.key for job in lost)  # each is perhaps the cause
        tried_enough = [job for job in lost if self._tries[job.key] >= MOST_TRIES]
        self._again.extend(job for job in lost if self._tries[job.key] < MOST_TRIES)
        told = f"{MOST_TRIES} Ray actors ended while they were at this record"
        return [(job.key, Retry("worker_crashed", told)) for job in tried_enough]

    def _send_replies(self) -> None:
        replies = self._office.replies
        for number in list(replies):
            if (member := self._members.get(number)) is not None:
                member.handle.reply.remote(replies.pop(number))

    def _show(self) -> None:
        stats, members = self._context.stats, self._members.values()
        stats.in_flight = sum(member.in_flight for member in members)
        stats.waiting = sum(member.waiting for member in members)
        there = sum(bool(member.node) for member in members)
        waits = "waits for the Ray cluster to start an actor"
        stats.message = counted(there, "Ray actor") if there else waits

    def _take_notes(self) -> None:
        ray = ray_cluster.package()
        if not self._is_calls:
            return
        there = [member.handle.close.remote() for member in self._members.values() if member.node]
        said = []
        for ref in there:
            with contextlib.suppress(ray.exceptions.RayError):  # one that ended meanwhile says nothing
                said.append(ray.get(ref, timeout=10))
        notes: list[Any] = [SimpleNamespace(notes=notes) for one in said for notes in one]
        self.notes = notes_of(notes)

    def _end(self, member: _Member) -> None:
        ray = ray_cluster.package()
        self._members.pop(member.number, None)
        self._office.bury(member.number)
        with contextlib.suppress(Exception):  # the cluster may be gone
            ray.kill(member.handle)

    def _close(self) -> None:
        """Ends every actor; what they were doing is lost, what they had answered is not."""
        for member in list(self._members.values()):
            self._end(member)
        stats = self._context.stats
        stats.in_flight, stats.waiting, stats.message = 0, 0, ""


def _shared(llm: LlmSettings, count: int) -> LlmSettings:
    """An actor's part of what the endpoints allow to all."""

    def part(settings: Any) -> dict[str, Any]:
        rates = ("max_requests_per_minute", "max_tokens_per_minute")
        return {name: rate / count for name in rates if (rate := getattr(settings, name)) is not None}

    endpoints = [
        one.model_copy(
            update={
                **part(one),
                **({"concurrency": max(1, one.concurrency // count)} if one.concurrency else {}),
            }
        )
        for one in llm.endpoints
    ]
    return llm.model_copy(update={**part(llm), "endpoints": endpoints})
