"""Records as they come to a recipe's prompts, with those that have no label: what people may still decide."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from datakit.core.errors import RecipeErrors
from datakit.core.step_context import StepContext
from datakit.core.task_blocks import TASK
from datakit.core.transform import Annotator, Renderer
from datakit.recipe.recipe import Recipe, Step
from datakit.run.columns import Algebra
from datakit.run.dry_run import DryRun
from datakit.run.engine import Engine, NothingLeft
from datakit.run.result_store import ResultStore

_ENDS = ("curate.pseudo_labels",)
"""Steps that take records without a label away, or give them a predicted one; so do prompts and weights."""
_RANKS = ("curate.label_noise", "curate.suspects")
"""Steps that take long and say nothing of a record without a label."""


@dataclass(frozen=True)
class BeforePrompts:
    """The records of one task, as the recipe and its data are."""

    records: pl.DataFrame
    """With every column that the steps gave."""
    waiting: frozenset[str]
    """Ids of records of which a paid or slow result is not in the store."""
    rejected: dict[str, int]
    """Reason -> records that the steps rejected."""


def before_prompts(recipe: Recipe, context: StepContext, store: ResultStore, task: str = "") -> BeforePrompts:
    """The records before the first step that wants their label; nothing is paid for.

    Steps that only rank labels are left out where no other step reads their columns, and so is a
    guard.where that asks for a label: what it would take away is wanted here.
    """
    steps = _steps(recipe, context, task)
    dry = DryRun()
    with tempfile.TemporaryDirectory(prefix="datakit-next-") as work:
        engine = Engine(context, store, Path(work) / "steps", policy=dry)
        try:
            records = engine.run(steps).lazy().collect()
        except NothingLeft:
            records = pl.DataFrame(schema={"id": pl.String(), "label": pl.String()})
        rejected: dict[str, int] = {}
        for report in engine.reports:
            for reason, count in report.rejected.items():
                rejected[reason] = rejected.get(reason, 0) + count
    if task and TASK in records.columns:
        records = records.filter(pl.col(TASK) == task)
    return BeforePrompts(records, frozenset(dry.open_ids), rejected)


def _steps(recipe: Recipe, context: StepContext, task: str) -> list[Step]:
    own = [step for step in recipe.steps if step.task in ("", task)]
    end = next((at for at, step in enumerate(own) if _wants_labels(step)), len(own))
    every = [step for step in own[:end] if not _asks_for_label(step, context)]
    needed = [step for step in every if not _only_ranks(step)]
    return needed if len(needed) < len(every) and _stand(needed, context) else every


def _wants_labels(step: Step) -> bool:
    is_weight = step.name.startswith("balance.")
    return isinstance(step.transform, Renderer) or is_weight or step.name in _ENDS


def _asks_for_label(step: Step, context: StepContext) -> bool:
    return step.name == "guard.where" and "label" in step.transform.inputs(context)


def _only_ranks(step: Step) -> bool:
    """Whether a step says nothing that is wanted here: that of the proxy is said anew, of all labels."""
    is_proxy = step.name == "annotate.predict" and not isinstance(step.transform, Annotator)
    return is_proxy or step.name in _RANKS


def _stand(steps: Sequence[Step], context: StepContext) -> bool:
    """Whether no step misses a column."""
    try:
        Algebra(context).run(steps)
    except RecipeErrors:
        return False
    return True
