"""The other end of a worker process: takes rows from a socket, some in a message, and answers each with its
outcome.

Started by datakit.run.executors.process, with the number of the socket as first argument.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import threading
from contextlib import suppress
from functools import cache
from queue import SimpleQueue
from typing import Any

from datakit.core.errors import DatakitError, UserError
from datakit.core.workers import row_worker
from datakit.run.executors.base import timed_answer
from datakit.run.executors.messages import Inbox, packed


class _ParentGone(Exception):
    """The parent has enough, or was killed."""


def main() -> None:
    """Works until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    parent = socket.socket(fileno=int(sys.argv[1]))
    letters: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_take_in, args=(parent, letters), name="parent", daemon=True).start()
    with suppress(_ParentGone):
        try:
            _work(parent, letters)
        except DatakitError as error:
            _send(parent, error)
        except (ImportError, AttributeError, pickle.UnpicklingError) as error:
            _send(parent, UserError(f"a worker process could not start: {error}"))


def _take_in(parent: socket.socket, letters: SimpleQueue[bytes]) -> None:
    """Takes what comes, so that the parent never waits for room; ends the process when the parent is gone,
    however deep it is in a picture."""
    inbox = Inbox(parent)
    while messages := inbox.read():
        for message in messages:
            letters.put(message)
    os._exit(0)


def _work(parent: socket.socket, letters: SimpleQueue[bytes]) -> None:
    annotator, context, memory_mb = pickle.loads(letters.get())
    worker = row_worker(annotator.start(context))
    while True:
        for key, row in pickle.loads(letters.get()):
            _send(parent, (key, timed_answer(worker, row)))
            if resident_mb() > memory_mb:
                _send(parent, "retire")
                return


def _send(parent: socket.socket, message: Any) -> None:
    try:
        parent.sendall(packed(pickle.dumps(message)))
    except OSError:
        raise _ParentGone from None


def resident_mb() -> float:
    """The memory of this process."""
    return float(_this_process().memory_info().rss) / 1e6


@cache
def _this_process() -> Any:
    import psutil

    return psutil.Process()
