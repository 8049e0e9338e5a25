"""What a finished build says of the model that it trained, for a step that asks it in another recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import UserError
from datakit.core.outcome import Rejected
from datakit.core.record import TRAIN, repeat_of
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Guard, Row
from datakit.core.workers import WrittenPrompt
from datakit.recipe.recipe import Step
from datakit.run.keys import fingerprint
from datakit.run.prompt_steps import prompt_steps
from datakit.serving.prompting import BuildPrompts, changes
from datakit.serving.requirements import trained_rooms


def training_of(folder: Path, form: str | None) -> Training:
    """What a build says; read once. Raises UserError where it is gone or has no prompts."""
    build = BuildFolder.open(folder)
    return _training(str(build.path), form, build.manifest_file.stat().st_mtime_ns)


@dataclass(frozen=True)
class Training:
    """What a finished build says of its model."""

    prompts: BuildPrompts
    writer: Any
    columns: tuple[str, ...]
    """Columns that its prompts take."""
    name: str
    content: str
    """Content hash of what it was trained on."""
    served_name: str
    rooms: tuple[int, ...]
    """Tokens for the answer of each turn."""
    ids: frozenset[str]
    pictures: frozenset[str]
    """Of its training part: what the model has learnt by heart."""
    changes: tuple[Callable[[Row], Row], ...] = ()
    """What guards of its recipe do to the texts of a prompt."""

    def knows(self, id_: str, images: Sequence[str]) -> bool:
        """Whether the model was trained on the record, by id or by the content of a picture."""
        return repeat_of(id_)[0] in self.ids or not self.pictures.isdisjoint(images)

    def prompt(self, row: Row) -> WrittenPrompt | Rejected:
        """The record's prompt as the training would have written it, or why there is none."""
        row = {**row, "images": row["images"] or []}
        for change in self.changes:
            row = {**row, **change(row)}
        prompt: WrittenPrompt | Rejected = self.writer.prompt(row)
        return prompt

    def check_steps(self, context: StepContext) -> None:
        """Raises UserError where the context's recipe makes a column of the prompt otherwise than the
        training did."""
        prompts = self.prompts
        steps, _ = prompt_steps(prompts.recipe, prompts.chat, prompts.context)
        then = {step["number"]: step["fingerprint"] for step in prompts.build.manifest.steps}
        for step in steps:
            if isinstance(step.transform, Guard):
                continue  # its changes are made here: `prompt`
            for column in step.transform.outputs(prompts.context):
                own = _maker(column, context)
                if own is None or fingerprint(own, context) == then.get(step.number):
                    continue
                raise UserError(
                    f"{own.name()} writes `{column}` otherwise than it did for the training of {self.name}, "
                    "so the model would be asked what it was not trained for",
                    remedy="Give it the parameters (and the endpoint) that it has in "
                    f"{prompts.build.recipe_file}.",
                )


@lru_cache(maxsize=4)
def _training(path: str, form: str | None, _changed: int) -> Training:
    build = BuildFolder.open(path)
    prompts = BuildPrompts.load(build, rendered=form is None, form=form)
    learnt = build.main.filter(pl.col("part") == TRAIN).select("id", "images").collect()
    ids = frozenset(repeat_of(id_)[0] for id_ in learnt["id"])
    digests = build.image_digests
    pictures: set[str] = set()
    if digests is not None:
        paths = learnt.select(path=pl.col("images").explode()).drop_nulls().unique()
        pictures.update(paths.lazy().join(digests, on="path").collect()["sha256"].drop_nulls())
    serve = build.section("serve")
    return Training(
        prompts=prompts,
        writer=prompts.chat.writer(prompts.context),
        columns=prompts.chat.prompt_columns(prompts.context),
        name=str(build.recipe.get("name") or build.path.name),
        content=build.manifest.content,
        served_name=str(serve.get("name") or build.recipe.get("name") or build.path.name),
        rooms=trained_rooms(build),
        ids=ids,
        pictures=frozenset(pictures),
        changes=tuple(change for _, change in changes(_guards(prompts), prompts.context)),
    )


def _guards(prompts: BuildPrompts) -> list[Step]:
    """The guards that change texts of a prompt, whichever record it is of."""
    steps, _ = prompt_steps(prompts.recipe, prompts.chat, prompts.context)
    return [step for step in steps if isinstance(step.transform, Guard)]


def _maker(column: str, context: StepContext) -> Annotator | None:
    """The step of a recipe that makes a column; None where a source brings it, or nobody does."""
    makers = [
        step
        for step in context.steps
        if isinstance(step, Annotator) and column in step.outputs(context.for_step(step))
    ]
    return makers[-1] if makers else None
