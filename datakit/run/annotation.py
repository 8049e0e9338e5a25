"""An annotator over a stage: look records up in the store, have what is missing answered, store, join."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import polars as pl

from datakit.artifacts.report import StepReport
from datakit.core.errors import BatchFilesWritten, BudgetSpent, StopProvider
from datakit.core.outcome import RETRY, Batch, Done, Reject, Rejected, Retry
from datakit.core.reasons import NOT_STORED
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Row
from datakit.run.control_characters import ControlCharacters
from datakit.run.executors import executor_for
from datakit.run.executors.base import Answered, Executor, Job
from datakit.run.keys import Keys
from datakit.run.live_figures import LiveFigures
from datakit.run.nested_series import series
from datakit.run.progress import Progress
from datakit.run.proven_results import ProvenResults
from datakit.run.record_frames import RecordFrames
from datakit.run.result_store import ResultStore, Stored
from datakit.run.sub_results import PaidParts, account

PLACE = ("id", "source_file", "source_line")
TRACE = pl.Struct({"key": pl.Binary, "new": pl.Boolean})
"""Of the columns `@number.step`: the key of a record's answer, and whether this run made it."""


@dataclass(frozen=True)
class LookedUp:
    """Some records of a stage, and what the store knows of them."""

    frame: pl.DataFrame
    """Id, place and the columns that the annotator reads."""
    rows: list[Row]
    """The same."""
    keys: list[bytes | None]
    """The key of each record; None where its input is not known yet."""
    known: set[bytes]
    """The keys that have a result."""
    missing: list[Job]
    """The keys that have none, each with the first record of the stage that has it."""


