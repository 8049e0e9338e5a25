"""What a build keeps of its project, so that it can be served and scored without it."""

from __future__ import annotations

from datakit.artifacts.build_draft import BuildDraft
from datakit.core.step_context import StepContext
from datakit.core.transform import Renderer
from datakit.recipe.recipe import Recipe


def keep_files(draft: BuildDraft, recipe: Recipe, context: StepContext) -> dict[str, str]:
    """Writes labels.yaml, templates/ and answer.json into the build; name -> digest of each template.

    A recipe without labels, or without a renderer that writes answers, leaves out that file. Of several tasks
    each has its own, in its folder.
    """
    if not recipe.tasks:
        keep_answers(draft, recipe, context)
    digests = {}
    for step in recipe.steps:
        for name in step.transform.templates():
            digests[name] = context.templates.digest(name)
            for used, text in context.templates.kept(name).items():
                draft.write_template(used, text)
    return digests


def keep_answers(draft: BuildDraft, recipe: Recipe, context: StepContext) -> None:
    """Writes how the answers of a recipe of one task are spelt and read: labels.yaml and answer.json."""
    if recipe.labels is not None:
        draft.write_labels(recipe.labels.content)
    renderers = [step.transform for step in recipe.steps if isinstance(step.transform, Renderer)]
    forms = [form for renderer in renderers if (form := renderer.answer_format(context)) is not None]
    if forms:
        draft.write_answer_format(forms[-1])
