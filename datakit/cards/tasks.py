"""What a card says of a build of several tasks: a table of them, and sections of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.task_blocks import OF_TASKS
from datakit.core.wording import t
from datakit.pages.blocks import Block, Cell, Chart, Gallery, Section, Table, Text
from datakit.pages.figures import collect


def of_each(build: BuildFolder, make: Callable[[BuildFolder], Section]) -> list[Section]:
    """A section of the build; of several tasks one of each, with the task's name."""
    if not build.tasks:
        return [make(build)]
    return [named(make(task), task.path.name) for task in build.tasks]


def named(section: Section, task: str) -> Section:
    """The section with the task in its title and in the names of its charts."""
    blocks: list[Block] = [
        replace(block, name=f"{block.name}-{task}")
        if isinstance(block, Chart)
        else replace(block, sheet=replace(block.sheet, name=f"{block.sheet.name}-{task}"))
        if isinstance(block, Gallery) and block.sheet is not None
        else block
        for block in section.blocks
    ]
    return replace(section, title=t("{title} of {task}", title=section.title, task=task), blocks=blocks)


def tasks_section(build: BuildFolder) -> Section:
    """The tasks side by side: records, rows, share of the training, and what was repeated for it."""
    if not build.tasks:
        return Section(t("Tasks"), [])
    weighed = build.notes(OF_TASKS).get("tasks") or {}
    rows: list[list[Cell]] = []
    counts = [_counts(task) for task in build.tasks]
    whole = {row["task"]: row["rows"] for row in _training_rows(build).iter_rows(named=True)}
    total = max(sum(whole.values()), 1)
    for task, (train, val) in zip(build.tasks, counts, strict=True):
        name = task.path.name
        classes = len(task.labels.names) if task.labels is not None else t("none")
        mine = whole.get(name, 0)
        rows.append([name, classes, train, val, mine, f"{mine / total:.1%}"])
    head = [
        t("task"),
        t("labels"),
        t("training records"),
        t("validation records"),
        t("training rows"),
        t("share of the rows"),
    ]
    blocks: list[Block] = [
        Text(
            t(
                "One data set and one split for all: records that belong together, of whichever "
                "task, stand on one side. Each task has its own labels, prompt and answer, and "
                "is scored by them (--task NAME)."
            )
        ),
        Table(head, rows),
    ]
    repeated = [
        t(
            "{name}: {repeated:,} of {records:,} training records stand more often, so that {rows_before:,} "
            "rows became {rows:,} ({share:.1%} of the tasks' rows, wanted {wanted:.1%})",
            name=name,
            **{key: facts[key] for key in ("repeated", "records", "rows_before", "rows", "share", "wanted")},
        )
        for name, facts in weighed.items()
        if facts["repeated"]
    ]
    if weighed:
        blocks.append(
            Text(
                t(
                    "Repeated for the weights of the tasks: {what}.",
                    what=t("; ").join(repeated) or t("nothing"),
                )
            )
        )
    return Section(t("Tasks"), blocks)


def _training_rows(build: BuildFolder) -> pl.DataFrame:
    frame = build.main.filter(pl.col("part") == "train")
    return collect(frame.group_by("task").agg(rows=pl.col("rows").cast(pl.Int64).sum()))


def _counts(task: BuildFolder) -> tuple[int, int]:
    parts = dict(collect(task.main.group_by("part").agg(pl.len())).iter_rows())
    return parts.get("train", 0), parts.get("val", 0)
