"""What one process carries for work that others do: keys, lookups, results stored and joined again.

    python scripts/bench_driver.py [--keys 200000] [--parts 10]

Runs a step whose answers cost nothing over so many records of 40 characters: first with an empty store (each
record is looked up, handed out, its answer of 400 characters stored and joined), then with a full one (looked
up and joined). What is left is the driver's share of a build on a cluster, without the network. Seconds of
CPU per million keys, and the memory that a million keys hold; the second half beside the first shows whether
they grow with the number. The floor is writing the same results into a bare SQLite table, in one transaction.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import polars as pl
import psutil

from datakit.artifacts.report import StepReport
from datakit.core.outcome import Done, Outcome
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Row
from datakit.core.workers import RowWorker
from datakit.run.annotation import Annotation
from datakit.run.progress import Progress
from datakit.run.record_frames import RecordFrames
from datakit.run.store import Store

ANSWER = "画面上有一个弹窗，用户点了关闭。" * 25
BATCH = 16_384


class Answered(RowWorker):
    """Says the same of each record."""

    def answer(self, row: Row) -> Outcome:
        return Done({"description": f"{row['id']} {ANSWER}"}, {"model": "none", "seconds": 1.4})


class Free(Annotator):
    """A step whose work costs nothing, so that what is left is the driver's."""

    op: ClassVar[str] = "bench.free"
    version: ClassVar[int] = 1

    def inputs(self, context: StepContext) -> dict[str, Any]:
        return {"text": pl.String}

    def outputs(self, context: StepContext) -> dict[str, Any]:
        return {"description": pl.String}

    def start(self, context: StepContext) -> RowWorker:
        return Answered()


class Costs:
    """CPU seconds and memory between two looks."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self.peak = self._base = self._process.memory_info().rss
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def look(self) -> None:
        """Notes the memory that is held now."""
        self.peak = max(self.peak, self._process.memory_info().rss)

    def told(self, keys: int) -> dict[str, float]:
        """Per million keys."""
        self.look()
        millions = keys / 1e6
        return {
            "cpu_s_a_million": round((time.process_time() - self._cpu) / millions, 1),
            "wall_s_a_million": round((time.perf_counter() - self._wall) / millions, 1),
            "memory_mb_a_million": round((self.peak - self._base) / 2**20 / millions, 1),
        }


def stage(folder: Path, keys: int) -> RecordFrames:
    """So many records on disk, in parts."""
    frames = RecordFrames(folder)
    for start in range(0, keys, BATCH):
        numbers = range(start, min(keys, start + BATCH))
        rows = {
            "id": [f"{number:016x}" for number in numbers],
            "source_file": ["screens.jsonl"] * len(numbers),
            "source_line": list(numbers),
            "text": [f"第 {number} 条记录的文字，订单详情页面，实付款 {number} 元" for number in numbers],
        }
        frames.append(pl.DataFrame(rows))
    return frames


def once(frames: RecordFrames, context: StepContext, store: Store) -> dict[str, float]:
    """Looks all records up, has answered what is missing, and joins."""
    costs = Costs()
    work = Annotation(Free(), context, store, Progress(quiet=True), StepReport(number=1, name="bench.free"))
    work.pay(frames)
    costs.look()
    joined = sum(batch.frame.height for batch in looked(work.join(frames), costs))
    assert joined == frames.rows
    return costs.told(frames.rows)


def looked(batches: Iterator[Any], costs: Costs) -> Iterator[Any]:
    """The same, with a look at the memory after each."""
    for batch in batches:
        costs.look()
        yield batch


def floor(path: Path, keys: int) -> dict[str, float]:
    """A bare table of keys and answers."""
    costs = Costs()
    connection = sqlite3.connect(path)
    connection.execute("create table results (key blob primary key, answer text) without rowid")
    rows = ((hashlib.sha256(b"%d" % number).digest(), f"{number} {ANSWER}") for number in range(keys))
    with connection:
        connection.executemany("insert into results values (?, ?)", rows)
    connection.close()
    return costs.told(keys)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--keys", type=int, default=200_000)
    parser.add_argument("--json", action="store_true", help="nothing but the figures")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench.") as name:
        folder = Path(name)
        context = StepContext(base=folder, project=folder)
        warm = Store(folder / "warm")
        once(stage(folder / "warm_stage", BATCH), context, warm)  # what the first batch holds is no key's
        warm.close()
        frames = stage(folder / "stage", given.keys)
        store = Store(folder / "store")
        figures = {
            "keys": given.keys,
            "first": once(frames, context, store),
            "again": once(frames, context, store),
            "store_bytes_a_key": round(
                sum(file.stat().st_size for file in (folder / "store").iterdir()) / given.keys
            ),
            "floor": floor(folder / "floor.sqlite", given.keys),
        }
        store.close()
    print(json.dumps(figures, indent=None if given.json else 1))


if __name__ == "__main__":
    main()
