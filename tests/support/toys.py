"""Small transforms for tests of the engine: they do real work of a kind that can be counted."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from datakit.core.outcome import Batch, Done, Outcome, Reject, Rejected, Retry, Table, reject_rows
from datakit.core.record import BASE, COLUMNS
from datakit.core.step_context import StepContext
from datakit.core.transform import (
    Annotator,
    Artifact,
    AsyncRowWorker,
    Columns,
    Emitter,
    Executor,
    FinalRecords,
    Guard,
    Reader,
    Renderer,
    Row,
    RowWorker,
    TableTransform,
    Worker,
)


class Numbers(Reader):
    """Records n0, n1, … with their number as text; every `broken`-th is a reject."""

    registered_name: ClassVar[str] = "toy.numbers"
    count: int
    broken: int = 0

    def columns(self, context: StepContext) -> Columns:
        return {name: COLUMNS[name] for name in BASE}

    def files(self, context: StepContext) -> list[Path]:
        return []

    def read(self, context: StepContext) -> Iterator[Batch]:
        size = context.run.batch_rows
        for start in range(0, self.count, size):
            numbers = range(start, min(start + size, self.count))
            bad = [n for n in numbers if self.broken and n % self.broken == 0]
            good = [n for n in numbers if n not in set(bad)]
            frame = pl.DataFrame(
                {
                    "id": [f"n{n}" for n in good],
                    "source_file": ["numbers"] * len(good),
                    "source_line": good,
                    "images": [[] for _ in good],
                    "label": ["even" if n % 2 == 0 else "odd" for n in good],
                    "text": [str(n) for n in good],
                },
                schema={name: COLUMNS[name] for name in BASE},
            )
            yield Batch(frame, [Reject(f"n{n}", "broken", "made so", "numbers", n) for n in bad])


class Work(Annotator):
    """Appends a line to `log` for each answer. Texts in `crash` kill the worker, in `fail` are retried."""

    registered_name: ClassVar[str] = "toy.work"
    keyed: ClassVar[tuple[str, ...]] = ("times",)
    log: str
    times: int = 1
    into: str = "worked"
    suffix: str = ""
    crash: tuple[str, ...] = ()
    fail: tuple[str, ...] = ()
    refuse: tuple[str, ...] = ()
    sleep_s: float = 0.0
    price_usd: float = 0.5

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("text",)

    def outputs(self, context: StepContext) -> Columns:
        return {self.into: pl.String()}

    def start(self, context: StepContext) -> RowWorker | AsyncRowWorker:
        return _Worker(self)

    def columns(self, raw: Any, row: Row, context: StepContext) -> Row | Rejected:
        return {self.into: raw + self.suffix}


class _Worker(RowWorker):
    def __init__(self, work: Work) -> None:
        self.work = work

    def answer(self, row: Row) -> Outcome:
        with open(self.work.log, "a") as log:
            log.write(f"{row['text']}\n")
        time.sleep(self.work.sleep_s)
        if row["text"] in self.work.crash:
            os._exit(9)
        if row["text"] in self.work.fail:
            return Retry("made_to_fail", "as asked")
        if row["text"] in self.work.refuse:
            return Rejected("refused", "as asked")
        price = self.work.price_usd
        return Done(row["text"] * self.work.times, {"cost_usd": price} if price else {})


class ProcessWork(Work):
    """The same in worker processes."""

    registered_name: ClassVar[str] = "toy.process_work"
    executor: ClassVar[Executor] = "process"


class AsyncWork(Work):
    """The same on the event loop; notes how many were open at once in `log` + ".open"."""

    registered_name: ClassVar[str] = "toy.async_work"
    executor: ClassVar[Executor] = "event_loop"

    @property
    def asks_model(self) -> bool:
        return True

    def start(self, context: StepContext) -> AsyncRowWorker:
        return _AsyncWorker(self)


class _AsyncWorker(AsyncRowWorker):
    def __init__(self, work: Work) -> None:
        self.work, self.worker = work, _Worker(work)
        self.open = self.most = 0

    async def answer(self, row: Row) -> Outcome:
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(0.01)
        self.open -= 1
        return self.worker.answer(row)

    async def close(self) -> None:
        Path(self.work.log + ".open").write_text(str(self.most))


class OnlyOdd(Guard):
    """Rejects even numbers."""

    registered_name: ClassVar[str] = "toy.only_odd"

    def start(self, context: StepContext, frame: pl.LazyFrame) -> Worker:
        def check(batch: pl.DataFrame) -> Batch:
            even = batch.filter(pl.col("label") == "even")
            return Batch(
                batch.filter(pl.col("label") == "odd"), reject_rows(even, "even", ["even"] * even.height)
            )

        return check


class Rare(Guard):
    """Rejects the records of labels that more than half of all records have."""

    registered_name: ClassVar[str] = "toy.rare"
    compares: ClassVar[bool] = True

    def start(self, context: StepContext, frame: pl.LazyFrame) -> Worker:
        shares = frame.group_by("label").len().with_columns(pl.col("len") / pl.col("len").sum()).collect()
        common = shares.filter(pl.col("len") > 0.5)["label"].to_list()

        def check(batch: pl.DataFrame) -> Batch:
            out = batch.filter(pl.col("label").is_in(common))
            kept = batch.filter(~pl.col("label").is_in(common))
            return Batch(kept, reject_rows(out, "common", ["common"] * out.height))

        return check


class Shout(Renderer):
    """Column `loud`: the text with an exclamation mark."""

    registered_name: ClassVar[str] = "toy.shout"

    def outputs(self, context: StepContext) -> Columns:
        return {"loud": pl.String()}

    def start(self, context: StepContext, frame: pl.LazyFrame) -> Worker:
        return lambda batch: Batch(batch.with_columns(loud=pl.col("text") + "!"))


class Lossy(Guard):
    """A faulty guard that loses the first record without a word."""

    registered_name: ClassVar[str] = "toy.lossy"

    def start(self, context: StepContext, frame: pl.LazyFrame) -> Worker:
        return lambda batch: Batch(batch.tail(-1))


class DropShort(TableTransform):
    """Keeps texts of at least `min_chars`."""

    registered_name: ClassVar[str] = "toy.drop_short"
    min_chars: int
    by: str = "text"

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        short = pl.col(self.by).str.len_chars() < self.min_chars
        rejects = frame.filter(short).select("id", reason=pl.lit("short"), detail=pl.lit("too short"))
        return Table(frame.filter(~short), rejects)


class Lines(Emitter):
    """Writes ids, one a line; fails after `fail_after` of them."""

    registered_name: ClassVar[str] = "toy.lines"
    fail: bool = False

    def write(self, records: FinalRecords, folder: Path, context: StepContext) -> list[Artifact]:
        ids = [id_ for batch in records.batches(["id"]) for id_ in batch["id"]]
        (folder / "ids.txt").write_text("\n".join(ids))
        if self.fail:
            raise OSError("no space left on device")
        return [Artifact(path="ids.txt", kind="data", records=len(ids))]
