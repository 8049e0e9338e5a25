"""Really does the paid work for a few records, so that a plan rests on what it cost. Their results stay."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from datakit.core.step_context import StepContext
from datakit.core.transform import Reviser
from datakit.recipe.recipe import Recipe, Step
from datakit.run.annotation import Annotation
from datakit.run.dry_run import DryRun
from datakit.run.engine import Engine, NothingLeft
from datakit.run.policy import Pay, Traces
from datakit.run.progress import Progress
from datakit.run.record_frames import RecordFrames
from datakit.run.result_store import ResultStore


def pilot(
    recipe: Recipe,
    context: StepContext,
    store: ResultStore,
    work: Path,
    progress: Progress,
    records: int,
    limit: int | None,
) -> tuple[float, str]:
    """What it cost to do the paid steps of a recipe for so many records that need it, in USD, and why it
    ended early; "" when it did not.

    The records are drawn once, by the recipe's seed, and go through all steps as if there were no others, so
    that work behind a step that compares or drops records is paid for too. Answers that a guard would have
    written anew are not: those depend on all records. Models are asked by calls even where the build asks by
    batches, which may take a day. Raises BudgetSpent or StopProvider as a build would.
    """
    paid = [at for at, step in enumerate(recipe.steps) if step.transform.is_paid]
    if not paid:
        return 0.0, ""
    steps = recipe.steps[: paid[-1] + 1]
    dry = DryRun()
    Engine(context, store, work / "pilot.looked", progress, limit, dry).run(steps)
    rewrites = {id_ for lookup in dry.lookups if lookup.annotator is not None for id_ in lookup.open_ids}
    needing = sorted(dry.open_ids - rewrites)
    drawn = random.Random(recipe.seed).sample(needing, min(records, len(needing)))
    own = context.changed(run=context.run.model_copy(update={"mode": "calls"}))
    engine = Engine(own, store, work / "pilot", progress, limit, _PilotPolicy(), only=frozenset(drawn))
    why = ""
    try:
        if drawn:
            engine.run(steps)
    except NothingLeft as nothing:
        why = str(nothing)
    return sum(report.cost_usd for report in engine.reports), why


class _PilotPolicy(Pay):
    """Pays for what annotators miss, and for no rewriting."""

    def revise(
        self, step: Step, reviser: Reviser, work: Annotation, rounds: Iterable[RecordFrames]
    ) -> Traces:
        reviser.stop("open")
        return {}
