"""Steps applied to records in Python, as a notebook wants it: the same engine, store and keys as a build."""

from __future__ import annotations

import asyncio
import base64
import html
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from datakit.artifacts.rejects import scan_rejects
from datakit.artifacts.report import StepReport
from datakit.core.contract_words import Language
from datakit.core.errors import UserError
from datakit.core.files import FileDigests
from datakit.core.labels import load_labels
from datakit.core.record import COLUMNS
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.core.transform import Reader, Transform
from datakit.recipe.recipe import Step, project_of
from datakit.run.columns import Algebra
from datakit.run.engine import Engine
from datakit.run.progress import Progress
from datakit.run.record_frames import RecordFrames
from datakit.run.store import store_folder
from datakit.run.store_repair import sound_store

THUMBNAIL_PX = 96
SHOWN = 20
T = TypeVar("T")


@dataclass(frozen=True)
class Records:
    """Records in memory, with what the steps reported and rejected. Shown as a table with thumbnails.

    >>> import datakit as dk
    >>> source = dk.read.Jsonl(path="examples/ecom/train.jsonl", image="image", label="label")
    >>> data = dk.apply([], source, take=3, quiet=True)
    >>> len(data), data.frame["id"][0], data.rejects.height
    (3, 'screen-0001', 0)
    """

    frame: pl.DataFrame
    rejects: pl.DataFrame
    """id, step, name, state, reason, detail, source_file, source_line."""
    report: list[StepReport] = field(default_factory=list)

    def __len__(self) -> int:
        return self.frame.height

    def __repr__(self) -> str:
        steps = ", ".join(f"{step.name} {step.records_out:,}" for step in self.report)
        return f"{len(self):,} records, {self.rejects.height:,} rejected ({steps})\n{self.frame}"

    def _repr_html_(self) -> str:
        hidden = {"source_file", "source_line", "images", "messages"}
        names = [name for name in self.frame.columns if name not in hidden and not name.startswith("@")]
        rows = self.frame.head(SHOWN).to_dicts()
        head = "".join(f"<th>{html.escape(name)}</th>" for name in ["", *names])
        body = "".join(
            f"<tr><td>{_thumbnails(row['images'])}</td>"
            + "".join(f"<td style='text-align:left'>{_cell(row[name])}</td>" for name in names)
            + "</tr>"
            for row in rows
        )
        more = f"; the first {SHOWN} are shown" if len(self) > SHOWN else ""
        foot = f"{len(self):,} records, {self.rejects.height:,} rejected{more}"
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{foot}</p>"


def apply(
    steps: Sequence[Transform],
    data: Reader | Records | pl.DataFrame,
    *,
    take: int | None = None,
    labels: str | Path | None = None,
    llm: LlmSettings | None = None,
    run: RunSettings | None = None,
    seed: int = 7,
    language: Language | None = None,
    quiet: bool = False,
) -> Records:
    """The records that come out of `steps`, applied to a reader's records or to earlier ones.

    `take` reads at most so many records; `labels` is a label file, `language` that of the shipped prompts.
    Paths are relative to the working folder, whose project's result store is used: nothing that a build or an
    earlier call paid for is paid again. Raises the same errors as a build.

    >>> import datakit as dk
    >>> source = dk.read.Jsonl(path="examples/ecom/train.jsonl", image="image", label="label")
    >>> data = dk.apply([dk.guard.Image()], source, take=3, quiet=True)
    >>> [(step.name, step.records_out) for step in data.report]
    [('read.jsonl', 3), ('guard.image', 3)]
    """
    base = Path.cwd()
    context = StepContext(
        base=base,
        project=project_of(base),
        name="notebook",
        seed=seed,
        labels=load_labels(base / labels) if labels is not None else None,
        default_language=language,
        llm=llm or LlmSettings(),
        run=run or RunSettings(),
    )
    progress = Progress(quiet)
    return outside_loop(lambda: _apply(list(steps), data, context, take, progress), progress.cancel)


def _apply(
    steps: list[Transform],
    data: Reader | Records | pl.DataFrame,
    context: StepContext,
    take: int | None,
    progress: Progress,
) -> Records:
    frame = data.frame if isinstance(data, Records) else data
    first = [frame] if isinstance(frame, Transform) else []
    plan = [Step(number, item, f"step {number}") for number, item in enumerate([*first, *steps], 1)]
    store = sound_store(store_folder(context.project, context.run.store), progress.say)
    try:
        context = replace(context, files=FileDigests(store))
        with tempfile.TemporaryDirectory(prefix="datakit-") as folder, progress:
            engine = Engine(context, store, Path(folder) / "work", progress, limit=take)
            algebra = Algebra(context)
            records = None
            if isinstance(frame, pl.DataFrame):
                records = _given(frame if take is None else frame.head(take), Path(folder) / "given")
                algebra.columns = dict(records.schema)
            algebra.run(plan)
            frames = engine.run(plan, records)
            rejects = scan_rejects(engine.rejects_file).collect()
            return Records(frames.lazy().collect(), rejects, engine.reports)
    finally:
        store.close()


def _given(frame: pl.DataFrame, folder: Path) -> RecordFrames:
    for name in ("id", "images"):
        if name not in frame.columns:
            raise UserError(
                f"the data frame has no column `{name}`", remedy=f"Columns of records: {', '.join(COLUMNS)}."
            )
    frames = RecordFrames(folder, dict(frame.schema))
    frames.append(frame)
    return frames


_LOOK_S = 0.2


def outside_loop(work: Callable[[], T], cancel: Callable[[], None]) -> T:
    """Runs `work` here, or in a thread of its own when an event loop is running (as in notebooks).

    An interrupt of the notebook calls `cancel` and waits until the thread has stopped, so that nothing is
    paid behind the user's back.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    box: list[Any] = []
    finished = threading.Event()  # Python 3.11 holds a thread whose `join` was interrupted to have ended

    def target() -> None:
        try:
            box.append((True, work()))
        except BaseException as error:  # raised again below, in the caller's thread
            box.append((False, error))
        finally:
            finished.set()

    thread = threading.Thread(target=target, name="datakit")
    try:
        with _interrupt_raises():  # from before it starts: work may be interrupted at once
            thread.start()
            while not finished.wait(_LOOK_S):  # a signal just before a wait begins is seen at its end only
                pass
    except KeyboardInterrupt:
        cancel()
        if thread.ident is not None:
            finished.wait()
        raise
    fine, value = box[0]
    if not fine:
        raise value
    result: T = value
    return result


@contextmanager
def _interrupt_raises() -> Iterator[None]:
    """Interrupts raise KeyboardInterrupt at once: the handler of asyncio would wait for the loop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _thumbnails(paths: list[str]) -> str:
    from datakit.core.image import ImageProblem, jpeg_within

    shown = []
    for path in paths[:3]:
        try:
            data = base64.b64encode(jpeg_within(path, THUMBNAIL_PX * THUMBNAIL_PX)).decode()
            shown.append(f"<img src='data:image/jpeg;base64,{data}'>")
        except ImageProblem as problem:
            shown.append(html.escape(problem.reason))
    return "".join(shown)


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return html.escape(text if len(text) <= 200 else f"{text[:200]}…")
