"""A `task:` block among the steps of a recipe, and which blocks may stand beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from datakit.core.errors import UserError
from datakit.core.labels import LabelSet
from datakit.core.plain_yaml import Key
from datakit.core.registry import find
from datakit.core.settings import Settings
from datakit.core.transform import Reader

MOST_TASKS = 32


class TaskSettings(Settings):
    """One of several tasks that a recipe builds side by side: its sources, labels, prompt and answer.

    The steps of a block see the records of their task alone; steps behind the blocks see those of all, in
    which the column `task` has the name. A block of a name that stood before goes on with that task.
    """

    name: str = Field(pattern=r"^[\w-]{1,40}$")
    """Letters, digits, `_` and `-`: the value of the column `task`, and of `--task` of the commands."""
    labels: str | None = None
    """Path of the task's label file, from the recipe; that of the recipe when not given."""
    weight: float | None = Field(default=None, gt=0, le=1000)
    """Its part of the training rows beside the weights of the others (1 and 3: a quarter and three). Reached
    by repeating records, at most as often as balance.tasks allows; none is dropped. All tasks have one, or
    none has: rows then stay as they come."""
    steps: list[Any] = Field(min_length=1)
    """The task's steps. The first of its first block is a reader."""


@dataclass(frozen=True)
class Task:
    """One of several tasks of a checked recipe."""

    name: str
    labels: LabelSet | None
    weight: float | None
    where: str
    """Its first block, `file:line:column`."""


@dataclass(frozen=True)
class Block:
    """A checked block, in its place."""

    key: Key
    settings: TaskSettings

    @property
    def reads(self) -> bool:
        """Whether its first step is a reader, as far as its name says."""
        row = self.settings.steps[0]
        name = row if isinstance(row, str) else next(iter(row), "") if isinstance(row, dict) else ""
        with suppress(UserError):
            return issubclass(find(str(name)), Reader)
        return True  # the step's own fault


def block_faults(blocks: Sequence[Block]) -> Iterator[tuple[Key, str, str]]:
    """What is wrong between blocks: place, message, remedy."""
    first: dict[str, Block] = {}
    for block in blocks:
        name = block.settings.name
        folded = next((other for other in first if other.lower() == name.lower()), None)
        if folded is None:
            first[name] = block
            if not block.reads:
                words = f"the first step of the task `{name}` is no reader"
                yield (*block.key, "steps"), words, "Begin with a reader, such as read.jsonl."
        elif folded != name:
            words = f"the tasks `{folded}` and `{name}` differ in their capitals alone"
            yield (*block.key, "name"), words, "Their folders in the build would be one. Rename one of them."
        elif block.reads or block.settings.labels is not None or block.settings.weight is not None:
            yield (
                (*block.key, "name"),
                f"two tasks are called `{name}`",
                "Give one another name. A block that goes on with a task has neither a reader nor `labels` "
                "nor `weight`.",
            )
    if len(first) > MOST_TASKS:
        yield ("steps",), f"{len(first)} tasks, at most {MOST_TASKS} are built side by side", ""
    weighted = [block for block in first.values() if block.settings.weight is not None]
    for block in first.values() if weighted else ():
        if block.settings.weight is None:
            words = f"`{block.settings.name}` has no `weight`, and `{weighted[0].settings.name}` has one"
            yield block.key, words, "Give every task a weight, or none."
