"""What steps drop: records of a known id, more than a recipe allows, all of them; each with an example."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from datakit.artifacts.rejects import read_rejects
from datakit.artifacts.report import StepReport
from datakit.core.errors import DatakitError, Exit
from datakit.core.outcome import RETRY, Reject, reject_rows
from datakit.core.reasons import CHOSEN
from datakit.core.record import place_of
from datakit.core.transform import TableTransform
from datakit.recipe.recipe import Recipe, Step

OF_A_LOOK = 0.5
"""Share of a look that may be rejected: of twenty records one is 5%, and a bound is for all records."""


class NothingLeft(DatakitError):
    """A step left no record, so there is nothing to build."""

    def __init__(self, message: str, exit_code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def counting(
    recipe: Recipe, reports: Sequence[StepReport], emitter: StepReport | None = None
) -> list[StepReport]:
    """The steps whose rejects count: no tables, which drop on purpose, and of the emitters the one given."""
    tables = {step.number for step in recipe.steps if isinstance(step.transform, TableTransform)}
    steps = [step for step in reports if step.number not in tables]
    return [step for step in steps if not step.emits or step is emitter]


def allowed_share(recipe: Recipe, limit: int | None) -> float:
    """Of the records, that may be rejected; a look at `limit` of them shows its rejects instead of ending."""
    return max(recipe.run.max_reject_rate, 0.0 if limit is None else OF_A_LOOK)


def over_reject_rate(steps: Sequence[StepReport], allowed: float, rejects: Path) -> str:
    """The words of an error when more than the share `allowed` was rejected, of all or of one task; else "".

    `steps` are those whose rejects count, `rejects` the file in which they stand with their source lines.
    """
    tasks = dict.fromkeys(step.task for step in steps if step.task)
    parts = [("", steps), *((task, [step for step in steps if step.task == task]) for task in tasks)]
    return next(filter(None, (_over(task, own, allowed, rejects) for task, own in parts)), "")


def _over(task: str, steps: Sequence[StepReport], allowed: float, rejects: Path) -> str:
    total = sum(step.added for step in steps)
    counted = [(step, reason, count) for step in steps for reason, count in sorted(step.rejected.items())]
    counted = [entry for entry in counted if entry[1] not in CHOSEN]
    rejected = sum(count for *_, count in counted)
    if not total or rejected / total <= allowed:
        return ""
    reasons = ", ".join(
        f"{reason} {count} (step {step.number}, {step.title})" for step, reason, count in counted
    )
    of = f" of the task {task}" if task else ""
    words = f"{rejected:,} of {total:,} records{of} were rejected, more than run.max_reject_rate "
    example = _example({step.number for step, *_ in counted}, rejects)
    return f"{words}({allowed:.1%}) allows: {reasons}.\n{example}"


def _example(numbers: set[int], rejects: Path, *, chosen: bool = False) -> str:
    """The first reject of some steps, on a line of its own; "" where there is none. `chosen`: also one that
    the recipe drops on purpose."""
    for reject in read_rejects(rejects):
        if reject["step"] in numbers and (chosen or reject["reason"] not in CHOSEN):
            file = reject["source_file"]
            place = f" ({place_of(file, reject['source_line'])})" if file else ""
            return f"  For example {reject['id']}{place}: {reject['detail'] or reject['reason']}\n"
    return ""


def nothing_left(step: Step, report: StepReport, rejects: Path) -> str:
    """The words of an error for a step behind which there is no record."""
    counts = [*sorted(report.rejected.items()), *([(RETRY[:-1], report.retry)] if report.retry else [])]
    reasons = ", ".join(f"{reason} {count}" for reason, count in counts)
    example = _example({report.number}, rejects, chosen=True).rstrip()
    what = f"step {step.number} ({step.title}) left no record: {reasons or 'none came in'}"
    return f"{step.where}\n  {what}" + (f"\n{example}" if example else "")


def without_known_ids(frame: pl.DataFrame, seen_ids: set[str]) -> tuple[pl.DataFrame, list[Reject]]:
    """The records whose id no earlier source used, and the others as rejects."""
    ids = frame["id"].to_list()
    if seen_ids.isdisjoint(ids):
        seen_ids.update(ids)
        return frame, []
    twice = [index for index, id_ in enumerate(ids) if id_ in seen_ids]
    seen_ids.update(ids)
    words = "an earlier source has a record of this id"
    rejects = reject_rows(frame[twice], "duplicate_id", [words] * len(twice))
    dropped = set(twice)
    return frame[[index for index in range(len(ids)) if index not in dropped]], rejects
