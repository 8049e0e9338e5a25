"""Whether a build's prompts still fit with another label set: each is written anew, and measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import UserError
from datakit.core.labels import LabelSet
from datakit.core.outcome import Rejected
from datakit.core.step_context import StepContext
from datakit.core.writer import Writer
from datakit.guard.prompt_length import PromptLength
from datakit.recipe.recipe import Recipe
from datakit.render.chat import Chat

MOST = 20_000
"""Records whose prompts are written, the longest first: the others have more room."""
_BATCH = 500


@dataclass(frozen=True)
class PromptRoom:
    """The prompts of a recipe with one label set."""

    prompts: int
    longest: int
    """Characters of the user turns of the longest prompt that fits."""
    bound: int | None
    """The most that it may have; None where nothing bounds it."""
    too_long: int
    """Prompts that do not fit, whatever gives way: these records would be rejected."""
    shortened: int
    """Prompts that fit because a column of `shrink` gave way."""

    def fits_as(self, before: PromptRoom) -> bool:
        """Whether every record that has a prompt before has one here."""
        return self.too_long <= before.too_long


def prompt_room(build: BuildFolder, recipe: Recipe, labels: LabelSet | None) -> PromptRoom | None:
    """The room of a build's prompts with other labels; None for a recipe without render.chat."""
    context = replace(recipe.context(), labels=labels)
    chats = [step.transform for step in recipe.steps if isinstance(step.transform, Chat)]
    if not chats:
        return None
    chat = chats[-1]
    writers = _writers(chat, context)
    bounds = [writer.max_chars for writer in writers] + [
        step.transform.max_chars
        for step in recipe.steps
        if isinstance(step.transform, PromptLength) and step.transform.column == "messages"
    ]
    bound = min((each for each in bounds if each is not None), default=None)
    counts = {"prompts": 0, "longest": 0, "too_long": 0, "shortened": 0}
    for record in _records(build, chat, context):
        for writer in writers:
            prompted = writer.prompt(record)
            counts["prompts"] += 1
            if isinstance(prompted, Rejected):
                counts["too_long"] += prompted.reason == "prompt_too_long"
            elif bound is not None and prompted.chars > bound:
                counts["too_long"] += 1
            else:
                counts["longest"] = max(counts["longest"], prompted.chars)
                counts["shortened"] += prompted.rung > 0
    return PromptRoom(bound=bound, **counts)


def _writers(chat: Chat, context: StepContext) -> list[Writer]:
    """One for each form of the label block."""
    blocks = chat.label_block if isinstance(chat.label_block, tuple) else (chat.label_block,)
    return [chat.model_copy(update={"label_block": block}).writer(context) for block in blocks]


def _records(build: BuildFolder, chat: Chat, context: StepContext) -> Iterator[dict[str, object]]:
    """The columns of the prompts, of the records with the longest ones."""
    wanted = dict.fromkeys(("id", "images", *chat.prompt_columns(context)))
    missing = [name for name in wanted if name not in build.columns]
    if missing:
        raise UserError(
            f"the records of {build.path} do not have what the prompts take: {', '.join(missing)}",
            remedy="Build again.",
        )
    frame = build.main
    if "prompt_chars" in build.columns:
        frame = frame.sort("prompt_chars", descending=True, nulls_last=True, maintain_order=True)
    rows = frame.select(pl.col(list(wanted))).head(MOST).collect()
    for batch in rows.iter_slices(_BATCH):
        yield from islice(batch.iter_rows(named=True), _BATCH)
