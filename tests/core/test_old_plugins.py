"""Plug-ins that were written for datakit 0.1.0 go on working, and are as stale as new ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from datakit.core.errors import DatakitError
from datakit.core.outcome import Batch, Done
from datakit.core.record import BASE, COLUMNS
from datakit.core.tools import Tools
from datakit.core.transform import Annotator, Guard, Reader
from datakit.core.workers import AsyncRowWorker, RowWorker, async_row_worker, row_worker
from datakit.recipe.recipe import Step
from datakit.run.engine import Engine
from datakit.run.store import Store
from tests.support.toys import Numbers


class OldReader(Reader):
    registered_name: ClassVar[str] = "old.reader"

    def columns(self, tools: Tools) -> Any:
        return {name: COLUMNS[name] for name in BASE}

    def sources(self, tools: Tools) -> list[Path]:
        return [tools.path("old.txt")]

    def read(self, tools: Tools) -> Iterator[Batch]:
        yield Batch(pl.DataFrame(schema={name: COLUMNS[name] for name in BASE}))


class OldWriter(Annotator):
    registered_name: ClassVar[str] = "old.writer"
    executor: ClassVar[Any] = "async"
    optional: ClassVar[Any] = ("label", "nowhere")
    log: str

    def needs(self, tools: Tools) -> tuple[str, ...]:
        return ("text",)

    def gives(self, tools: Tools) -> Any:
        return {"written": pl.String()}

    def start(self, tools: Tools) -> Any:
        return _OldWorker(self.log)


class _OldWorker:
    """Inherits from nothing, has no notes, and wants to be closed."""

    def __init__(self, log: str) -> None:
        self.log = log

    async def answer(self, row: dict[str, Any]) -> Done:
        return Done({"written": f"{row['text']} {row['label']}"})

    async def close(self) -> None:
        Path(self.log).write_text("closed")


class OldInline(OldWriter):
    registered_name: ClassVar[str] = "old.inline"
    executor: ClassVar[Any] = "inline"

    def start(self, tools: Tools) -> Any:
        return _OldInline()


class _OldInline:
    def answer(self, row: dict[str, Any]) -> Done:
        return Done({"written": f"{row['text']} {row['label']}"})


class OldGuard(Guard):
    registered_name: ClassVar[str] = "old.guard"

    def start(self, tools: Tools, frame: pl.LazyFrame) -> Any:
        return _OldCheck()


class _OldCheck:
    notes: ClassVar[dict[str, Any]] = {"seen": "all"}

    def __call__(self, frame: pl.DataFrame) -> Batch:
        return Batch(frame)


def test_sources_of_an_old_reader_are_its_files(tmp_path: Path) -> None:
    context = Tools(base=tmp_path, project=tmp_path)
    assert OldReader().files(context) == [tmp_path / "old.txt"]


def test_old_async_annotator_runs_on_the_event_loop_and_asks_a_model(tmp_path: Path) -> None:
    old = OldWriter(log=str(tmp_path / "log"))
    assert (old.executor, old.asks_model) == ("event_loop", True)
    assert old.reads(Tools(base=tmp_path, project=tmp_path)) == ("text", "label", "nowhere")


@pytest.mark.parametrize("kind", [OldWriter, OldInline])
def test_old_workers_and_guards_run_as_before(kind: type[OldWriter], tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    try:
        context = Tools(base=tmp_path, project=tmp_path)
        engine = Engine(context, store, tmp_path / "work")
        steps = [Numbers(count=2), kind(log=str(tmp_path / "log")), OldGuard()]
        stage = engine.run([Step(n, step, f"r.yaml:{n}:1") for n, step in enumerate(steps, 1)])
        assert stage.lazy().collect()["written"].to_list() == ["0 even", "1 odd"]
        assert engine.reports[2].notes == {"seen": "all"}
    finally:
        store.close()
    assert (tmp_path / "log").exists() == (kind is OldWriter)


def test_worker_gets_the_defaults_of_its_kind() -> None:
    assert isinstance(async_row_worker(_OldWorker("log")), AsyncRowWorker)  # type: ignore[arg-type]
    worker = row_worker(_OldInline())  # type: ignore[arg-type]
    assert isinstance(worker, RowWorker)
    assert worker.notes == {}
    worker.close()


def test_worker_that_must_be_awaited_is_refused_elsewhere() -> None:
    with pytest.raises(DatakitError, match='needs executor "event_loop"'):
        row_worker(_OldWorker("log"))  # type: ignore[arg-type]
