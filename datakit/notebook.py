"""Steps applied to records in Python, as a notebook wants it: the same engine, store and keys as a build."""

from __future__ import annotations

import asyncio
import contextvars
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import polars as pl

from datakit.artifacts.rejects import scan_rejects
from datakit.artifacts.report import StepReport
from datakit.core.contract_words import Language
from datakit.core.errors import UserError, did_you_mean, missing_extra
from datakit.core.files import FileDigests
from datakit.core.labels import load_labels
from datakit.core.record import COLUMNS
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.core.transform import Emitter, Reader, Transform
from datakit.recipe.recipe import Step, project_of
from datakit.run.columns import Algebra
from datakit.run.emission import emit
from datakit.run.engine import Engine
from datakit.run.progress import Progress
from datakit.run.record_frames import RecordFrames
from datakit.run.store_place import StorePlace
from datakit.shown_records import Record, table

if TYPE_CHECKING:
    from datakit.plots import Plots

T = TypeVar("T")


@dataclass(frozen=True)
class Records:
    """Records in memory, with what the steps reported and rejected. Shown as a table with thumbnails.

    >>> import datakit as dk
    >>> source = dk.read.Jsonl(path="examples/ecom/train.jsonl", image="image", label="label")
    >>> data = dk.apply([], source, take=3, quiet=True)
    >>> len(data), data.frame["id"][0], data.rejects.height
    (3, 'screen-0001', 0)
    >>> data[0]["label"], [record["id"] for record in data[1:]]
    ('优惠券领取页面', ['screen-0004', 'screen-0005'])
    >>> data.filter(id="screen-0004").plot.balance()
    plot: Records by label
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

    def __iter__(self) -> Iterator[Record]:
        return map(Record, self.frame.iter_rows(named=True))

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> Records: ...
    def __getitem__(self, at: int | slice) -> Record | Records:
        if isinstance(at, slice):
            return replace(self, frame=self.frame[at])
        if not -len(self) <= at < len(self):
            raise IndexError(f"there is no record {at}: there are {len(self):,}")
        return Record(self.frame.row(at, named=True))

    def filter(self, *predicates: Any, **values: Any) -> Records:
        """The records that satisfy polars' `predicates`, and whose columns have these `values`."""
        return replace(self, frame=self.frame.filter(*predicates, **values))

    def sample(self, n: int, *, label: str | None = None, seed: int = 7) -> Records:
        """`n` records by chance, in their order, the same for the same seed; all where there are fewer.

        `label` chooses among those of a class. Raises UserError for one that no record has.
        """
        frame = self.frame
        if label is not None:
            labels = frame["label"].drop_nulls().unique().to_list() if "label" in frame.columns else []
            if label not in labels:
                raise UserError(f"no record has the label `{label}`", remedy=did_you_mean(label, labels))
            frame = frame.filter(label=label)
        chosen = frame.with_row_index("@at").sample(min(max(n, 0), frame.height), seed=seed).sort("@at")
        return replace(self, frame=chosen.drop("@at"))

    @property
    def plot(self) -> Plots:
        """`balance()`, `lengths()` and `confusion()`, drawn as on a data card."""
        from datakit.plots import Plots

        return Plots(self.frame)

    def to_pandas(self) -> Any:
        """The columns as a pandas frame, without what the engine notes (names that begin with `@`)."""
        if find_spec("pandas") is None:
            raise UserError("to_pandas needs the package pandas", remedy="Install it: pip install pandas")
        import pandas

        return pandas.DataFrame(self._plain().to_dict(as_series=False))

    def to_datasets(self) -> Any:
        """The columns as a `datasets.Dataset`, the pictures as its images. Needs datakit's extra `hub`."""
        if find_spec("datasets") is None:
            raise missing_extra("datasets", "hub", "Records.to_datasets")
        import datasets

        made = datasets.Dataset.from_list(self._plain().to_dicts())
        return made.cast_column("images", [datasets.Image()]) if "images" in made.column_names else made

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """The columns as a file: `.parquet`, or `.jsonl`. Raises UserError for one that is there."""
        place = Path(path)
        if place.suffix not in (".parquet", ".jsonl"):
            raise UserError(f"{place} ends in neither .parquet nor .jsonl", remedy="Name it so.")
        if place.exists() and (place.is_dir() or not overwrite):
            raise UserError(f"{place} is there already", remedy="Name another, or say overwrite=True.")
        draft = place.with_name(f".{place.name}.part")
        try:
            if place.suffix == ".parquet":
                self._plain().write_parquet(draft)
            else:
                self._plain().write_ndjson(draft)
            draft.replace(place)
        except OSError as error:
            raise UserError(f"cannot write {place}: {error.strerror}") from None
        finally:
            draft.unlink(missing_ok=True)
        return place

    def emit(self, *emitters: Emitter, out: str | Path, name: str = "notebook") -> Emitted:
        """The files of emitters such as `dk.emit.Llamafactory()`, in a new folder `out`, called after `name`.

        What they leave out is in `rejects`. Raises the errors of a build, and UserError for a folder that
        holds something.
        """
        return _emit(self.frame, emitters, Path(out), name)

    def _plain(self) -> pl.DataFrame:
        return self.frame.select(one for one in self.frame.columns if not one.startswith("@"))

    def _repr_html_(self) -> str:
        return table(self.frame, f"{len(self):,} records, {self.rejects.height:,} rejected")


@dataclass(frozen=True)
class Emitted:
    """Files that emitters wrote."""

    folder: Path
    files: list[Path]
    rejects: pl.DataFrame
    """What they left out: id, step, name, state, reason, detail, source_file, source_line."""
    report: list[StepReport]

    def __repr__(self) -> str:
        names = ", ".join(path.name for path in self.files)
        return f"{names} in {self.folder}; {self.rejects.height:,} records left out"


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

    A bar shows the progress unless `quiet`. An interrupt stops the work, and the same call goes on after it.

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
    store = StorePlace.of(context.run, context.project).open(progress.say)
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


def _emit(frame: pl.DataFrame, emitters: Sequence[Emitter], out: Path, name: str) -> Emitted:
    if not emitters:
        raise UserError("no emitter is named", remedy="Such as `dk.emit.Llamafactory()`.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already", remedy="Name a new folder.")
    base, progress = Path.cwd(), Progress(quiet=True)
    context = StepContext(base=base, project=project_of(base), name=name)
    plan = [Step(number, item, f"emitter {number}") for number, item in enumerate(emitters, 1)]
    draft = out.with_name(f".{out.name}.part")  # beside its place: files may name pictures relative to it
    store = StorePlace.of(context.run, context.project).open(progress.say)
    try:
        context = replace(context, files=FileDigests(store))
        with tempfile.TemporaryDirectory(prefix="datakit-") as folder, progress:
            engine = Engine(context, store, Path(folder) / "work", progress)
            frames = engine.run([], _given(frame, Path(folder) / "given"))
            algebra = Algebra(context)
            algebra.columns = dict(frames.schema)
            algebra.run(plan)
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            files = [file for step in plan for file in emit(step, step.number, frames, draft, engine)]
            rejects = scan_rejects(engine.rejects_file).collect()
            draft.replace(out)
            return Emitted(out, [out / file.path for file in files], rejects, engine.reports)
    except OSError as error:
        raise UserError(f"cannot write into {out}: {error.strerror}") from None
    finally:
        store.close()
        shutil.rmtree(draft, ignore_errors=True)


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

    # In the context of the caller, by which a notebook knows the cell that shows the progress.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(target,), name="datakit")
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
