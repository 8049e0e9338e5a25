"""Runs steps one after the other over stages on disk, and accounts for every record."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import polars as pl

from datakit.artifacts import names
from datakit.artifacts.report import StepReport
from datakit.core.errors import DatakitError, Exit, UserError
from datakit.core.factored_chats import FactoredChats
from datakit.core.outcome import RETRY, Batch, Reject
from datakit.core.remote_pictures import by_url
from datakit.core.step_context import Declaring, StepContext
from datakit.core.transform import Annotator, Guard, Reader, Renderer, Reviser, TableTransform
from datakit.core.visible import visible
from datakit.core.workers import BatchWorker, FactoredChatsWorker, Worker
from datakit.recipe.recipe import Step
from datakit.run.annotation import TRACE, Annotation
from datakit.run.columns import merged
from datakit.run.compared_records import Brought
from datakit.run.control_characters import ControlCharacters, check_names
from datakit.run.dropped import NothingLeft as NothingLeft
from datakit.run.dropped import nothing_left, without_known_ids
from datakit.run.first_look import limited
from datakit.run.picture_task import no_pictures, picture_need, says_text_only
from datakit.run.policy import Pay, Policy, Traces
from datakit.run.progress import Progress
from datakit.run.record_frames import RecordFrames
from datakit.run.result_store import ResultStore
from datakit.run.step_groups import step_groups
from datakit.run.sub_results import StoredParts
from datakit.run.task_frames import put_back, taken_out, with_schema


class NotConserved(DatakitError):
    """A step lost or invented records: a fault of the transform, never of the data."""


@dataclass
class Engine:
    """The state of one run: where stages lie, what was rejected, what each step reported."""

    context: StepContext
    store: ResultStore
    folder: Path
    """Work folder; holds the stages and rejects.jsonl."""
    progress: Progress = field(default_factory=lambda: Progress(quiet=True))
    limit: int | None = None
    """At most so many records of each reader."""
    policy: Policy = field(default_factory=Pay)
    """What is done about results that the store does not hold."""
    only: Collection[str] | None = None
    """Ids of the records that readers give; others are as if they were not there."""
    reports: list[StepReport] = field(default_factory=list)
    needs_images: bool = False
    """Whether a picture that is missing would stop the emitter: told when all records are read."""
    images: dict[str, str] = field(default_factory=dict)
    """Every picture that a record names -> `FileDigests.sha256` when it was first read."""
    picture_need: str = ""
    """What beyond the steps is about pictures, so that a source without any is a mistake."""
    before: Callable[[Sequence[Step], Sequence[Declaring]], None] = lambda group, later: None
    """Called with the steps that work next and those after them; may raise."""
    chats: set[str] = field(default_factory=set)
    """Ids of the records that come with messages, where these are kept."""
    task_columns: dict[str, list[str]] = field(default_factory=dict)
    """Task -> the columns of its records, where there are several tasks."""
    suspects: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Task ("" where there is one) -> what its last such step says against labels, for suspects.jsonl."""
    by_label: bool = True
    """Whether the records of `limit` are some of each label; otherwise the first ones."""
    _elsewhere: RecordFrames | None = None
    """The records of other tasks, while the steps of one are at work."""
    _rejects: BinaryIO = field(init=False, repr=False)
    _later: tuple[Declaring, ...] = ()
    """The steps after those at work."""

    @property
    def rejects_file(self) -> Path:
        return self.folder / names.REJECTS

    def run(self, steps: Sequence[Step], records: RecordFrames | None = None) -> RecordFrames:
        """The records after the last step; `records` need no reader.

        Raises NothingLeft when a step rejects all of them.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        frames = records
        readers = [step for step in steps if isinstance(step.transform, Reader)]
        with open(self.rejects_file, "wb") as self._rejects:
            for group in step_groups(steps):
                self._later = tuple(step.transform for step in steps[steps.index(group[-1]) + 1 :])
                self._rejects.flush()
                self.before(group, self._later)
                reports = [self._report(step) for step in group]
                self.reports.extend(reports)
                if group[0].task:
                    after = self._in_task(group, frames, reports)
                else:
                    after = self._pass(group, frames, reports)
                    self._give_to_tasks(group, after)
                for step, report in zip(group, reports, strict=True):
                    self._conserved(step, report)
                    if report.records_out == 0 and (report.records_in or isinstance(step.transform, Reader)):
                        only_retries = report.retry > 0 and not report.rejected
                        code = Exit.PARTIAL if only_retries else Exit.FAILED
                        raise NothingLeft(nothing_left(step, report, self.rejects_file), code)
                if frames is not None and frames is not after:
                    frames.remove()
                frames = after
                if readers and group[-1] is readers[-1]:
                    self._check_pictures(readers, steps, frames)
        assert frames is not None  # a checked recipe has steps
        return frames

    def leave_out(self, rejects: list[Reject], report: StepReport) -> None:
        """Accounts for records that an emitter has no place for; `run` is over by then."""
        with open(self.rejects_file, "ab") as self._rejects:
            self._reject(rejects, report)

    def _report(self, step: Step) -> StepReport:
        """The step's account before it works."""
        columns = list(step.transform.outputs(self._context(step)))
        return StepReport(number=step.number, name=step.name, task=step.task, columns=columns)

    def _context(self, step: Step) -> StepContext:
        """What a step gets: in a recipe of several tasks, that of its own."""
        return self.context.in_task(step.task)

    def _in_task(
        self, group: list[Step], frames: RecordFrames | None, reports: list[StepReport]
    ) -> RecordFrames:
        """The records of all tasks, of which those of one have gone through its steps."""
        task = group[0].task
        place = self.folder / f"{reports[-1].number:02d}.{task}"
        own = others = None
        if frames is not None:
            own, others = taken_out(frames, task, self.task_columns.get(task, ()), place)
            self._elsewhere = others
        after = self._pass(group, own if task in self.task_columns else None, reports)
        self._elsewhere = None
        self.task_columns[task] = list(after.schema)
        order = [scope.name for scope in self.context.tasks]
        whole = put_back(after, others, task, order, place)
        for passed in (own, others, after):
            if passed is not None:
                passed.remove()
        return whole

    def _give_to_tasks(self, group: list[Step], after: RecordFrames) -> None:
        """Notes that what a step of all tasks gives are columns of each."""
        given = {name for step in group for name in step.transform.outputs(self.context)} & {*after.schema}
        for task, columns in self.task_columns.items():
            self.task_columns[task] = [*columns, *sorted(given - {*columns})]

    def _pass(
        self, group: list[Step], frames: RecordFrames | None, reports: list[StepReport]
    ) -> RecordFrames:
        """The records after the steps, those among them that pass untouched included."""
        context = self._context(group[0])
        if frames is not None and (passing := self.policy.passing(group, frames.schema, context)):
            return self._around(passing, group, frames, reports)
        return self._group(group, frames, reports)

    def _check_pictures(self, readers: Sequence[Step], steps: Sequence[Step], frames: RecordFrames) -> None:
        """Raises UserError when the steps are about pictures and no record has one."""
        cut_off = self.limit is not None and frames.rows >= self.limit
        if self.images or cut_off or says_text_only(readers):
            return
        if need := picture_need(steps) or self.picture_need:
            raise no_pictures(need, readers, frames.rows, self.context)

    def _around(
        self, passing: Collection[str], group: list[Step], frames: RecordFrames, reports: list[StepReport]
    ) -> RecordFrames:
        """The same for records of which some pass untouched; they come last, with nulls for new columns."""
        passes = pl.col("id").is_in(list(passing))
        others = RecordFrames(self.folder / f"{reports[0].number:02d}.settled", frames.schema)
        for frame in frames.batches():
            others.append(frame.filter(~passes))
        after = self._group(group, others, reports)
        for frame in frames.batches():
            after.append(with_schema(frame.filter(passes), after.schema))
        for report in reports:
            report.records_in += frames.rows - others.rows
            report.records_out += frames.rows - others.rows
        names = {name for step in group for name in step.transform.outputs(self._context(step))}
        self.policy.passed(names | (after.schema.keys() - frames.schema.keys()))
        return after

    def _group(
        self, group: list[Step], frames: RecordFrames | None, reports: list[StepReport]
    ) -> RecordFrames:
        began = time.perf_counter()
        step, transform, report = group[0], group[0].transform, reports[-1]
        if frames is not None and isinstance(transform, Guard | Renderer):
            after = self._batches(group, frames, reports)
            for own_report in reports:
                own_report.seconds = round(own_report.seconds, 3)
            return after
        report.records_in = frames.rows if frames else 0
        try:
            if isinstance(transform, Reader):
                after = self._read(step, transform, frames, report)
            elif frames is None:
                raise UserError(f"{step.name} has no records to work on", where=step.where)
            elif isinstance(transform, Annotator):
                after = self._annotate(step, transform, frames, report)
            elif isinstance(transform, TableTransform):
                after = self._table(step, transform, frames, report)
            else:
                raise UserError(f"{step.name} cannot stand among the steps", where=step.where)
        except UserError as error:
            error.where = error.where or f"{step.where}  step {step.number} ({step.name})"
            raise
        report.records_out = after.rows
        report.seconds = round(time.perf_counter() - began, 3)
        return after

    def _read(
        self, step: Step, reader: Reader, frames: RecordFrames | None, report: StepReport
    ) -> RecordFrames:
        context = self._context(step).for_step(reader)
        columns = dict(reader.columns(context))
        check_names(columns, step.where)
        report.columns = list(columns)
        controls = ControlCharacters()
        schema = merged(dict(frames.schema), columns, step) if frames else columns
        after = self._frames(report, schema)
        seen_ids = self._ids_elsewhere()
        named: set[str] = set()
        for frame in frames.batches() if frames else ():
            seen_ids.update(frame["id"])
            after.append(with_schema(frame, schema))
        brought = Brought.of(reader, context, columns, seen_ids)
        self.progress.start(report.name, 0)
        for batch in map(controls.batch, self._chosen(reader.read(context))):
            fresh, twice = without_known_ids(batch.frame, seen_ids)
            report.added += batch.frame.height + len(batch.rejects)
            self._reject([*batch.rejects, *twice], report)
            report.notes.update(batch.notes)
            named.update(fresh["images"].explode().drop_nulls())
            self.chats.update(brought.take(fresh))
            after.append(with_schema(fresh, schema))
        controls.note(report.notes)
        self._watch(named)
        missing = (
            [path for path in sorted(self.images) if not os.path.exists(path)] if self.needs_images else []
        )
        if missing:
            raise UserError(
                f"{len(missing):,} of {len(self.images):,} pictures are missing, such as {missing[0]}",
                remedy="Put guard.image behind the reader: it rejects such records with their reason.",
                where=step.where,
            )
        return after

    def _ids_elsewhere(self) -> set[str]:
        """The ids of the records of other tasks: one data set has each id once."""
        frames = self._elsewhere.batches(["id"]) if self._elsewhere is not None else ()
        return {id_ for frame in frames for id_ in frame["id"]}

    def _chosen(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """What a reader gives, as far as it is wanted."""
        for batch in limited(batches, self.limit, by_label=self.by_label):
            if self.only is None:
                yield batch
            else:
                yield Batch(batch.frame.filter(pl.col("id").is_in(list(self.only))))

    def _annotate(
        self, step: Step, annotator: Annotator, frames: RecordFrames, report: StepReport
    ) -> RecordFrames:
        work = self._annotation(step, annotator, report)
        after = self._frames(report, work.columns(frames.schema))
        for batch in self.policy.annotate(step, work, frames):
            self._reject(batch.rejects, report)
            after.append(batch.frame)
        return after

    def _annotation(self, step: Step, annotator: Annotator, report: StepReport) -> Annotation:
        others = sum(other.cost_usd for other in self.reports if other is not report)
        context = self._context(step).for_step(step.transform)
        return Annotation(annotator, context, self.store, self.progress, report, others)

    def _batches(self, group: list[Step], frames: RecordFrames, reports: list[StepReport]) -> RecordFrames:
        """Guards and renderers one after the other, batch by batch, so that prompts touch the disk once."""
        schema = dict(frames.schema)
        chain = []
        for step, report in zip(group, reports, strict=True):
            assert isinstance(step.transform, Guard | Renderer)  # `_groups` puts no other in a chain
            whole = frames.lazy() if step is group[0] else pl.LazyFrame(schema=schema)
            worker = step.transform.start(self._context(step).for_step(step.transform), whole)
            traces = self._revise(worker, step, report) if isinstance(worker, Reviser) else None
            schema |= step.transform.outputs(self._context(step))
            if traces is not None:
                schema[f"@{report.number}.{report.name}"] = TRACE
            chain.append((worker, report, traces))
        self.progress.start(" + ".join(report.name for report in reports), frames.rows)
        after = self._frames(reports[-1], schema)
        for records in frames.factored():
            out = records
            for worker, report, traces in chain:
                out = self._checked(worker, out, report)
                if traces is not None:
                    notes = [traces.get(id_) for id_ in out.frame["id"]]
                    note = pl.Series(f"@{report.number}.{report.name}", notes, dtype=TRACE)
                    out = FactoredChats(out.frame.with_columns(note), out.shared)
            after.append(with_schema(out.frame, schema), out.shared)
            self.progress.advance(records.frame.height)
        for worker, report, _ in chain:
            if isinstance(worker, BatchWorker):
                report.notes.update(worker.notes)
        return after

    def _revise(self, reviser: Reviser, step: Step, report: StepReport) -> Traces:
        """Has the records answered anew that a guard finds fault with."""
        began = time.perf_counter()
        work = self._annotation(step, reviser.annotator, report)
        traces = self.policy.revise(step, reviser, work, self._rounds(reviser, report))
        report.seconds += time.perf_counter() - began
        return traces

    def _rounds(self, reviser: Reviser, report: StepReport) -> Iterator[RecordFrames]:
        """The records that a guard wants answered next, as long as it wants any."""
        while (rows := reviser.wanted()) is not None:
            frames = RecordFrames(self.folder / f"{report.number:02d}.{report.name}.round")
            frames.append(rows)
            yield frames
            frames.remove()

    def _checked(self, worker: Worker, records: FactoredChats, report: StepReport) -> FactoredChats:
        began = time.perf_counter()
        if isinstance(worker, FactoredChatsWorker):
            after, rejects = worker.factored(records)
        else:
            batch = worker(records.expanded())
            after, rejects = FactoredChats(batch.frame), batch.rejects
        self._reject(rejects, report)
        report.records_in += records.frame.height
        report.records_out += after.frame.height
        report.seconds += time.perf_counter() - began
        return after

    def _table(
        self, step: Step, transform: TableTransform, frames: RecordFrames, report: StepReport
    ) -> RecordFrames:
        self.progress.start(report.name, 0)
        parts = StoredParts(self.store, report.name)
        context = self._context(step).for_step(transform).changed(later=self._later, sub_results=parts)
        table = transform.apply(frames.lazy(), context)
        report.notes.update(table.notes)
        if table.suspects is not None:
            self.suspects[step.task] = table.suspects
        if table.rejects is not None:
            places = frames.lazy().select("id", "source_file", "source_line")
            rejected = table.rejects.select("id", "reason", "detail")
            placed = rejected.join(places, on="id", how="left", maintain_order="left")
            rows = placed.collect(engine="streaming").rows(named=True)
            self._reject([Reject.of(row, row["reason"], row["detail"]) for row in rows], report)
        frame = table.frame
        after = self._frames(report, dict(frame.collect_schema()))
        added: set[str] = set()
        for batch in frame.collect_batches(chunk_size=self.context.run.batch_rows, maintain_order=True):
            after.append(batch)
            if table.added:
                paths = batch["images"].explode().drop_nulls()
                added.update(paths)
        self._watch(added)
        report.added = table.added
        return after

    def _watch(self, named: set[str]) -> None:
        """Takes pictures of new records among those whose change makes the build anew."""
        self.images |= self.context.files.sha256_of(sorted(named - self.images.keys()))

    def _frames(self, report: StepReport, schema: dict[str, Any] | None) -> RecordFrames:
        return RecordFrames(self.folder / f"{report.number:02d}.{report.name}", schema)

    def _reject(self, rejects: list[Reject], report: StepReport) -> None:
        counts: Counter[str] = Counter()
        for reject in rejects:
            retry = reject.reason.startswith(RETRY)
            reason = reject.reason.removeprefix(RETRY)
            counts[RETRY if retry else reason] += 1
            line = {
                "id": visible(reject.id),
                "step": report.number,
                "name": report.name,
                "state": "retry" if retry else "rejected",
                "reason": reason,
                "detail": visible(by_url(reject.detail)),
                "source_file": visible(reject.source_file),
                "source_line": reject.source_line,
            }
            self._rejects.write(orjson.dumps(line) + b"\n")
        report.retry += counts.pop(RETRY, 0)
        for reason, count in counts.items():
            report.rejected[reason] = report.rejected.get(reason, 0) + count
        self._rejects.flush()

    def _conserved(self, step: Step, report: StepReport) -> None:
        if not report.balanced:
            leaving = (
                f"{report.records_out} out, {sum(report.rejected.values())} rejected, {report.retry} retry"
            )
            raise NotConserved(
                f"{step.name} does not account for every record: {report.records_in} in and {report.added} "
                f"added, but {leaving}. This is a fault of the transform; please report it."
            )
