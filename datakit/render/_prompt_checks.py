"""Whether the prompts of render.chat use what the records and the label file have, and give nothing away."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from datakit.core.answer import LABEL
from datakit.core.contract import FORMS
from datakit.core.errors import UserError, did_you_mean
from datakit.core.step_context import StepContext
from datakit.render._answers import ANSWER_FORMAT, LABEL_BLOCKS

_OWN_LABEL = "label_info"


def columns_of(
    name: str, answered: Collection[str], context: StepContext, *, has_contract: bool
) -> list[str]:
    """The columns that a prompt needs; `answered` are those of the answer.

    Raises UserError where it would give the answer away, or uses what there is not.
    """
    variables = context.templates.variables(name)
    if has_contract:
        variables.discard(ANSWER_FORMAT)
    elif ANSWER_FORMAT in variables:
        raise UserError(
            f"the prompt uses `{ANSWER_FORMAT}`, but `answer` is a template of its own",
            remedy=f"Name a form, such as `answer: reason_first`; known: {', '.join(FORMS)}.",
            where=context.templates.place(name, ANSWER_FORMAT),
        )
    leaks = sorted(variables & {LABEL, _OWN_LABEL, *answered})
    if leaks:
        raise UserError(
            f"the prompt uses `{leaks[0]}`, which gives the answer away",
            remedy="Prompts may use `labels`, `label_json` and `label_names`.",
            where=context.templates.place(name, leaks[0]),
        )
    unknown = sorted(variables & {*LABEL_BLOCKS, "labels"} - context.label_variables.keys())
    if unknown:
        raise UserError(
            f"the prompt uses `{unknown[0]}`, but the recipe has no `labels:`",
            remedy="Name the label file: `labels: ../templates/ecom/labels.yaml`.",
            where=context.templates.place(name, unknown[0]),
        )
    return sorted(variables - context.templates.optional(name) - context.label_variables.keys())


def optional_columns(prompts: Sequence[str], context: StepContext) -> list[str]:
    """The columns that prompts take where records have them, and do without where not."""
    names = {name for prompt in prompts for name in context.templates.optional(prompt)}
    return sorted(names - {*context.label_variables, *LABEL_BLOCKS, "labels", ANSWER_FORMAT})


def check_shrink(shrink: Sequence[str], columns: Collection[str]) -> None:
    """Raises UserError for a column of `shrink` that the prompts do not use."""
    for column in shrink:
        if column not in columns or column == "images":
            texts = [name for name in columns if name != "images"]
            hint = did_you_mean(column, texts) or f"It uses {', '.join(texts) or 'none'}."
            raise UserError(f"`shrink` names `{column}`, which the prompt does not use", remedy=hint)


def check_columns(prompts: Sequence[str], columns: Sequence[str], context: StepContext) -> None:
    """Raises UserError for a variable of a prompt that is no column, with its line."""
    provided = {*context.label_variables, ANSWER_FORMAT}
    for name in prompts:
        for column in sorted(context.templates.variables(name) - context.templates.optional(name) - provided):
            if column not in columns:
                raise UserError(
                    f"template {name} uses `{column}`, which is no column here",
                    remedy=did_you_mean(column, columns) or f"Columns: {', '.join(columns)}.",
                    where=context.templates.place(name, column),
                )
