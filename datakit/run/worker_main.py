"""The other end of a worker process: takes rows from a socket, answers one outcome each.

Run by datakit.run.workers as `python -m datakit.run.worker_main FD`.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from multiprocessing.connection import Connection

from datakit.core.errors import DatakitError, UserError
from datakit.core.outcome import Outcome, Retry
from datakit.core.transform import Row
from datakit.core.workers import RowWorker, row_worker


def answer(worker: RowWorker, row: Row) -> Outcome:
    """The worker's outcome; an unforeseen exception becomes Retry, so that the record is not lost."""
    try:
        return worker.answer(row)
    except DatakitError:
        raise
    except Exception as error:  # a bug in a transform or an engine: shown in the report as a retry
        if os.environ.get("DATAKIT_DEBUG"):
            traceback.print_exc()
        return Retry("unexpected_error", f"{type(error).__name__}: {error}")


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    pipe = Connection(int(sys.argv[1]))
    try:
        sys.path[:] = pickle.loads(pipe.recv_bytes())
        annotator, tools, memory_mb = pickle.loads(pipe.recv_bytes())
        worker = row_worker(annotator.start(tools))
        while True:
            key, row = pipe.recv()
            pipe.send((key, answer(worker, row)))
            if _resident_mb() > memory_mb:
                pipe.send("retire")
                return
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone or has enough
    except DatakitError as error:
        pipe.send(error)
    except (ImportError, AttributeError, pickle.UnpicklingError) as error:
        pipe.send(UserError(f"a worker process could not start: {error}"))


def _resident_mb() -> float:
    import psutil

    return float(psutil.Process().memory_info().rss) / 1e6


if __name__ == "__main__":
    main()
