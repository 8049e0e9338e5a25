"""The other end of a worker process: takes rows from a socket, answers one outcome each.

Run by datakit.run.executors.process as `python -m datakit.run.executors.process_worker FD`.
"""

from __future__ import annotations

import pickle
import signal
import sys
from multiprocessing.connection import Connection

from datakit.core.errors import DatakitError, UserError
from datakit.core.workers import row_worker
from datakit.run.executors.base import answer


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    pipe = Connection(int(sys.argv[1]))
    try:
        sys.path[:] = pickle.loads(pipe.recv_bytes())
        annotator, context, memory_mb = pickle.loads(pipe.recv_bytes())
        worker = row_worker(annotator.start(context))
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
