"""Toy steps that read a file beside their records: one of each kind, as a plug-in would write them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import polars as pl

from datakit.core.outcome import Batch, Done, Outcome, Table, reject_rows
from datakit.core.record import BASE, COLUMNS
from datakit.core.step_context import StepContext
from datakit.core.transform import (
    Annotator,
    Artifact,
    Columns,
    Emitter,
    FinalRecords,
    Guard,
    Reader,
    Renderer,
    Row,
    RowWorker,
    TableTransform,
    Worker,
)


class Prices(TableTransform):
    """Column `price`, joined from a CSV file (`text,price`)."""

    registered_name: ClassVar[str] = "toy.prices"
    table: str
    declares: bool = True

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("text",)

    def outputs(self, context: StepContext) -> Columns:
        return {"price": pl.Int64()}

    def files(self, context: StepContext) -> list[Path]:
        return [context.path(self.table)] if self.declares else []

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        prices = pl.scan_csv(context.declared(self.table), schema={"text": pl.String(), "price": pl.Int64()})
        return Table(frame.join(prices, on="text", how="left", maintain_order="left"))


class Banned(Guard):
    """Rejects texts that stand in a list, one a line."""

    registered_name: ClassVar[str] = "toy.banned"
    words: str
    declares: bool = True

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("text",)

    def files(self, context: StepContext) -> list[Path]:
        return [context.path(self.words)] if self.declares else []

    def start(self, context: StepContext, frame: pl.LazyFrame) -> Worker:
        words = context.read_text(self.words).split()

        def check(batch: pl.DataFrame) -> Batch:
            bad = batch.filter(pl.col("text").is_in(words))
            return Batch(
                batch.filter(~pl.col("text").is_in(words)),
                reject_rows(bad, "banned", ["banned"] * bad.height),
            )

        return check


class Signed(Renderer):
    """Column `signed`: the text with the words of a file after it."""

    registered_name: ClassVar[str] = "toy.signed"
    words: str
    declares: bool = True

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("text",)

    def outputs(self, context: StepContext) -> Columns:
        return {"signed": pl.String()}

    def files(self, context: StepContext) -> list[Path]:
        return [context.path(self.words)] if self.declares else []

    def start(self, context: StepContext, frame: pl.LazyFrame) -> Worker:
        words = context.read_text(self.words)
        return lambda batch: Batch(batch.with_columns(signed=pl.col("text") + pl.lit(words)))


class Glossary(Annotator):
    """Column `meaning`, looked up in a file `text=meaning`; its content reaches the key."""

    registered_name: ClassVar[str] = "toy.glossary"
    terms: str
    declares: bool = True

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("text",)

    def outputs(self, context: StepContext) -> Columns:
        return {"meaning": pl.String()}

    def files(self, context: StepContext) -> list[Path]:
        return [context.path(self.terms)] if self.declares else []

    def start(self, context: StepContext) -> RowWorker:
        return _Lookup(dict(line.split("=") for line in context.read_text(self.terms).split()))

    def key_settings(self, context: StepContext) -> Row:
        return {"terms": context.files.sha256(context.path(self.terms))}


class ProcessGlossary(Glossary):
    """The same in worker processes."""

    registered_name: ClassVar[str] = "toy.process_glossary"
    executor = "process"


class _Lookup(RowWorker):
    def __init__(self, terms: dict[str, str]) -> None:
        self._terms = terms

    def answer(self, row: Row) -> Outcome:
        return Done({"meaning": self._terms.get(row["text"])})


class Words(Reader):
    """A record for each line of a file."""

    registered_name: ClassVar[str] = "toy.words"
    path: str
    declares: bool = True

    def columns(self, context: StepContext) -> Columns:
        return {name: COLUMNS[name] for name in BASE}

    def files(self, context: StepContext) -> list[Path]:
        return [context.path(self.path)] if self.declares else []

    def read(self, context: StepContext) -> Iterator[Batch]:
        with context.open(self.path) as file:
            words = file.read().decode().split()
        rows = [(word, "words", at, [], None, word) for at, word in enumerate(words, 1)]
        yield Batch(pl.DataFrame(rows, schema={name: COLUMNS[name] for name in BASE}, orient="row"))


class Letter(Emitter):
    """The texts, one a line, under the head that a file holds."""

    registered_name: ClassVar[str] = "toy.letter"
    head: str
    declares: bool = True

    def files(self, context: StepContext) -> list[Path]:
        return [context.path(self.head)] if self.declares else []

    def write(self, records: FinalRecords, folder: Path, context: StepContext) -> list[Artifact]:
        texts = [text for batch in records.batches(["text"]) for text in batch["text"]]
        (folder / "letter.txt").write_text("\n".join([context.read_text(self.head), *texts]), "utf-8")
        return [Artifact(path="letter.txt", kind="data", records=len(texts))]
