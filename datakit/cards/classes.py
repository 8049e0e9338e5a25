"""The classes: how many records each has, before and after repeats, and what each means."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.pages import charts
from datakit.pages.blocks import Block, Cell, Chart, Section, Table, Text

MOST_BARS = 40
MOST_ROWS = 200


def classes_section(build: BuildFolder, table: pl.DataFrame, block: Mapping[str, str]) -> Section:
    """Counts of each class; `block` gives descriptions when the label file is out of reach."""
    if table.is_empty():
        return Section("Classes", [])
    descriptions = dict(block)
    if build.labels is not None:
        descriptions = {label.name: label.description for label in build.labels.labels}
    repeated = bool((table["rows"] != table["train"]).any())
    has_val = bool(table["val"].sum())
    head = ["class", "training"]
    head += ["rows after repeats"] if repeated else []
    head += ["validation"] if has_val else []
    head += ["what it is"] if any(descriptions.values()) else []
    rows: list[list[Cell]] = []
    for row in table.head(MOST_ROWS).iter_rows(named=True):
        cells: list[Cell] = [row["label"], row["train"]]
        cells += [row["rows"]] if repeated else []
        cells += [row["val"]] if has_val else []
        cells += [descriptions.get(row["label"], "")] if any(descriptions.values()) else []
        rows.append(cells)
    blocks: list[Block] = [_chart(table, repeated), Table(head, rows)]
    if table.height > MOST_ROWS:
        blocks.append(Text(f"The {MOST_ROWS} largest of {table.height:,} classes are shown."))
    blocks.insert(0, Text(_balance(table, repeated)))
    return Section("Classes", blocks)


def _chart(table: pl.DataFrame, repeated: bool) -> Chart:
    shown = table.head(MOST_BARS)
    series = [("records", shown["train"].to_list())]
    if repeated:
        series.append(("rows after repeats", shown["rows"].to_list()))
    title = "Class balance in training"
    if table.height > MOST_BARS:
        title += f" (the {MOST_BARS} largest of {table.height:,})"
    alt = f"{title}: {_balance(table, repeated)}"
    return Chart("classes", alt, charts.bars(title, shown["label"].to_list(), series, "records"))


def _balance(table: pl.DataFrame, repeated: bool) -> str:
    have = table.filter(pl.col("train") > 0)
    if have.is_empty():
        return "No class has training records."
    largest, least = int(have["train"].to_list()[0]), int(have["train"].to_list()[-1])
    text = f"{have.height:,} classes in training; the largest has {largest:,} records, the smallest {least:,}"
    if repeated:
        low, high = (
            value or 0 for value in (have["rows"].to_list() and (min(have["rows"]), max(have["rows"])))
        )
        text += f"; after repeats the rows range from {low:,} to {high:,}"
    return text + "."
