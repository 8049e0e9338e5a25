"""Task blocks of a recipe as plain data: `- task: {name, labels, weight, steps}` among its steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

TASK = "task"
"""The step that is a block, and the column that says which task a record is of."""

OF_TASKS = "balance.tasks"
"""The step that weighs tasks against each other."""


def block_of(row: Any) -> Mapping[str, Any] | None:
    """The parameters of a row that is a task block; None for any other step."""
    block = row.get(TASK) if isinstance(row, Mapping) and list(row) == [TASK] else None
    return block if isinstance(block, Mapping) else None


def flat_steps(data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Task and row of every step in order, those of blocks in their place; "" for a step of all tasks."""
    rows = data.get("steps")
    for row in rows if isinstance(rows, list) else ():
        block = block_of(row)
        if block is None:
            yield "", row
            continue
        inner = block.get("steps")
        for inner_row in inner if isinstance(inner, list) else ():
            yield str(block.get("name")), inner_row


def task_names(data: Mapping[str, Any]) -> list[str]:
    """The tasks of a recipe in order; none for a recipe of one task, which has no blocks."""
    rows = data.get("steps")
    blocks = [block_of(row) for row in rows] if isinstance(rows, list) else []
    return list(dict.fromkeys(str(block.get("name")) for block in blocks if block is not None))


def labels_of(data: Mapping[str, Any], task: str) -> Any:
    """What names a task's label file: its own, else the recipe's; None for none."""
    blocks = [block_of(row) for row in data.get("steps") or ()]
    own = [block.get("labels") for block in blocks if block is not None and block.get("name") == task]
    return next((labels for labels in own if labels is not None), data.get("labels"))


def _is_of_tasks(row: Any) -> bool:
    """Whether a step has a meaning beside other tasks only."""
    return OF_TASKS in row if isinstance(row, Mapping) else row == OF_TASKS


def for_task(data: Mapping[str, Any], task: str) -> dict[str, Any]:
    """The recipe of one task alone: its own steps and those of all, in their order."""
    own = {key: value for key, value in data.items() if key not in ("labels", "steps")}
    labels = labels_of(data, task)
    steps = [row for name, row in flat_steps(data) if name in ("", task) and not _is_of_tasks(row)]
    return {**own, **({} if labels is None else {"labels": labels}), "steps": steps}
