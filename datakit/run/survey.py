"""Goes through a recipe without paying: free steps run, paid ones are looked up in the result store.

A record whose paid result is missing is *open* from there on, and the columns that it would have got are
*unknown* for it. A later step that reads no unknown column still handles it exactly; any other lets it
pass untouched, so figures about it are upper bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import polars as pl

from datakit.artifacts.report import StepReport
from datakit.core.errors import RecipeErrors, UserError
from datakit.core.outcome import Reject, Rejected
from datakit.core.transform import Annotator, Guard, Renderer, Reviser, Row
from datakit.recipe.recipe import Step
from datakit.run.annotation import PLACE, TRACE
from datakit.run.columns import Algebra
from datakit.run.engine import Engine
from datakit.run.keys import Keys
from datakit.run.stage import Stage


@dataclass
class Lookup:
    """What the store holds for one annotator."""

    step: Step
    records: int = 0
    cached: int = 0
    """Records whose result is stored."""
    calls: int = 0
    """Results that are missing; equal inputs count once."""
    open: int = 0
    """Records whose input is not known yet: each is one more call at most."""
    sample: list[Row] = field(default_factory=list)
    """Some of the records that need a call."""
    keys: dict[str, bytes] = field(default_factory=dict)
    """Id -> key of the records that need a call and whose input is known; kept when asked for."""
    annotator: Annotator | None = None
    """What answers, when that is not the step itself."""
    open_ids: set[str] = field(default_factory=set)
    """Records that a guard wants answered anew and whose answer is not stored."""
    inputs: pl.DataFrame | None = None
    """The columns that those records are read by; kept when asked for."""


SAMPLE = 20


@dataclass
class Survey(Engine):
    """An engine that never pays. The stages it makes hold null where a result is missing."""

    keep_keys: bool = False
    """Whether lookups keep keys and inputs, to say why something is missing."""
    keep_only: str | None = None
    """With `keep_keys`: the one record whose key is kept."""
    referenced: set[bytes] | None = None
    """When a set: every key that was looked up."""
    lookups: list[Lookup] = field(default_factory=list)
    open_ids: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    _by_number: dict[int, Step] = field(default_factory=dict)

    def _group(
        self, group: list[Step], stage: Stage | None, reports: list[StepReport], rejects: BinaryIO
    ) -> Stage:
        if stage is None or not self.open_ids or isinstance(group[0].transform, Annotator):
            return super()._group(group, stage, reports, rejects)
        return self._around_open(group, stage, reports, rejects)

    def _around_open(
        self, group: list[Step], stage: Stage, reports: list[StepReport], rejects: BinaryIO
    ) -> Stage:
        """Runs free steps on the records that they can be run on; the others pass."""
        if all(self._independent(step, stage.schema) for step in group):
            return super()._group(group, stage, reports, rejects)
        is_open = pl.col("id").is_in(list(self.open_ids))
        settled = Stage(self.folder / f"{reports[0].number:02d}.settled", stage.schema)
        for frame in stage.batches():
            settled.append(frame.filter(~is_open))
        for report in reports:
            report.records_in = 0
        after = super()._group(group, settled, reports, rejects)
        given = {name for name in after.schema if name not in stage.schema}
        self.unknown |= given | {name for step in group for name in step.transform.gives(self.tools)}
        rest = stage.lazy().filter(is_open)
        passed = 0
        for frame in rest.collect_batches(chunk_size=self.tools.run.batch_rows, maintain_order=True):
            passed += frame.height
            after.append(_fit(frame, after.schema))
        for report in reports:
            report.records_in += passed
            report.records_out += passed
        return after

    def _independent(self, step: Step, schema: dict[str, Any]) -> bool:
        """Whether a step reads no unknown column: tried on zero rows without those columns."""
        known = {name: dtype for name, dtype in schema.items() if name not in self.unknown}
        if isinstance(step.transform, Guard | Renderer):
            return set(step.transform.needs(self.tools)) <= known.keys()
        algebra = Algebra(self.tools)
        algebra.columns = known
        try:
            algebra.run([step])
        except (RecipeErrors, UserError, pl.exceptions.PolarsError):
            return False
        return True

    def _annotate(self, annotator: Annotator, stage: Stage, report: StepReport, rejects: BinaryIO) -> Stage:
        lookup = Lookup(self._by_number[report.number], records=stage.rows)
        self.lookups.append(lookup)
        reads = [*annotator.needs(self.tools), *getattr(annotator, "optional", ())]
        names = [name for name in dict.fromkeys([*PLACE, *reads]) if name in stage.schema]
        blocked = bool(self.unknown & set(reads))
        trace = f"@{report.number}.{report.name}"
        schema = {
            **stage.schema,
            **annotator.gives(self.tools),
            trace: TRACE,
        }
        look = _Look(self, annotator, lookup, schema, trace)
        after = self._stage(report, schema)
        for frame in stage.batches():
            kept, found = look.batch(frame, names, blocked)
            self._reject(found, report, rejects)
            after.append(kept)
        if lookup.records > lookup.cached or blocked:
            self.unknown |= {*annotator.gives(self.tools), trace}
        report.cached = lookup.cached
        return after

    def _revise(
        self, worker: Reviser, step: Step, stage: Stage, report: StepReport
    ) -> dict[str, dict[str, Any]]:
        """Goes through the rounds as far as their answers are stored; the rest is open."""
        lookup = Lookup(step, records=stage.rows, annotator=worker.annotator)
        self.lookups.append(lookup)
        revision = self._revision(worker, report)
        while (part := revision.round()) is not None:
            work, keys, missing = revision.look(part)
            known = self.store.known(dict.fromkeys(keys))
            if self.referenced is not None:
                self.referenced.update(keys)
            lookup.cached += sum(key in known for key in keys)
            if missing:
                rows = part.lazy().collect().to_dicts()
                lookup.calls += missing
                lookup.open_ids = {row["id"] for row, key in zip(rows, keys, strict=True) if key not in known}
                lookup.sample = [row for row in rows if row["id"] in lookup.open_ids][:SAMPLE]
            revision.take(part, work)
            part.remove()
            if missing:
                worker.stop("open")
        report.cached, report.new = lookup.cached, 0
        if lookup.open_ids:
            self.open_ids |= lookup.open_ids
            self.unknown |= set(step.transform.gives(self.tools))
        return revision.traces

    def run(self, steps: Sequence[Step], given: Stage | None = None) -> Stage:
        """The records after the last step, as far as they are known without paying."""
        self._by_number = {step.number: step for step in steps}
        return super().run(steps, given)


@dataclass
class _Look:
    """The lookups of one annotator, batch by batch."""

    survey: Survey
    annotator: Annotator
    lookup: Lookup
    schema: dict[str, Any]
    trace: str
    asked: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.keys = Keys(self.annotator, self.survey.tools)

    def batch(
        self, frame: pl.DataFrame, names: list[str], blocked: bool
    ) -> tuple[pl.DataFrame, list[Reject]]:
        """The batch with the columns that are known, and the records that the stored result rejects."""
        rows = frame.select(names).to_dicts()
        waits = [blocked and row["id"] in self.survey.open_ids for row in rows]
        keys = [None if wait else self.keys.of(row)[0] for row, wait in zip(rows, waits, strict=True)]
        stored = self.survey.store.get_many(dict.fromkeys(key for key in keys if key is not None))
        gives = list(self.annotator.gives(self.survey.tools))
        columns: dict[str, list[Any]] = {name: [] for name in (*gives, self.trace)}
        kept: list[int] = []
        rejects: list[Reject] = []
        for at, (row, key) in enumerate(zip(rows, keys, strict=True)):
            values = self._one(row, key, stored)
            if isinstance(values, Rejected):
                rejects.append(
                    Reject(
                        row["id"],
                        values.reason,
                        values.detail,
                        row.get("source_file") or "",
                        row.get("source_line"),
                    )
                )
                continue
            kept.append(at)
            for name in gives:
                columns[name].append(values.get(name) if values is not None else None)
            columns[self.trace].append({"key": key, "new": False} if values is not None else None)
        if self.survey.keep_keys:
            self._keep(frame.select(names), keys, stored)
        added = [pl.Series(name, values, dtype=self.schema[name]) for name, values in columns.items()]
        return frame[kept].with_columns(added).select(list(self.schema)), rejects

    def _one(self, row: Row, key: bytes | None, stored: dict[bytes, Any]) -> Row | Rejected | None:
        """The record's columns; None when they are open."""
        if self.survey.referenced is not None and key is not None:
            self.survey.referenced.add(key)
        if key is None or key not in stored:
            self.survey.open_ids.add(row["id"])
            if key is None:
                self.lookup.open += 1
            elif key not in self.asked:
                self.asked.add(key)
                self.lookup.calls += self._to_pay(row)
                if len(self.lookup.sample) < SAMPLE:
                    self.lookup.sample.append(row)
            return None
        self.lookup.cached += 1
        outcome = stored[key].outcome
        if self.survey.referenced is not None:
            self.survey.referenced.update(map(bytes.fromhex, outcome.meta.get("parts", ())))
        if isinstance(outcome, Rejected):
            return outcome
        return self.annotator.columns(outcome.raw, row, self.survey.tools)

    def _to_pay(self, row: Row) -> int:
        """Calls that the record's missing result takes at least, without the parts that are stored."""
        _, model = self.keys.of(row)
        parts = self.annotator.part_keys(row, self.keys.by_model[model])
        if self.survey.referenced is not None:
            self.survey.referenced.update(parts)
        return max(len(parts) - len(self.survey.store.known(parts)), 1)

    def _keep(self, frame: pl.DataFrame, keys: list[bytes | None], stored: dict[bytes, Any]) -> None:
        """Keys and inputs of the records that need a call, or the key of the one record asked for."""
        only, ids = self.survey.keep_only, frame["id"].to_list()
        missing = [at for at, key in enumerate(keys) if key is not None and key not in stored]
        wanted = missing if only is None else [at for at, id_ in enumerate(ids) if id_ == only]
        self.lookup.keys.update((ids[at], key) for at in wanted if (key := keys[at]) is not None)
        if only is None and missing:
            part, before = frame[missing], self.lookup.inputs
            self.lookup.inputs = part if before is None else pl.concat([before, part])


def _fit(frame: pl.DataFrame, schema: dict[str, Any]) -> pl.DataFrame:
    return frame.select(
        pl.col(name) if name in frame.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in schema.items()
    )
