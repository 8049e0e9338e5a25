"""The policy that pays nothing: free steps run, paid ones are looked up in the result store.

A record whose paid result is missing is *open* from there on, and the columns that it would have got are
*unknown* for it: null in the stages. A later step that reads no unknown column still handles it exactly; any
other lets it pass untouched, so figures about it are upper bounds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from datakit.core.errors import RecipeErrors, UserError
from datakit.core.outcome import Batch
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Guard, Renderer, Reviser, Row
from datakit.recipe.recipe import Step
from datakit.run.annotation import Annotation, LookedUp
from datakit.run.columns import Algebra
from datakit.run.keys import tools_by_model
from datakit.run.policy import Policy, Traces, hand_back
from datakit.run.record_frames import RecordFrames

SAMPLE = 20


@dataclass
class Lookup:
    """What the store holds for one annotator."""

    step: Step
    records: int = 0
    """Records that were looked up."""
    cached: int = 0
    """Records whose result is stored."""
    calls: int = 0
    """Results that are missing; equal inputs count once."""
    sure: int = 0
    """Of `calls`, those that must be made: a result whose parts are all stored may need none."""
    results: int = 0
    """Records that need a call and whose input is known; equal inputs count once."""
    open: int = 0
    """Records whose input is not known yet: each is one more call at most."""
    most: int = 0
    """Results that may be made at most, those among them whose input is not known yet."""
    budget_usd: float | None = None
    """What the step may spend at most, of its own."""
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

    def count(self, looked_up: LookedUp) -> list[Row]:
        """Takes some records into the account; gives those that have no result."""
        rows = [
            row for row, key in zip(looked_up.rows, looked_up.keys, strict=True) if key not in looked_up.known
        ]
        self.records += len(looked_up.rows)
        self.cached += len(looked_up.rows) - len(rows)
        return rows

    def keep(self, looked_up: LookedUp, only: str | None) -> None:
        """Notes keys and inputs of the records that need a call, or the key of the one record asked for."""
        ids, keys = looked_up.frame["id"].to_list(), looked_up.keys
        missing = [at for at, key in enumerate(keys) if key is not None and key not in looked_up.known]
        kept = missing if only is None else [at for at, id_ in enumerate(ids) if id_ == only]
        self.keys.update((ids[at], key) for at in kept if (key := keys[at]) is not None)
        if only is None and missing:
            inputs, before = looked_up.frame[missing], self.inputs
            self.inputs = inputs if before is None else pl.concat([before, inputs])


@dataclass
class DryRun(Policy):
    """Looks everything up and pays for nothing; says what is missing."""

    keep_keys: bool = False
    """Whether lookups keep keys and inputs, to say why something is missing."""
    keep_only: str | None = None
    """With `keep_keys`: the one record whose key is kept."""
    referenced: set[bytes] | None = None
    """When a set: every key that was looked up."""
    lookups: list[Lookup] = field(default_factory=list)
    open_ids: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def annotate(self, step: Step, work: Annotation, frames: RecordFrames) -> Iterator[Batch]:
        lookup = Lookup(step)
        self.lookups.append(lookup)
        is_blocked = not self.unknown.isdisjoint(work.reads)
        waiting = frozenset(self.open_ids) if is_blocked else frozenset()
        by_model = tools_by_model(work.annotator, work.context)
        for looked_up in work.lookup(frames, waiting):
            self.open_ids.update(row["id"] for row in lookup.count(looked_up))
            lookup.open += looked_up.keys.count(None)
            calls = [self._wanted(work, job.row, by_model[job.model]) for job in looked_up.missing]
            lookup.calls += sum(max(count, 1) for count in calls)
            lookup.sure += sum(calls)
            lookup.results += len(looked_up.missing)
            lookup.sample += [job.row for job in looked_up.missing][: SAMPLE - len(lookup.sample)]
            self._refer(work, looked_up)
            if self.keep_keys:
                lookup.keep(looked_up, self.keep_only)
        lookup.most = lookup.results + lookup.open
        if lookup.records > lookup.cached or is_blocked:
            self.unknown.update((*work.annotator.outputs(work.context), work.trace))
        return work.join(frames, keep_open=True)

    def revise(
        self, step: Step, reviser: Reviser, work: Annotation, rounds: Iterable[RecordFrames]
    ) -> Traces:
        """Goes through the rounds as far as their answers are stored; the rest is open."""
        lookup = Lookup(step, annotator=reviser.annotator, budget_usd=reviser.budget_usd)
        self.lookups.append(lookup)
        others = len(self.open_ids)
        traces: Traces = {}
        for frames in rounds:
            round_work = replace(work)
            for looked_up in round_work.lookup(frames):
                missing = lookup.count(looked_up)
                lookup.calls += len(looked_up.missing)
                lookup.sure += len(looked_up.missing)
                lookup.open_ids.update(row["id"] for row in missing)
                lookup.sample += missing[: SAMPLE - len(lookup.sample)]
                self._refer(round_work, looked_up)
            traces |= hand_back(reviser, round_work, frames)
            if lookup.calls:
                reviser.stop("open")
        if lookup.calls or others:
            lookup.most = max(reviser.most_wanted(others) - lookup.cached, 0)
        if lookup.open_ids:
            self.open_ids |= lookup.open_ids
            self.unknown.update(step.transform.outputs(work.context))
        return traces

    def passing(self, group: list[Step], schema: dict[str, Any], context: StepContext) -> Collection[str]:
        """Open records, where a step reads unknown columns. Annotators tell by the record: see `annotate`."""
        if not self.open_ids or isinstance(group[0].transform, Annotator):
            return ()
        dtypes = {name: dtype for name, dtype in schema.items() if name not in self.unknown}
        return () if all(_runs_on(step, dtypes, self.unknown, context) for step in group) else self.open_ids

    def passed(self, columns: Iterable[str]) -> None:
        self.unknown.update(columns)

    def _wanted(self, work: Annotation, row: Row, context: StepContext) -> int:
        """Calls that a missing result is sure to take, without the parts that are stored."""
        keys = work.annotator.sub_result_keys(row, context)
        if self.referenced is not None:
            self.referenced.update(keys)
        return len(keys) - len(work.store.known(keys)) if keys else 1

    def _refer(self, work: Annotation, looked_up: LookedUp) -> None:
        """Notes the keys that were looked up, and those of the parts that stored results are made of."""
        if self.referenced is None:
            return
        self.referenced.update(key for key in looked_up.keys if key is not None)
        for stored in work.store.get_many(looked_up.known).values():
            self.referenced.update(map(bytes.fromhex, stored.outcome.meta.get("parts", ())))


def _runs_on(step: Step, dtypes: dict[str, Any], unknown: Collection[str], context: StepContext) -> bool:
    """Whether a step reads no column but the known ones: tried on zero rows."""
    if not set(unknown).isdisjoint(step.transform.reads(context)):
        return False
    if isinstance(step.transform, Guard | Renderer):
        return set(step.transform.inputs(context)) <= dtypes.keys()
    algebra = Algebra(context)
    algebra.columns = dict(dtypes)
    try:
        algebra.run([replace(step, task="")])
    except (RecipeErrors, UserError, pl.exceptions.PolarsError):
        return False
    return True
