"""guard.where: the records of which an expression is true."""

from __future__ import annotations

from typing import Any, ClassVar

import polars as pl
import polars.selectors as cs
from pydantic import field_validator

from datakit.core.errors import UserError, did_you_mean
from datakit.core.outcome import Batch, reject_rows
from datakit.core.step_context import StepContext
from datakit.core.transform import BatchWorker, Columns, Guard, Worker
from datakit.guard._keep_expression import KeepExpression, check_kinds, read_expression


class Where(Guard):
    """The same records without those of which `keep` is not true.

    The expression is SQL's: columns by name, texts in single quotation marks ('' for one within), numbers,
    TRUE and FALSE; = != <> < <= > >= ~ + - * ||, AND, OR, NOT, IN (…), BETWEEN … AND …, LIKE, ILIKE,
    IS NULL, IS NOT NULL; and the functions abs, array_contains, array_length, char_length, coalesce,
    ends_with, greatest, least, left, length, lower, octet_length, regexp_like, replace, right, round,
    starts_with, strpos, substr, trim, upper. A column whose name is a keyword, or is not letters, digits and
    `_` alone, stands in double quotation marks. There are no queries, no files, no comments and no code.
    It is checked against the columns before anything is read.

    A value that is null, or no number (NaN), makes most comparisons neither true nor false: such a record is
    not kept, and counted by a word of its own. `label IS NULL OR label != '其他类别图片'` keeps it.

    What is dropped is a choice: it is listed with the rejects, but does not count against
    `run.max_reject_rate`.

    Reasons of rejection: where (the expression is false), where_null (it is neither true nor false).
    """

    version: ClassVar[int] = 2
    example: ClassVar[dict[str, Any]] = {"keep": "label != '其他类别图片' AND length(id) > 3"}

    keep: str
    """What must be true of a record: `label IN ('退款页面', '退货页面') AND array_length(images) = 1`."""

    @field_validator("keep")
    @classmethod
    def _is_an_expression(cls, keep: str) -> str:
        read_expression(keep)
        return keep

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return read_expression(self.keep).columns

    def check_columns(self, columns: Columns, context: StepContext) -> None:
        keep = read_expression(self.keep)
        for name in keep.columns:
            if name not in columns:
                raise UserError(
                    f"`keep` names the column `{name}`, which is given by no earlier step",
                    remedy=_remedy(name, keep, columns),
                )
        schema = {name: columns[name] for name in keep.columns}
        try:  # a value of each kind, since polars looks at some types and patterns with values only
            probe = pl.DataFrame([{name: _value(dtype) for name, dtype in schema.items()}], schema=schema)
            dtype = _truth(probe, keep.expr()).dtype
            check_kinds(keep.expr(), _worked_with(probe))
        except ValueError as error:
            raise UserError(f"`keep` cannot be worked out: {error}", remedy=f"It is: {self.keep}") from None
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            kinds = ", ".join(f"{name} is {dtype}" for name, dtype in schema.items())
            first = str(error).split("\n", 1)[0][:200]
            raise UserError(f"`keep` cannot be worked out: {first}", remedy=f"Here {kinds}.") from None
        if dtype != pl.Boolean:
            raise UserError(
                f"`keep` gives {dtype} and not true or false",
                remedy="Compare it with something: array_length(images) > 0.",
            )

    def start(self, context: StepContext, frame: pl.LazyFrame) -> Worker:
        return _Filter(self.keep)


class _Filter(BatchWorker):
    def __init__(self, keep: str) -> None:
        read = read_expression(keep)
        self.keep, self.columns, self.expr = keep, read.columns, read.expr()

    def __call__(self, frame: pl.DataFrame) -> Batch:
        truth = _truth(frame.select(self.columns), self.expr)
        unknown = truth.is_null()
        dropped = reject_rows(
            frame.filter(~truth.fill_null(True)), "where", [f"not true: {self.keep}"] * int((~truth).sum())
        )
        words = f"a value is missing, so neither true nor false: {self.keep}"
        unclear = frame.filter(unknown)
        rejects = dropped + reject_rows(unclear, "where_null", [words] * unclear.height)
        order = {id_: at for at, id_ in enumerate(frame["id"])}
        kept = frame.filter(truth.fill_null(False))
        return Batch(kept, sorted(rejects, key=lambda reject: order[reject.id]))


def _truth(frame: pl.DataFrame, expr: pl.Expr) -> pl.Series:
    """Of each record whether the expression is true; null for neither.

    To polars a NaN is larger than every number and equal to itself; here it is no value. Its integers wrap:
    3 - 5 in an unsigned column is 4,294,967,294, so all are worked with in 128 bits.
    """
    return _worked_with(frame).select(pl.lit(0).alias("\0place"), expr.alias("\0truth"))["\0truth"]


def _worked_with(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(cs.float().fill_nan(None), cs.integer().cast(pl.Int128))


def _value(dtype: Any) -> Any:
    """A value by which a type shows what can be done with it; null for those that are not written so."""
    if dtype == pl.String:
        return "0"
    if isinstance(dtype, pl.DataType) and dtype.is_integer():
        return 0
    if isinstance(dtype, pl.List):
        return []
    return None


def _remedy(name: str, keep: KeepExpression, columns: Columns) -> str:
    listing = f"Columns at this step: {', '.join(columns)}."
    quoted = f"A text stands in single quotation marks: '{name}'." if name in keep.doubtful else ""
    same = next((column for column in columns if column.lower() == name.lower()), None)
    hint = f"Did you mean `{same}`?" if same else did_you_mean(name, columns)
    return " ".join(filter(None, (hint, quoted, listing)))
