"""Results a second that are written into a result store in batches: a database beside the file.

    python scripts/bench_store.py [--results 50000] [--url postgresql://me@host/database] [--writers 1]

The floor is the file, which commits each result by itself. Without an address the script starts a PostgreSQL
of its own on this machine (its programs must be there), which syncs each batch to the disk.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datakit.core.outcome import Done
from datakit.core.sub_results import QUESTION
from datakit.run.postgres_store import PostgresStore
from datakit.run.result_store import ResultStore
from datakit.run.store import Store


def write(store: ResultStore, count: int, salt: int) -> float:
    """Seconds for so many answers of 400 characters with the figures of a call, stored for good."""
    text = "画面上有一个弹窗，用户点了关闭。" * 25
    meta = {"model": "qwen-vl-max", "tokens_in": 812, "tokens_out": 96, "cost_usd": 0.0012, "seconds": 1.4}
    began = time.perf_counter()
    for number in range(count):
        key = salt.to_bytes(8, "big") + os.urandom(8)
        store.put(key, "annotate.describe", Done({"raw": f"{number} {text}"}, {**meta, QUESTION: key.hex()}))
    store.flush()
    seconds = time.perf_counter() - began
    store.close()
    return seconds


def _writer(url: str, count: int, salt: int) -> None:
    write(PostgresStore(url, None), count, salt)


def many(url: str, count: int, writers: int) -> float:
    """Seconds for all writers together, each a process with a connection of its own."""
    context = multiprocessing.get_context("spawn")
    began = time.perf_counter()
    workers = [context.Process(target=_writer, args=(url, count // writers, n)) for n in range(writers)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=int, default=50_000)
    parser.add_argument("--url", help="an empty database; the password comes from PGPASSWORD")
    parser.add_argument("--writers", type=int, default=1)
    options = parser.parse_args()
    server = None
    if options.url is None:
        from tests.support.postgres_server import PostgresServer

        server = PostgresServer(sync=True)
        os.environ["PGPASSWORD"] = server.password
    url = options.url or (server.new_database() if server else "")
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = options.results / write(Store(Path(folder)), options.results, 1)
        cpu = time.process_time()
        database = options.results / write(PostgresStore(url, None), options.results, 1)
        cpu = time.process_time() - cpu
        figures = {
            "results": options.results,
            "file_per_s": round(file),
            "database_per_s": round(database),
            "ratio": round(database / file, 2),
            "client_cpu_us_a_result": round(cpu / options.results * 1e6, 1),
        }
        if options.writers > 1:
            seconds = many(url, options.results, options.writers)
            figures[f"database_per_s_of_{options.writers}_writers"] = round(options.results / seconds)
        print(json.dumps(figures, indent=1))
    finally:
        if server is not None:
            server.stop()


if __name__ == "__main__":
    main()
