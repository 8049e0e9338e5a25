"""Plain functions as steps of `dk.apply`: of a record or a batch, free or through the result store."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import polars as pl

from datakit.core.errors import DatakitError, UserError, did_you_mean
from datakit.core.outcome import Batch, Done, Outcome, Reject, Rejected
from datakit.core.registry import FUNCTION
from datakit.core.step_context import StepContext
from datakit.core.transform import (
    Annotator,
    AsyncRowWorker,
    Columns,
    Executor,
    Guard,
    Row,
    RowWorker,
    Transform,
    Worker,
)

_TYPES = {str: pl.String(), int: pl.Int64(), float: pl.Float64(), bool: pl.Boolean()}
DROPPED = "dropped_by_step"
_SAYS_IT = 'Say it before its `def`: `@dk.step(gives={"words": int})`.'
_PLACE = ("id", "source_file", "source_line")


def step(
    bare: None = None,
    /,
    *,
    gives: Mapping[str, Any] = MappingProxyType({}),
    reads: str | Sequence[str] = (),
    batch: bool = False,
    pays: bool = False,
    version: str | int = "",
) -> Callable[[Callable[..., Any]], Transform]:
    """A function as a step of `dk.apply`, which can still be called as a function. A recipe has no such
    steps: it runs no code.

    >>> import datakit as dk
    >>> @dk.step(gives={"length": int})
    ... def length(record):
    ...     if not record["label"]:
    ...         return dk.Rejected("no_label")
    ...     return len(record["label"])
    >>> source = dk.read.Jsonl(path="examples/ecom/train.jsonl", image="image", label="label")
    >>> dk.apply([length], source, take=2, quiet=True).frame["length"].to_list()
    [7, 5]

    `gives` maps columns to polars dtypes, or to str, int, float, bool. The function gets a record as a dict,
    of the columns `reads` if they are named, and returns a mapping with a value for each column of `gives`
    (the value alone where there is one), or `dk.Rejected`. With `batch` it gets a polars frame and returns
    one with `id` and those columns; a record that is missing there is rejected (dropped_by_step).

    A function that costs money or time says `pays`: each result is stored, under its name, `version` and what
    it reads (pictures by content), and never asked for again. So it must have a `version`, to be raised when
    its results would change, and `reads`; an `async` one works on many records at once. It may return
    `Done(columns, {"cost_usd": 0.01})` of datakit.core.outcome, which `budget_usd` counts.

    Raises UserError for a step that cannot be, and for what a function gives that is not as it says; an
    exception of a free function ends the work with the record's id, one of a function that pays leaves the
    record to the next run.
    """

    if bare is not None:
        words = f"`@dk.step` does not say what `{getattr(bare, '__name__', bare)}` gives"
        raise UserError(words, remedy=_SAYS_IT)

    def decorate(function: Callable[..., Any]) -> Transform:
        named = (reads,) if isinstance(reads, str) else tuple(reads)
        own = _Function(function, _dtypes(gives), named, is_batch=batch, version=str(version))
        _check(own, pays=pays)
        base: type[_Free] | type[_Paid] = _Paid if pays else _Free
        space: dict[str, Any] = {
            "function": own,
            "registered_name": f"{FUNCTION}{own.name}",
            "__doc__": function.__doc__,
            "__module__": function.__module__,
        }
        if inspect.iscoroutinefunction(function):
            space["executor"] = "event_loop"
        kind: type[Transform] = type(own.name, (base,), space)
        return kind()

    return decorate


@dataclass(frozen=True)
class _Function:
    """A function and what it says of itself."""

    call: Callable[..., Any]
    gives: dict[str, Any]
    reads: tuple[str, ...]
    is_batch: bool
    version: str

    @property
    def name(self) -> str:
        return self.call.__name__

    def fault(self, words: str, remedy: str = "") -> UserError:
        return UserError(f"step.{self.name}: {words}", remedy=remedy)

    def failed(self, error: Exception, what: str) -> UserError:
        remedy = "Mend the function; for a record that cannot be, return dk.Rejected."
        return self.fault(f"failed at {what}: {type(error).__name__}: {error}", remedy)

    def columns(self, given: Any) -> Row:
        """Column -> value, of what the function returned."""
        if not isinstance(given, Mapping):
            if len(self.gives) != 1:
                words = f"returned {type(given).__name__}, which is no mapping of {', '.join(self.gives)}"
                raise self.fault(words, "Return a dict, or dk.Rejected.")
            return {next(iter(self.gives)): given}
        for name in self.gives:
            if name not in given:
                remedy = (
                    did_you_mean(name, map(str, given)) or f"Return {', '.join(self.gives)}, or dk.Rejected."
                )
                raise self.fault(f"returned no `{name}`", remedy)
        if others := [str(name) for name in given if name not in self.gives]:
            remedy = "Leave it out: steps do not change it." if _taken(others[:1]) else "Add it to `gives`."
            raise self.fault(f"returned `{others[0]}`, which `gives` does not name", remedy)
        return dict(given)

    def series(self, name: str, values: Sequence[Any], ids: Sequence[str] = ()) -> pl.Series:
        """A column of its dtype. Raises UserError that names the first record whose value is of another."""
        dtype = self.gives[name]
        try:
            return pl.Series(name, values, dtype=dtype)
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
            wrong = next((at for at, value in enumerate(values) if not _fits(value, dtype)), 0)
            of = f" of record {ids[wrong]}" if ids else ""
            words = f"`{name}`{of} is {values[wrong]!r:.80}, which is no {dtype}"
            raise self.fault(words, "Return one, or name another type in `gives`.") from None

    def reason(self, given: Rejected, of: str = "a record") -> Rejected:
        """The same. Raises UserError for one that says nothing."""
        if not given.reason:
            raise self.fault(f"rejected {of} without a reason", 'Such as `dk.Rejected("too_dark")`.')
        return given


def _fits(value: Any, dtype: Any) -> bool:
    try:
        pl.Series([value], dtype=dtype)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        return False
    return True


class _Free(Guard):
    function: ClassVar[_Function]

    def __call__(self, *values: Any, **named: Any) -> Any:
        return self.function.call(*values, **named)

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return self.function.reads

    def outputs(self, context: StepContext) -> Columns:
        return self.function.gives

    def start(self, context: StepContext, frame: pl.LazyFrame) -> Worker:
        return _frame_worker(self.function) if self.function.is_batch else _record_worker(self.function)


def _seen(function: _Function, frame: pl.DataFrame) -> list[str]:
    """The columns that a free function gets."""
    names = function.reads or [name for name in frame.columns if not name.startswith("@")]
    return list(dict.fromkeys(("id", *names)))


def _record_worker(function: _Function) -> Worker:
    def work(frame: pl.DataFrame) -> Batch:
        seen = _seen(function, frame)
        rows: list[Row] = []
        rejects: list[Reject] = []
        for place, row in zip(
            frame.select(_PLACE).iter_rows(named=True), frame.select(seen).iter_rows(named=True), strict=True
        ):
            try:
                given = function.call(row)
            except DatakitError:
                raise
            except Exception as error:
                raise function.failed(error, f"record {place['id']}") from error
            if isinstance(given, Rejected):
                function.reason(given, f"record {place['id']}")
                rejects.append(Reject.of(place, given.reason, given.detail))
            else:
                rows.append({"id": place["id"], **function.columns(given)})
        gone = {reject.id for reject in rejects}
        kept = frame.filter(~pl.col("id").is_in(list(gone))) if gone else frame
        ids = [row["id"] for row in rows]
        columns = [function.series(name, [row[name] for row in rows], ids) for name in function.gives]
        return Batch(kept.with_columns(columns), rejects)

    return work


def _frame_worker(function: _Function) -> Worker:
    def work(frame: pl.DataFrame) -> Batch:
        if not frame.height:
            return Batch(
                frame.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in function.gives.items())
            )
        try:
            given = function.call(frame.select(_seen(function, frame)))
        except DatakitError:
            raise
        except Exception as error:
            raise function.failed(error, f"{frame.height:,} records from {frame['id'][0]} on") from error
        kept = _joined(function, frame, given)
        gone = frame.join(kept.select("id"), on="id", how="anti", maintain_order="left")
        rejects = [Reject.of(row, DROPPED) for row in gone.select(_PLACE).iter_rows(named=True)]
        return Batch(kept, rejects)

    return work


def _joined(function: _Function, frame: pl.DataFrame, given: Any) -> pl.DataFrame:
    """The records that a function of batches gave back, with its columns, in their order."""
    remedy = f"Return a frame with `id` as it was and {', '.join(function.gives)}."
    if not isinstance(given, pl.DataFrame):
        raise function.fault(f"returned {type(given).__name__}, which is no polars DataFrame", remedy)
    for name in ("id", *function.gives):
        if name not in given.columns:
            hint = did_you_mean(name, given.columns) or remedy
            raise function.fault(f"returned a frame without `{name}`", hint)
    ids = given["id"]
    if ids.is_duplicated().any():
        raise function.fault(f"returned record {ids.filter(ids.is_duplicated())[0]} more than once", remedy)
    if strange := [id_ for id_ in ids.to_list() if id_ not in set(frame["id"])]:
        raise function.fault(f"returned record {strange[0]}, which it was not given", remedy)
    columns = [function.series(name, given[name].to_list(), ids.to_list()) for name in function.gives]
    own = pl.DataFrame([ids, *columns])
    rest = frame.drop(name for name in function.gives if name in frame.columns)
    return rest.join(own, on="id", how="inner", maintain_order="left")


class _Paid(Annotator):
    function: ClassVar[_Function]
    executor: ClassVar[Executor] = "inline"

    def __call__(self, *values: Any, **named: Any) -> Any:
        return self.function.call(*values, **named)

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return self.function.reads

    def outputs(self, context: StepContext) -> Columns:
        return self.function.gives

    def key_settings(self, context: StepContext) -> Row:
        function = self.function
        return {
            "version": function.version,
            "gives": {name: str(kind) for name, kind in function.gives.items()},
        }

    def start(self, context: StepContext) -> RowWorker | AsyncRowWorker:
        return _AsyncRecord(self.function) if self.executor == "event_loop" else _Record(self.function)


def _outcome(function: _Function, given: Any) -> Outcome:
    """What is stored of a result. Raises UserError for one that is not as the function says."""
    if isinstance(given, Rejected):
        return function.reason(given)
    raw, meta = (given.raw, given.meta) if isinstance(given, Done) else (given, {})
    columns = function.columns(raw)
    plain = {name: function.series(name, [value]).to_list()[0] for name, value in columns.items()}
    return Done(plain, meta)


class _Record(RowWorker):
    def __init__(self, function: _Function) -> None:
        self._function = function

    def answer(self, row: Row) -> Outcome:
        return _outcome(self._function, self._function.call(_read(self._function, row)))


class _AsyncRecord(AsyncRowWorker):
    def __init__(self, function: _Function) -> None:
        self._function = function

    async def answer(self, row: Row) -> Outcome:
        return _outcome(self._function, await self._function.call(_read(self._function, row)))


def _read(function: _Function, row: Row) -> Row:
    """What a function that pays sees: only what its key holds."""
    return {name: row[name] for name in function.reads}


def _dtypes(gives: Mapping[str, Any]) -> dict[str, Any]:
    """Column -> polars dtype. Raises UserError for what is none."""
    if not isinstance(gives, Mapping):
        raise UserError(f"`gives` is {gives!r:.60}, no mapping of columns to types", remedy=_SAYS_IT)
    dtypes = {}
    for name, kind in gives.items():
        dtype = _TYPES.get(kind, kind)
        if not (
            isinstance(dtype, pl.DataType) or (isinstance(dtype, type) and issubclass(dtype, pl.DataType))
        ):
            remedy = "Give a polars dtype, or one of str, int, float, bool."
            raise UserError(f"the type of `{name}` is {kind!r}, which is none", remedy=remedy)
        dtypes[name] = dtype
    return dtypes


def _check(function: _Function, *, pays: bool) -> None:
    """Raises UserError for a step that cannot be."""
    is_async = inspect.iscoroutinefunction(function.call)
    if not function.name.isidentifier():
        raise UserError(f"{function.name} has no name to be called by", remedy="Write it with `def`.")
    for fault, words, remedy in (
        (not function.gives, "gives no column", 'Say what it gives: `gives={"words": int}`.'),
        (pays and not function.version, "pays, and has no `version`", "Raise it when results would change."),
        (pays and not function.reads, "pays, and does not say what it reads", 'Such as `reads=["text"]`.'),
        (pays and function.is_batch, "pays, and takes a batch", "Results are stored a record: no `batch`."),
        (is_async and not pays, "is async, which is for functions that pay", "Say `pays`, or leave it out."),
    ):
        if fault:
            raise function.fault(words, remedy)
    if taken := _taken(function.gives):
        raise function.fault(f"gives `{taken}`, which steps cannot give", "Choose another name.")


def _taken(names: Collection[str]) -> str | None:
    """A name that is the engine's own."""
    own: Iterator[str] = (name for name in names if name in _PLACE or name.startswith("@") or not name)
    return next(own, None)
