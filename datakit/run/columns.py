"""The column algebra: whether every step finds the columns it reads, found out on zero rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import polars as pl

from datakit.core.errors import RecipeErrors, UserError, did_you_mean
from datakit.core.step_context import StepContext
from datakit.core.task_blocks import TASK
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
        whole, columns_of = self.columns, dict[str, dict[str, Any]]()
        for step in steps:
            self.columns = columns_of.setdefault(step.task, {}) if step.task else whole
            try:
                self._step(step)
                if step.task:
                    whole = _joined(whole, self.columns, step)
            except UserError as error:
                self.errors.append(_placed(error, step))
                if isinstance(step.transform, Reader):
                    break  # without its columns every later step would seem wrong
                with suppress(UserError):  # later steps are not to blame for what this one would have given
                    self.columns.update(step.transform.outputs(self.context.in_task(step.task)))
                    whole = {**self.columns, **whole}
            if step.task:
                columns_of[step.task] = self.columns
            else:
                whole = self.columns
                for own in columns_of.values():  # a step of all gives its columns to the records of each
                    own.update({name: whole[name] for name in self._new_of(step, whole)})
        self.columns = whole
        if self.errors:
            raise RecipeErrors(self.errors)
        return self.columns

    def _new_of(self, step: Step, whole: dict[str, Any]) -> list[str]:
        """The columns that a step of all tasks gives."""
        with suppress(UserError):
            return [name for name in step.transform.outputs(self.context) if name in whole]
        return []

    def _step(self, step: Step) -> None:
        transform, context = step.transform, self.context.in_task(step.task).for_step(step.transform)
        if isinstance(transform, Reader):
            columns = dict(transform.columns(context))
            if step.task and TASK in columns:
                raise UserError(
                    f"the source has a column `{TASK}`, which says here which task a record is of",
                    remedy=f"Leave it out: `drop: [{TASK}]`.",
                    where=step.where,
                )
            self.columns = merged(self.columns, columns, step)
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
        near = _GIVERS.get(name) or did_you_mean(name, self.columns)
        hint = f"{near} {listing}".strip()
        where = next(filter(None, places), "")
        return UserError(f"column `{name}` is given by no earlier step", remedy=hint, where=where)


_GIVERS = {"messages": "A renderer gives it: put render.chat before."}
"""Columns that no source names as steps do, so that no near name is meant."""


def _quoted_name(message: str) -> str:
    """The column that polars' message names first, in quotes; the message itself when none is."""
    match = re.search(r'"([^"\n]+)"', message)
    return match[1] if match else message.split("\n", 1)[0]


def merged(first: dict[str, Any], second: dict[str, Any], step: Step) -> dict[str, Any]:
    """The columns of two readers one after the other. Raises UserError where a dtype differs."""
    remedy = "Leave it out with `keep:`, or give both sources one type."
    return _of_one_type(first, second, step, "an earlier source", remedy)


def _joined(whole: dict[str, Any], own: dict[str, Any], step: Step) -> dict[str, Any]:
    """The columns of all tasks. Raises UserError where two have one of the same name and another dtype."""
    remedy = "All tasks become one data set: give it another name (`into:`), or leave it out."
    return {**_of_one_type(whole, own, step, "another task", remedy), TASK: pl.String()}


def _of_one_type(
    first: dict[str, Any], second: dict[str, Any], step: Step, elsewhere: str, remedy: str
) -> dict[str, Any]:
    """The columns of both. Raises UserError for the first one whose dtype differs."""
    for name, dtype in second.items():
        if name in first and first[name] != dtype:
            raise UserError(
                f"column `{name}` is {dtype} here and {first[name]} in {elsewhere}",
                remedy=remedy,
                where=step.where,
            )
    return {**first, **second}


def _placed(error: UserError, step: Step) -> UserError:
    if error.where:
        message = f"step {step.number} ({step.title}): {error.message}\n  in {error.where}"
    else:
        message = f"step {step.number} ({step.title}): {error.message}"
    return UserError(message, remedy=error.remedy, where=step.where, exit_code=error.exit_code)
