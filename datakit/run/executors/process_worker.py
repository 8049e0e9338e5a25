"""The other end of a worker process: takes rows from a socket, answers one outcome each.

Run by datakit.run.executors.process as `python -m datakit.run.executors.process_worker FD`.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from datakit.core.errors import DatakitError, UserError
from datakit.core.workers import row_worker
from datakit.run.executors.base import timed_answer


class _ParentGone(Exception):
    """The parent has enough, or was killed."""


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    socket = int(sys.argv[1])
    threading.Thread(target=_end_with_parent, args=(socket,), name="parent", daemon=True).start()
    pipe = Connection(socket)
    try:
        _work(pipe)
    except DatakitError as error:
        _send(pipe, error)
    except (ImportError, AttributeError, pickle.UnpicklingError) as error:
        _send(pipe, UserError(f"a worker process could not start: {error}"))


def _end_with_parent(socket: int) -> None:
    """Ends the process when the other end of the socket is closed, however deep it is in a picture."""
    poller = select.poll()
    poller.register(socket, select.POLLHUP)
    poller.poll()
    os._exit(0)


def _work(pipe: Connection) -> None:
    sys.path[:] = pickle.loads(_receive(pipe))
    annotator, context, memory_mb = pickle.loads(_receive(pipe))
    worker = row_worker(annotator.start(context))
    while True:
        key, row = pickle.loads(_receive(pipe))
        _send(pipe, (key, timed_answer(worker, row)))
        if resident_mb() > memory_mb:
            _send(pipe, "retire")
            return


def _receive(pipe: Connection) -> bytes:
    try:
        return pipe.recv_bytes()
    except (EOFError, OSError):  # OSError in the middle of a message
        raise _ParentGone from None


def _send(pipe: Connection, message: Any) -> None:
    try:
        pipe.send(message)
    except OSError:
        raise _ParentGone from None


def resident_mb() -> float:
    import psutil

    return float(psutil.Process().memory_info().rss) / 1e6


if __name__ == "__main__":
    with suppress(_ParentGone):
        main()
