"""The folder of each task in a build of several: by it the trained model is asked and scored."""

from __future__ import annotations

from datakit.artifacts.build_draft import BuildDraft
from datakit.artifacts.report import BuildReport
from datakit.artifacts.task_draft import task_draft
from datakit.core.task_blocks import OF_TASKS
from datakit.recipe.recipe import Recipe
from datakit.run.kept_files import keep_answers
from datakit.run.prompt_steps import serving_work


def write_task_builds(draft: BuildDraft, recipe: Recipe, report: BuildReport) -> None:
    """Writes tasks/NAME for every task of the recipe; nothing for a recipe of one."""
    if not recipe.tasks:
        return
    draft.write_report(report)
    for task in recipe.tasks:
        own, one = task_draft(draft, task.name), recipe.for_task(task.name)
        steps = [step for step in recipe.steps if step.task in ("", task.name) and step.name != OF_TASKS]
        numbers = {step.number: at for at, step in enumerate(steps, 1)}
        own.write_recipe(one.dump())
        own.fill(draft, numbers)
        context = one.context().changed(project=draft.path)  # whose templates are those of the build
        keep_answers(own, one, context)
        own.report.serving = serving_work(one, context)
        own.write_report(own.report)
