"""The column algebra: whether every step finds the columns it reads, found out on zero rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import polars as pl

from datakit.core.errors import RecipeErrors, UserError, did_you_mean
from datakit.core.step_context import StepContext
from datakit.core.transform import Reader, TableTransform, Transform
from datakit.recipe.recipe import Recipe, Step
from datakit.run.lost_columns import lost_columns


def check_columns(recipe: Recipe, context: StepContext) -> dict[str, Any]:
    """The columns after the last step.

    Raises RecipeErrors naming every step that misses one, and every source whose columns would be lost.
    """
    columns = Algebra(context).run((*recipe.steps, *recipe.emitters))
    if errors := lost_columns(recipe, context):
        raise RecipeErrors(errors)
    return columns


class Algebra:
    """Column names and dtypes as they pass through the steps."""

    def __init__(self, context: StepContext) -> None:
        self.context = context
        self.columns: dict[str, Any] = {}
        self.errors: list[UserError] = []

    def run(self, steps: Sequence[Step]) -> dict[str, Any]:
        for step in steps:
            try:
                self._step(step)
            except UserError as error:
                self.errors.append(_placed(error, step))
                if isinstance(step.transform, Reader):
                    break  # without its columns every later step would seem wrong
                with suppress(UserError):  # later steps are not to blame for what this one would have given
                    self.columns.update(step.transform.outputs(self.context))
        if self.errors:
            raise RecipeErrors(self.errors)
        return self.columns

    def _step(self, step: Step) -> None:
        transform, context = step.transform, self.context.for_step(step.transform)
        if isinstance(transform, Reader):
            self.columns = merged(self.columns, dict(transform.columns(context)), step)
            return
        transform.check_columns(self.columns, context)
        for name in transform.inputs(context):
            if name not in self.columns:
                raise self._missing(name, transform)
        if isinstance(transform, TableTransform):
            self._table(transform, context)
        else:
            self.columns.update(transform.outputs(context))

    def _table(self, transform: TableTransform, context: StepContext) -> None:
        empty = pl.LazyFrame(schema=self.columns)
        try:
            table = transform.apply(empty, context)
            self.columns = dict(table.frame.collect_schema())
        except pl.exceptions.ColumnNotFoundError as error:
            raise self._missing(_quoted_name(str(error)), transform) from None

    def _missing(self, name: str, transform: Transform) -> UserError:
        places = [self.context.templates.place(template, name) for template in transform.templates()]
        listing = f"Columns at this step: {', '.join(self.columns)}."
        hint = f"{did_you_mean(name, self.columns)} {listing}".strip()
        where = next(filter(None, places), "")
        return UserError(f"column `{name}` is given by no earlier step", remedy=hint, where=where)


def _quoted_name(message: str) -> str:
    """The column that polars' message names first, in quotes; the message itself when none is."""
    match = re.search(r'"([^"\n]+)"', message)
    return match[1] if match else message.split("\n", 1)[0]


def merged(first: dict[str, Any], second: dict[str, Any], step: Step) -> dict[str, Any]:
    """The columns of two readers one after the other. Raises UserError where a dtype differs."""
    for name, dtype in second.items():
        if name in first and first[name] != dtype:
            raise UserError(
                f"column `{name}` is {dtype} here and {first[name]} in an earlier source",
                remedy="Leave it out with `keep:`, or give both sources one type.",
                where=step.where,
            )
    return {**first, **second}


def _placed(error: UserError, step: Step) -> UserError:
    if error.where:
        message = f"step {step.number} ({step.name}): {error.message}\n  in {error.where}"
    else:
        message = f"step {step.number} ({step.name}): {error.message}"
    return UserError(message, remedy=error.remedy, where=step.where, exit_code=error.exit_code)
