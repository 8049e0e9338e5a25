"""The price that stands in a record's text."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from datakit.core.blocks import Section, Text
from datakit.core.blocks import Table as BlockTable
from datakit.core.outcome import Table
from datakit.core.step_account import StepAccount
from datakit.core.step_context import StepContext
from datakit.core.transform import Columns, TableTransform


class Price(TableTransform):
    """Column `<into>` with the first price in the text, in the text's currency; null without one."""

    into: str = "price"
    """Name of the column."""
    sign: str = "¥"
    """What stands before a price."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("text",)

    def outputs(self, context: StepContext) -> Columns:
        return {self.into: pl.Float64()}

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        digits = pl.col("text").str.split(self.sign).list.get(1, null_on_oob=True)
        price = digits.str.extract(r"^\s*(\d+(?:\.\d+)?)").cast(pl.Float64)
        return Table(frame.with_columns(price.alias(self.into)))

    def card_sections(self, account: StepAccount) -> Sequence[Section]:
        prices = account.records.select(pl.col(self.into).drop_nulls()).collect()[self.into]
        if prices.is_empty():
            return [Section("Prices", [Text("No record has a price.")])]
        row = [len(prices), prices.min(), prices.median(), prices.max()]
        return [Section("Prices", [BlockTable(["records", "lowest", "median", "highest"], [row])])]