@dataclass
class Annotation:
    """One annotator and the records of one stage."""

    annotator: Annotator
    context: StepContext
    store: ResultStore
    progress: Progress
    report: StepReport
    spent_usd: float = 0.0
    """What the other steps of the build have spent."""
    keys: list[bytes | None] = field(init=False, default_factory=list)
    """The key of every record, in order, as far as `lookup` has come."""
    _new: set[bytes] = field(init=False, default_factory=set)
    """The keys of the results that were made in this run."""
    _counted: set[bytes] = field(init=False, default_factory=set)
    """The keys of the records that were joined."""
    _retries: dict[bytes, Retry | Rejected] = field(init=False, default_factory=dict)
    _controls: ControlCharacters = field(init=False, default_factory=ControlCharacters)
    _under_way: dict[bytes, Row] = field(init=False, default_factory=dict)
    """Records with pictures that are being answered."""

    def __post_init__(self) -> None:
        self.context = self.context.pinned()  # a record's key and its question come of the same template

    @property
    def reads(self) -> list[str]:
        """The columns that the annotator reads where they are there."""
        return list(self.annotator.reads(self.context))

    @property
    def trace(self) -> str:
        """The column that tells where each record's answer lies in the store."""
        return f"@{self.report.number}.{self.report.name}"

    def columns(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Column -> dtype after the join of records that have the columns of `schema`."""
        return {**schema, **self.annotator.outputs(self.context), self.trace: TRACE}

    def lookup(self, frames: RecordFrames, waiting: Collection[str] = ()) -> Iterator[LookedUp]:
        """Every record's key and whether the store has its result; the input of those in `waiting` (ids) is
        not known yet. Records are read as they are asked for."""
        keys = Keys(self.annotator, self.context)
        # Pictures count as they were read: an edit since then ends the build, if it ever gets to its end.
        as_read = Keys(self.annotator, self.context.changed(files=self.context.files.as_read()))
        names = [name for name in dict.fromkeys((*PLACE, *self.reads)) if name in frames.schema]
        queued: set[bytes] = set()
        for frame in frames.batches(names):
            rows = frame.to_dicts()
            jobs = [None if row["id"] in waiting else _job(as_read, row) for row in rows]
            stored_keys = self.store.known(_once(jobs))
            if any(job is not None and job.key not in stored_keys for job in jobs):
                jobs = [job if job is None or job.key in stored_keys else _job(keys, job.row) for job in jobs]
                stored_keys |= self.store.known(_once(jobs) - stored_keys)
            row_keys = [job.key if job else None for job in jobs]
            self.keys.extend(row_keys)
            missing: list[Job] = []
            for job in jobs:
                if job is not None and job.key not in stored_keys and job.key not in queued:
                    queued.add(job.key)
                    missing.append(job)
            yield LookedUp(frame, rows, row_keys, stored_keys, missing)

    def pay(self, frames: RecordFrames) -> None:
        """Makes the store hold a result for every record, as far as that succeeds.

        Raises BudgetSpent or StopProvider when it must end early; what was paid for is stored then.
        """
        self.progress.start(self.report.name, frames.rows)
        jobs = self._within_budget(self._missing(frames))
        first = next(jobs, None)
        if first is not None:
            self._answer(chain([first], jobs))
        stats = self.context.stats
        if stats.to_run:
            requests = sum(stats.to_run.values())
            raise BatchFilesWritten(requests, list(stats.to_run), stats.unanswered, stats.kept)

    def join(self, frames: RecordFrames, *, keep_open: bool = False) -> Iterator[Batch]:
        """The looked up records with the annotator's columns. One without a result is left to the next run,
        or goes on with nulls (`keep_open`)."""
        writers: set[str] = set()
        summed: set[bytes] = set()
        at = 0
        for frame in frames.batches():
            keys = self.keys[at : at + frame.height]
            at += frame.height
            stored = self.store.get_many(dict.fromkeys(key for key in keys if key is not None))
            writers |= {
                str(model) for result in stored.values() if (model := result.outcome.meta.get("model"))
            }
            for key in stored.keys() - summed:
                self._sum(stored[key].outcome.meta)
            summed |= stored.keys()
            yield self._joined(frame, keys, stored, keep_open)
        self._controls.note(self.report.notes)
        if writers and self.annotator.asks_model:
            # Told by what is stored, so that a build from the store says the same.
            self.report.notes["writer"] = ", ".join(sorted(writers))

    def stored_usd(self) -> float:
        """What the results of the looked up records had cost, as far as they are stored."""
        stored = self.store.get_many(dict.fromkeys(key for key in self.keys if key is not None))
        return sum(float(result.outcome.meta.get("cost_usd") or 0.0) for result in stored.values())

    def _missing(self, frames: RecordFrames) -> Iterator[Job]:
        for lookup in self.lookup(frames):
            missing = self._without_taken_over(lookup.missing)
            self.progress.advance(len(lookup.rows) - len(missing))
            yield from missing

    def _without_taken_over(self, jobs: list[Job]) -> list[Job]:
        """The jobs that no stored result of another step answers; the others' results are stored."""
        others = [(job, self.annotator.other_keys(job.row, self.context)) for job in jobs]
        stored = self.store.get_many(dict.fromkeys(key for _, keys in others for key in keys))
        left, results = [], []
        for job, keys in others:
            done = [stored[key].outcome for key in keys if key in stored]
            raws = [outcome.raw for outcome in done if isinstance(outcome, Done)]
            taken = next(filter(None, map(self.annotator.take_over, raws)), None)
            if taken is None:
                left.append(job)
            else:
                results.append((job.key, self.report.name, taken))
        self.store.put_many(results)
        return left

    def _within_budget(self, jobs: Iterator[Job]) -> Iterator[Job]:
        """The jobs, until what is spent reaches the budget (a client stops before that by itself)."""
        budget = self.context.run.budget_usd
        for job in jobs:
            spent = self.spent_usd + self.report.cost_usd
            if budget is not None and spent >= budget:
                raise BudgetSpent(budget, spent)
            yield job

    def _answer(self, jobs: Iterator[Job]) -> None:
        """Has the jobs answered and stores what comes."""
        results, keys = ProvenResults(self.store), Keys(self.annotator, self.context)
        parts = PaidParts(self.store, self.report.name, self.report, results)
        context = self.context.changed(sub_results=parts)
        executor = executor_for(self.annotator, context)
        live = LiveFigures(context, self.report, self.spent_usd)
        if self.annotator.loading:
            self.progress.wait_for(self.annotator.loading)
        try:
            with closing(executor.run(self._noted(jobs))) as batches:
                for answered in batches:
                    self._keep(answered, results, keys)
                    if news := context.stats.news:
                        context.stats.news = ""
                        self.progress.say(news)
                    self.progress.advance(len(answered), live.text())
                results.settle()
        except BudgetSpent:
            results.settle()
            raise
        except StopProvider as error:
            for key, refusal in results.drop():
                self._retries[key] = Retry("provider_stopped", refusal.detail or str(error))
            raise
        except KeyboardInterrupt:
            if not (away := context.stats.batches_away):
                raise
            goes_on = f"{away} batches go" if away > 1 else "The batch goes"
            raise KeyboardInterrupt(
                f"Interrupted. {goes_on} on at the provider: run the same command to collect the answers. "
                "Nothing is sent twice."
            ) from None
        finally:
            self.store.leases.close()  # what no answer was stored of is free for others
            self._take_notes(executor)

    def _noted(self, jobs: Iterator[Job]) -> Iterator[Job]:
        for job in jobs:
            if job.row.get("images"):
                self._under_way[job.key] = job.row
            yield job

    def _keep(self, answered: Answered, results: ProvenResults, keys: Keys) -> None:
        stored = []
        for key, outcome in answered:
            if "parts" not in outcome.meta:  # those were counted when they came
                account(self.report, outcome)
            row = self._under_way.pop(key, None)
            if row is not None and keys.of(row)[0] != key:  # perhaps of another picture than its key says
                outcome = Retry("image_changed", f"{', '.join(row['images'])} was edited meanwhile")
            if isinstance(outcome, Retry) or (isinstance(outcome, Rejected) and outcome.reason in NOT_STORED):
                self._retries[key] = outcome
            else:
                stored.append((key, self.report.name, outcome))
                self._new.add(key)
        results.put_many(stored)

    def _sum(self, meta: Mapping[str, Any]) -> None:
        """Counts what a result had taken when it was made, so that a build from the store says the same."""
        paid = meta.get("paid_earlier", meta)
        if tokens := int(paid.get("tokens_in") or 0):
            self.report.answer_calls += int(paid.get("requests") or 1)
            self.report.answer_tokens_in += tokens
            self.report.answer_tokens_out += int(paid.get("tokens_out") or 0)

    def _take_notes(self, executor: Executor) -> None:
        notes = dict(executor.notes)
        attempts = Counter(self.report.attempts)
        attempts.update(notes.pop("attempts", {}))
        self.report.attempts = dict(attempts)
        self.report.notes.update(notes)

    def _joined(
        self,
        frame: pl.DataFrame,
        keys: list[bytes | None],
        stored: dict[bytes, Stored],
        keep_open: bool,
    ) -> Batch:
        dtypes = self.annotator.outputs(self.context)
        names = [name for name in dict.fromkeys((*PLACE, *self.reads)) if name in frame.columns]
        kept: list[int] = []
        values: dict[str, list[Any]] = {name: [] for name in dtypes}
        traces: list[dict[str, Any] | None] = []
        rejects: list[Reject] = []
        for at, (key, row) in enumerate(zip(keys, frame.select(names).to_dicts(), strict=True)):
            result = stored.get(key) if key is not None else None
            outcome = self._columns(result, key, row, keep_open)
            if isinstance(outcome, Rejected | Retry):
                rejects.append(_reject(row, outcome))
                continue
            kept.append(at)
            traces.append(None if outcome is None else {"key": key, "new": self._is_new(key)})
            for name, column in values.items():
                column.append(None if outcome is None else outcome.get(name))
        answered = [trace for trace in traces if trace is not None]
        new = sum(trace["new"] for trace in answered)
        self.report.new, self.report.cached = self.report.new + new, self.report.cached + len(answered) - new
        added = self._controls.cleaned(
            pl.DataFrame([series(name, values[name], dtype) for name, dtype in dtypes.items()])
        ).get_columns()
        base = frame if len(kept) == frame.height else frame[kept]
        note = pl.Series(self.trace, traces, dtype=TRACE)
        return Batch(base.with_columns(*added, note).select(list(self.columns(frame.schema))), rejects)

    def _columns(
        self, stored: Stored | None, key: bytes | None, row: Row, keep_open: bool
    ) -> Row | Rejected | Retry | None:
        """The columns of a record; None when they are open."""
        if stored is None:
            unanswered = Retry("not_answered", "no result was made")
            return None if keep_open or key is None else self._retries.get(key, unanswered)
        if isinstance(stored.outcome, Rejected):
            return stored.outcome
        return self.annotator.columns(stored.outcome.raw, row, self.context)

    def _is_new(self, key: bytes | None) -> bool:
        """Whether a record is the first with a result of this run: it counts as new, the others as cached."""
        is_new = key in self._new and key not in self._counted
        if key is not None:
            self._counted.add(key)
        return is_new


def _once(jobs: list[Job | None]) -> set[bytes]:
    return {job.key for job in jobs if job is not None}


def _job(keys: Keys, row: Row) -> Job:
    key, model = keys.of(row)
    return Job(key, row, model)


def _reject(row: Row, outcome: Rejected | Retry) -> Reject:
    prefix = RETRY if isinstance(outcome, Retry) else ""
    return Reject.of(row, prefix + outcome.reason, outcome.detail)
