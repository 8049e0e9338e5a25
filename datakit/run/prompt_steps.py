"""The steps that a prompt rests on: what is done with a picture before the model is asked about it."""

from __future__ import annotations

from datakit.artifacts.report import ServedStep, ServingWork
from datakit.core.errors import UserError
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Guard, PromptRenderer
from datakit.recipe.recipe import Recipe, Step

BASE_COLUMNS = frozenset({"id", "images", "label"})
"""Columns that a record has without any step."""


def prompt_steps(
    recipe: Recipe, chat: PromptRenderer, context: StepContext
) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """The annotators that the prompt rests on and the guards that change its texts, in order, and the columns
    that nobody makes.

    Columns of the answer alone (a reason, the label) are not the prompt's. Raises UserError for a step that
    reads the label.
    """
    made = {name for step in recipe.steps for name in _outputs(step, context)}
    needed = {*chat.prompt_columns(context), *(made & {*chat.checking_columns(context)})}
    needed |= made & {*chat.optional(context)}  # whoever asks need not give the others
    chosen: list[Step] = []
    for step in reversed(recipe.steps):
        kind = step.transform
        if isinstance(kind, Guard) and needed & {*kind.outputs(context)} and kind.served(context) is not None:
            chosen.append(step)
        outputs = _outputs(step, context) & needed
        if not outputs or not isinstance(kind, Annotator):
            continue
        reads = set(kind.inputs(context))
        if "label" in reads:
            raise UserError(
                f"{step.name} writes {', '.join(sorted(outputs))} with the label in view, for the prompt",
                remedy="Such a prompt gives the answer away and cannot be served: leave it out.",
            )
        chosen.append(step)
        needed = needed - outputs | reads | (set(kind.optional(context)) & _made(recipe, step, context))
    columns = sorted(needed - BASE_COLUMNS)
    return tuple(reversed(chosen)), tuple(columns)


def serving_work(recipe: Recipe, context: StepContext) -> ServingWork | None:
    """What is to be done with each served picture, for the card; None for a recipe without prompts."""
    chats = [step.transform for step in recipe.steps if isinstance(step.transform, PromptRenderer)]
    if not chats:
        return None
    try:
        steps, columns = prompt_steps(recipe, chats[-1], context)
    except UserError as error:
        return ServingWork(fault=error.message)
    return ServingWork(steps=[_served(step, context) for step in steps], given=list(columns))


def _served(step: Step, context: StepContext) -> ServedStep:
    """A step's work for one picture. A record may take several calls; those that must be are counted. The
    offline writer works on the machine itself and asks nobody."""
    own = step.transform.endpoint(context) if isinstance(step.transform, Annotator) else None
    is_asked = step.transform.asks_model and (own or context.llm).resolved_provider() != "offline"
    parameters = step.transform.model_dump()
    calls = int(parameters.get("samples", 1)) * (2 if parameters.get("referee") else 1)
    return ServedStep(
        number=step.number,
        name=step.name,
        columns=sorted(step.transform.outputs(context)),
        calls=calls if is_asked else 0,
    )


def _made(recipe: Recipe, until: Step, context: StepContext) -> set[str]:
    """The columns that annotators before a step make."""
    return {name for step in recipe.steps if step.number < until.number for name in _outputs(step, context)}


def _outputs(step: Step, context: StepContext) -> set[str]:
    """The columns that an annotator makes; none for a step of another kind."""
    return set(step.transform.outputs(context)) if isinstance(step.transform, Annotator) else set()
