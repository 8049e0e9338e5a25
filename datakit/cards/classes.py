"""The classes: how many records each has, before and after repeats, and what each means."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.wording import t
from datakit.pages import charts
from datakit.pages.blocks import Block, Cell, Chart, Section, Table, Text

MOST_BARS = 40
MOST_ROWS = 200


def classes_section(build: BuildFolder, table: pl.DataFrame, block: Mapping[str, str]) -> Section:
    """Counts of each class; `block` gives descriptions when the label file is out of reach."""
    if table.is_empty():
        return Section(t("Classes"), [])
    descriptions = dict(block)
    if build.labels is not None:
        descriptions = {label.name: label.description for label in build.labels.labels}
    repeated = bool((table["rows"] != table["train"]).any())
    has_val = bool(table["val"].sum())
    head = [t("class"), t("training")]
    head += [t("rows after repeats")] if repeated else []
    head += [t("validation")] if has_val else []
    head += [t("what it is")] if any(descriptions.values()) else []
    rows: list[list[Cell]] = []
    for row in table.head(MOST_ROWS).iter_rows(named=True):
        cells: list[Cell] = [row["label"], row["train"]]
        cells += [row["rows"]] if repeated else []
        cells += [row["val"]] if has_val else []
        cells += [descriptions.get(row["label"], "")] if any(descriptions.values()) else []
        rows.append(cells)
    blocks: list[Block] = [_chart(table, repeated), Table(head, rows)]
    if table.height > MOST_ROWS:
        blocks.append(
            Text(
                t(
                    "The {most_rows} largest of {height:,} classes are shown.",
                    most_rows=MOST_ROWS,
                    height=table.height,
                )
            )
        )
    blocks.insert(0, Text(_balance(table, repeated)))
    return Section(t("Classes"), blocks)


def _chart(table: pl.DataFrame, repeated: bool) -> Chart:
    shown = table.head(MOST_BARS)
    series = [(t("records"), shown["train"].to_list())]
    if repeated:
        series.append((t("rows after repeats"), shown["rows"].to_list()))
    title = t("Class balance in training")
    if table.height > MOST_BARS:
        title += t(" (the {most_bars} largest of {height:,})", most_bars=MOST_BARS, height=table.height)
    alt = f"{title}: {_balance(table, repeated)}"
    return Chart("classes", alt, charts.bars(title, shown["label"].to_list(), series, t("records")))


def _balance(table: pl.DataFrame, repeated: bool) -> str:
    have = table.filter(pl.col("train") > 0)
    if have.is_empty():
        return t("No class has training records.")
    largest, least = int(have["train"].to_list()[0]), int(have["train"].to_list()[-1])
    text = t(
        "{height:,} classes in training; the largest has {largest:,} records, the smallest {least:,}",
        height=have.height,
        largest=largest,
        least=least,
    )
    if repeated:
        low, high = (
            value or 0 for value in (have["rows"].to_list() and (min(have["rows"]), max(have["rows"])))
        )
        text += t("; after repeats the rows range from {low:,} to {high:,}", low=low, high=high)
    return text + t(".")
