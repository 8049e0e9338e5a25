"""The steps that a prompt rests on: what is done with a picture before the model is asked about it."""

from __future__ import annotations

from datakit.artifacts.report import ServedStep, ServingWork
from datakit.core.errors import UserError
from datakit.core.tools import Tools
from datakit.core.transform import Annotator, PromptRenderer
from datakit.recipe.recipe import Recipe, Step

BASE_COLUMNS = frozenset({"id", "images", "label"})
"""Columns that a record has without any step."""


def prompt_steps(
    recipe: Recipe, chat: PromptRenderer, tools: Tools
) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """The annotators that the prompt rests on, in order, and the columns that nobody makes.

    Columns of the answer alone (a reason, the label) are not the prompt's. Raises UserError for a step that
    reads the label.
    """
    needed = set(chat.prompt_columns(tools))
    chosen: list[Step] = []
    for step in reversed(recipe.steps):
        kind = step.transform
        gives = set(kind.gives(tools)) & needed if isinstance(kind, Annotator) else set()
        if not gives or not isinstance(kind, Annotator):
            continue
        reads = set(kind.needs(tools))
        if "label" in reads:
            raise UserError(
                f"{step.name} writes {', '.join(sorted(gives))} with the label in view, for the prompt",
                remedy="Such a prompt gives the answer away and cannot be served: leave it out.",
            )
        chosen.append(step)
        needed = needed - gives | reads | (set(kind.optional(tools)) & _made(recipe, step, tools))
    given = sorted(needed - BASE_COLUMNS)
    return tuple(reversed(chosen)), tuple(given)


def serving_work(recipe: Recipe, tools: Tools) -> ServingWork | None:
    """What is to be done with each served picture, for the card; None for a recipe without prompts."""
    chats = [step.transform for step in recipe.steps if isinstance(step.transform, PromptRenderer)]
    if not chats:
        return None
    try:
        steps, given = prompt_steps(recipe, chats[-1], tools)
    except UserError as error:
        return ServingWork(fault=error.message)
    return ServingWork(steps=[_served(step, tools) for step in steps], given=list(given))


def _served(step: Step, tools: Tools) -> ServedStep:
    """A step's work for one picture. A record may take several calls; those that must be are counted."""
    parameters = step.transform.model_dump()
    calls = int(parameters.get("samples", 1)) * (2 if parameters.get("referee") else 1)
    return ServedStep(
        number=step.number,
        name=step.name,
        columns=sorted(step.transform.gives(tools)),
        calls=calls if step.transform.asks_model else 0,
    )


def _made(recipe: Recipe, until: Step, tools: Tools) -> set[str]:
    """The columns that annotators before a step make."""
    return {
        name
        for step in recipe.steps
        if step.number < until.number and isinstance(step.transform, Annotator)
        for name in step.transform.gives(tools)
    }
