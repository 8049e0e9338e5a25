"""Steps applied to records in Python, as a notebook wants it: the same engine, store and keys as a build."""

from __future__ import annotations

import inspect
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

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
from datakit.outside_loop import outside_loop
from datakit.recipe.recipe import Step, project_of
from datakit.run.columns import Algebra
from datakit.run.emission import emit
from datakit.run.engine import Engine
from datakit.run.progress import Progress
from datakit.run.record_frames import RecordFrames
from datakit.run.store_place import StorePlace
from datakit.shown_records import Record, check_column, has_value, shown_columns, table

if TYPE_CHECKING:
    from datakit.plots import Plots


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
    >>> data["id"].to_list()
    ['screen-0001', 'screen-0004', 'screen-0005']
    """

    frame: pl.DataFrame
    rejects: pl.DataFrame
    """id, step, name, state, reason, detail, source_file, source_line."""
    report: list[StepReport] = field(default_factory=list)

    def __len__(self) -> int:
        return self.frame.height

    def __repr__(self) -> str:
        steps = ", ".join(f"{step.name} {step.records_out:,}" for step in self.report)
        head = f"{len(self):,} records, {self.rejects.height:,} rejected ({steps})"
        return f"{head}\n{self.frame.select(shown_columns(self.frame.columns))}"

    def __iter__(self) -> Iterator[Record]:
        return map(Record, self._plain().iter_rows(named=True))

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> Records: ...
    @overload
    def __getitem__(self, at: str) -> pl.Series: ...
    def __getitem__(self, at: int | slice | str) -> Record | Records | pl.Series:
        if isinstance(at, slice):
            return replace(self, frame=self.frame[at])
        if isinstance(at, str):
            check_column(self.frame, at)
            return self.frame[at]
        try:
            at = index(at)
        except TypeError:
            words = f"records are taken by `data[0]`, `data[:9]` or `data['label']`, not by {at!r:.60}"
            raise TypeError(words) from None
        if not -len(self) <= at < len(self):
            raise IndexError(f"there is no record {at}: there are {len(self):,}")
        return Record(self._plain().row(at, named=True))

    def filter(self, *predicates: Any, **values: Any) -> Records:
        """The records that satisfy all `predicates`, and whose columns have these `values`, or one of a list.

        A predicate is one of polars, or a function of a record.

        >>> import polars as pl
        >>> data.filter(label="退货页面")["id"].to_list()
        ['screen-0005']
        >>> len(data.filter(lambda record: "页面" in record["label"])), len(data.filter(pl.col("text") != ""))
        (3, 0)
        """
        frame = self.frame
        fits = [has_value(frame, name, value) for name, value in values.items()]
        own = [one for one in predicates if callable(one)]
        frame = frame.filter(*(one for one in predicates if not callable(one)), *fits)
        for one in own:
            kept = [bool(one(record)) for record in replace(self, frame=frame)]
            frame = frame.filter(pl.Series(kept, dtype=pl.Boolean))
        return replace(self, frame=frame)

    def sample(self, n: int, *, label: str | None = None, seed: int = 7) -> Records:
        """`n` records by chance, in their order, the same for the same seed; all where there are fewer.

        `label` chooses among those of a class. Raises UserError for one that no record has, and for `n` < 0.

        >>> len(data.sample(2)), data.sample(1, label="退货页面")[0]["id"]
        (2, 'screen-0005')
        """
        if n < 0:
            raise UserError(f"a sample of {n} records is asked for", remedy="Give 0 or more.")
        frame = self.frame
        if label is not None:
            labels = frame["label"].drop_nulls().unique().to_list() if "label" in frame.columns else []
            if label not in labels:
                raise UserError(f"no record has the label `{label}`", remedy=did_you_mean(label, labels))
            frame = frame.filter(label=label)
        chosen = frame.with_row_index("@at").sample(min(n, frame.height), seed=seed).sort("@at")
        return replace(self, frame=chosen.drop("@at"))

    @property
    def plot(self) -> Plots:
        """`balance()`, `lengths()` and `confusion()`, drawn as on a data card.

        >>> data.plot
        plots: balance(), lengths(), confusion()
        """
        from datakit.plots import Plots

        return Plots(self.frame)

    def to_pandas(self) -> Any:
        """The columns as a pandas frame, without what the engine notes (names that begin with `@`). Needs
        the package pandas.

        >>> data.to_pandas()["id"].tolist()
        ['screen-0001', 'screen-0004', 'screen-0005']
        """
        if find_spec("pandas") is None:
            raise UserError("to_pandas needs the package pandas", remedy="Install it: pip install pandas")
        import pandas

        return pandas.DataFrame(self._plain().to_dict(as_series=False))

    def to_datasets(self) -> Any:
        """The columns as a `datasets.Dataset`, the pictures as its images. Needs datakit's extra `hub`.

        >>> data.to_datasets()[0]["images"][0].size
        (720, 1560)
        """
        if find_spec("datasets") is None:
            raise missing_extra("datasets", "hub", "Records.to_datasets")
        import datasets

        plain = self._plain()
        made = (
            datasets.Dataset.from_list(plain.to_dicts())
            if plain.height
            else datasets.Dataset.from_polars(plain)  # a list of none has no columns
        )
        return made.cast_column("images", [datasets.Image()]) if "images" in made.column_names else made

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """The columns as a file: `.parquet`, or `.jsonl`. Raises UserError for one that is there.

        >>> data.save("three.jsonl").name
        'three.jsonl'
        """
        place = Path(path)
        if place.suffix not in (".parquet", ".jsonl"):
            raise UserError(f"{place} ends in neither .parquet nor .jsonl", remedy="Name it so.")
        if place.exists() and (place.is_dir() or not overwrite):
            raise UserError(f"{place} is there already", remedy="Name another, or say overwrite=True.")
        draft = place.with_name(f".{place.name}.part")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.suffix == ".parquet":
                self._plain().write_parquet(draft)
            else:
                self._plain().write_ndjson(draft)
            draft.replace(place)
        except OSError as error:
            raise UserError(f"cannot write {place}: {error.strerror}", remedy="Name another place.") from None
        finally:
            with suppress(OSError):  # where no folder can be, there is none
                draft.unlink(missing_ok=True)
        return place

    def emit(self, *emitters: Emitter, out: str | Path, name: str = "notebook") -> Emitted:
        """The files of emitters such as `dk.emit.Llamafactory()`, in a new folder `out`, called after `name`.

        What they leave out is in `rejects`. Raises the errors of a build, and UserError for a folder that
        holds something.

        >>> import datakit as dk
        >>> chat = dk.render.Chat(prompt="ecom/classify_v1.j2", answer="label_only")
        >>> chats = dk.apply([chat], data, labels="templates/ecom/labels.yaml", quiet=True)
        >>> chats.emit(dk.emit.Llamafactory(), out="emitted")
        notebook_train.json, dataset_info.json, emitted.json in emitted; 0 records left out
        """
        return _emit(self.frame, emitters, Path(out), name)

    def _plain(self) -> pl.DataFrame:
        return self.frame.select(one for one in self.frame.columns if not one.startswith("@"))

    def _repr_html_(self) -> str:
        return table(self.frame, f"{len(self):,} records, {self.rejects.height:,} rejected")


@dataclass(frozen=True)
class Emitted:
    """Files that emitters wrote.

    >>> import datakit as dk
    >>> source = dk.read.Jsonl(path="examples/ecom/train.jsonl", image="image", label="label")
    >>> chat = dk.render.Chat(prompt="ecom/classify_v1.j2", answer="label_only")
    >>> data = dk.apply([chat], source, take=2, labels="templates/ecom/labels.yaml", quiet=True)
    >>> done = data.emit(dk.emit.Parquet(), out="as_parquet")
    >>> done.folder.name, done.rejects.height
    ('as_parquet', 0)
    """

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
    first = _checked(steps, data)
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
    return outside_loop(lambda: _apply(list(steps), first, context, take, progress), progress.cancel)


def _checked(steps: Sequence[Transform], data: Any) -> Reader | pl.DataFrame:
    """Where the records come from. Raises UserError for what is no step, or has no records."""
    if isinstance(steps, Transform | str) or callable(steps):
        raise UserError("the steps are no list", remedy="Such as `dk.apply([dk.guard.Image()], data)`.")
    for step in steps:
        if not isinstance(step, Transform):
            raise _no_step(step)
        if isinstance(step, Reader | Emitter):
            kind, remedy = ("a reader", "data") if isinstance(step, Reader) else ("an emitter", "emit")
            raise UserError(f"{step.name()} is {kind}, which is no step here", remedy=_ELSEWHERE[remedy])
    frame = data.frame if isinstance(data, Records) else data
    if not isinstance(frame, Reader | pl.DataFrame):
        remedy = "Give a reader such as `dk.read.Jsonl(path=…)`, records of dk.apply, or a polars frame"
        raise UserError(f"{type(data).__name__} holds no records: {data!r:.60}", remedy=f"{remedy}.")
    return frame


def _no_step(given: Any) -> UserError:
    if isinstance(given, str):
        return UserError(f"`{given}` is a name, not a step", remedy="Such as `dk.guard.Image()`.")
    if inspect.isclass(given) and issubclass(given, Transform):
        return UserError(f"{given.__name__} is the class of a step", remedy=f"Write `{given.__name__}()`.")
    if callable(given):
        remedy = 'Put `@dk.step(gives={"column": int})` before its `def`.'
        return UserError(f"the function {getattr(given, '__name__', given)} is no step", remedy=remedy)
    return UserError(f"{given!r:.60} is no step", remedy="Such as `dk.guard.Image()`.")


def _apply(
    steps: list[Transform],
    frame: Reader | pl.DataFrame,
    context: StepContext,
    take: int | None,
    progress: Progress,
) -> Records:
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
    for one in emitters:
        if not isinstance(one, Emitter):
            raise UserError(f"{one!r:.60} is no emitter", remedy="Such as `dk.emit.Llamafactory()`.")
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
        raise UserError(f"cannot write into {out}: {error.strerror}", remedy="Name another place.") from None
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


_ELSEWHERE = {
    "data": "Give it as the data: `dk.apply([], dk.read.Jsonl(path=…))`.",
    "emit": "Write files with `dk.apply(…).emit(dk.emit.Llamafactory(), out=…)`.",
}
