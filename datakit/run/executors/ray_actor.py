"""An actor of a Ray cluster: takes jobs from the driver, answers by letters, asks the driver by letters.

The actor itself needs three threads of Ray's: one waits for letters to take along, one brings jobs, one
brings replies. The step's worker lives in a fourth, or on an event loop there. The driver alone holds the
result store, the leases, the budget and the pictures: a letter asks for each of them, and most ask for none.
"""

from __future__ import annotations

import os
import platform
import queue
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from importlib import metadata
from typing import Any, NamedTuple

WAIT_S = 2.0
"""After so long without a letter the driver hears that there is none: its progress line lives."""
LINGER_S = 0.05
"""Work on this machine waits as long for further outcomes, which then travel together."""


class Letter(NamedTuple):
    """What an actor tells the driver; a `number` says that its worker waits for the reply."""

    kind: str
    values: tuple[Any, ...]
    number: int = 0


class Letters(NamedTuple):
    """What an actor has to say, and how its calls stand."""

    letters: list[Letter]
    in_flight: int = 0
    waiting: int = 0


@dataclass(frozen=True)
class Setup:
    """What an actor is to become."""

    versions: tuple[str, str]
    """Of datakit and of Python, at the driver."""
    work: bytes
    """Pickled: annotator and the context of each model."""
    calls: int
    """Calls in flight at most; 0 for work on the actor's machine."""
    path: tuple[str, ...]
    """Where the driver imports modules from; folders of it that are here too serve plug-ins."""
    drop: tuple[str, ...]
    """Environment variables that the recipe names as credentials."""
    keep: tuple[str, ...]
    """Those of them that the step needs, where the work is on the actor's machine."""


def versions() -> tuple[str, str]:
    """Of datakit and of Python, here."""
    return metadata.version("datakit"), platform.python_version()


class Post:
    """The letters of one actor on their way, and the replies that are waited for."""

    def __init__(self) -> None:
        self._out: queue.SimpleQueue[Letter] = queue.SimpleQueue()
        self._waiting: dict[int, Future[Any]] = {}
        self._number = 0
        self._lock = threading.Lock()

    def tell(self, kind: str, *values: Any) -> None:
        """A letter without a reply."""
        self._out.put(Letter(kind, values))

    def asked(self, kind: str, *values: Any) -> Future[Any]:
        """The reply, when it comes."""
        future: Future[Any] = Future()
        with self._lock:
            self._number += 1
            number = self._number
            self._waiting[number] = future
        self._out.put(Letter(kind, values, number))
        return future

    def ask(self, kind: str, *values: Any) -> Any:
        """The reply; waits for it."""
        return self.asked(kind, *values).result()

    def reply(self, number: int, value: Any) -> None:
        """What the driver said; an exception is raised where the worker waits."""
        future = self._waiting.pop(number)
        if isinstance(value, BaseException):
            future.set_exception(value)
        else:
            future.set_result(value)

    def take(self, linger: threading.Event | None) -> list[Letter]:
        """Letters as soon as there are some; with `linger`, after a moment for more."""
        try:
            letters = [self._out.get(timeout=WAIT_S)]
        except queue.Empty:
            return []
        if linger is not None and not letters[0].number:
            linger.wait(LINGER_S)
        while True:
            try:
                letters.append(self._out.get_nowait())
            except queue.Empty:
                return letters


class Actor:
    """One worker of a step, somewhere in the cluster."""

    def __init__(self) -> None:
        self._post = Post()
        self._asks = threading.Event()
        self._desk: Any = None

    def start(self, setup: Setup, environment: Mapping[str, str]) -> tuple[str, Any]:
        """The node's name, and the fault that keeps the actor from working there (a DatakitError) or None.

        `environment` holds the credentials that the step needs. They stand in this process alone: an argument
        of a call is neither logged nor kept by Ray, as what makes an actor and its runtime environment are.
        """
        from datakit.core.errors import DatakitError, UserError

        name = platform.node()
        here = versions()
        if here != setup.versions:
            words = "datakit {} on Python {}"
            return name, UserError(
                f"node {name} has {words.format(*here)}, this machine has {words.format(*setup.versions)}",
                remedy="Install the same versions on every node: other ones may give other results.",
            )
        os.environ.update(environment)
        sys.path += [folder for folder in setup.path if folder not in sys.path and os.path.isdir(folder)]
        from datakit.run.executors.ray_desk import desk_for

        try:
            self._desk = desk_for(setup, self._post)
        except DatakitError as error:
            return name, error
        except Exception as error:
            return name, UserError(
                f"node {name} cannot do this step: {type(error).__name__}: {error}",
                remedy="Install the packages of this machine, plug-ins too, on every node.",
            )
        return name, None

    def begin(self, jobs: list[Any], environment: Mapping[str, str] | None = None) -> None:
        """Further jobs, which wait until the worker has room; `environment` is what their pictures' store is
        read by."""
        os.environ.update(environment or {})
        self._desk.begin(jobs)

    def reply(self, replies: list[tuple[int, Any]]) -> None:
        """What the driver says to letters."""
        for number, value in replies:
            self._post.reply(number, value)

    def letters(self) -> Letters:
        """What there is to say since the last time; waits for something, but not for long."""
        letters = self._post.take(self._asks if self._desk.lingers else None)
        return Letters(letters, *self._desk.standing())

    def close(self) -> list[dict[str, Any]]:
        """What the workers have to say for the report."""
        notes: list[dict[str, Any]] = self._desk.close()
        return notes
