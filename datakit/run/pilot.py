"""Really does the paid work for a few records, so that a plan rests on what it cost. Their results stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from datakit.artifacts.report import StepReport
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator
from datakit.recipe.recipe import Recipe
from datakit.run.annotation import Annotation
from datakit.run.dry_run import DryRun
from datakit.run.engine import Engine
from datakit.run.progress import Progress
from datakit.run.record_frames import RecordFrames
from datakit.run.store import Store


def pilot(
    recipe: Recipe,
    context: StepContext,
    store: Store,
    work: Path,
    progress: Progress,
    records: int,
    limit: int | None,
) -> float:
    """What it cost to do every paid step of a recipe for so many records that need it; USD.

    The records are drawn by the recipe's seed. Behind a step that is piloted, only its records can go on, so
    that all steps see the same ones. Models are asked by calls even where the build asks by batches, which
    may take a day. Raises BudgetSpent or StopProvider as a build would.
    """
    spent = 0.0
    for step in recipe.steps:
        if not isinstance(step.transform, Annotator):
            continue
        dry = DryRun(keep_keys=True)
        engine = Engine(context, store, work / f"pilot{step.number}", progress, limit, dry)
        engine.run([earlier for earlier in recipe.steps if earlier.number <= step.number])
        inputs = dry.lookups[-1].inputs
        if inputs is None:
            continue
        frames = RecordFrames(engine.folder / "drawn", dict(inputs.schema))
        frames.append(inputs.sample(min(records, inputs.height), seed=recipe.seed))
        report = StepReport(number=step.number, name=step.name)
        own = replace(context, run=context.run.model_copy(update={"mode": "calls"}))
        Annotation(step.transform, own, store, progress, report, spent).pay(frames)
        spent += report.cost_usd
    return spent
