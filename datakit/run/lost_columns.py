"""Columns of sources that mean something to a trainer, and that nothing in a recipe would take up."""

from __future__ import annotations

from dataclasses import dataclass

from datakit.core.chat_columns import BESIDE
from datakit.core.counted import counted
from datakit.core.errors import UserError
from datakit.core.step_context import StepContext
from datakit.core.training_columns import SourceColumn
from datakit.core.transform import EVERY, Emitter, Reader, Renderer
from datakit.recipe.recipe import Recipe, Step


def lost_columns(recipe: Recipe, context: StepContext) -> list[UserError]:
    """An error for each source with such columns: what they are, in how many records, what can be done.

    A column is taken up when a step reads it, or when every emitter has a place for it. A step that only
    compares or masks what stands beside the chats takes nothing up. Where a template writes the chats anew,
    what belonged to the source's own chats is not looked at.
    """
    places = _Places.of(recipe, context)
    errors = []
    for step in recipe.steps:
        # general data is mixed in as chats alone, by a step that has its reader as `source`
        mixed = getattr(step.transform, "source", None)
        reader = mixed if isinstance(mixed, Reader) else step.transform
        if not isinstance(reader, Reader):
            continue
        lost = {
            column: without
            for column in reader.training_columns(context.in_task(step.task).for_step(step.transform))
            if (without := [step.name] if reader is mixed else places.lacking(column))
        }
        if lost:
            errors.append(_error(step, lost))
    return errors


@dataclass(frozen=True)
class _Places:
    """Where columns of sources go in a recipe."""

    read: frozenset[str]
    """Columns that a step reads."""
    emitters: dict[str, tuple[str, ...]]
    """Emitter -> columns that it has a place for."""
    writes_anew: bool
    """Whether templates replace the chats of the sources."""

    @classmethod
    def of(cls, recipe: Recipe, context: StepContext) -> _Places:
        read = {name for step in recipe.steps for name in _reads(step, context)}
        read |= {name for step in recipe.emitters for name in step.transform.inputs(context)}
        emitters = {
            step.name: step.transform.carries(context)
            for step in recipe.emitters
            if isinstance(step.transform, Emitter)
        }
        # a renderer that leaves the records their chats says so by a parameter of this name
        renderers = [step.transform for step in recipe.steps if isinstance(step.transform, Renderer)]
        anew = any(not getattr(renderer, "keep_messages", False) for renderer in renderers)
        return cls(frozenset(read), emitters, anew)

    def lacking(self, column: SourceColumn) -> list[str]:
        """The emitters that have no place for it; none where that loses nothing."""
        if column.column in self.read or (self.writes_anew and column.meaning.only_chats):
            return []
        return [
            name
            for name, carried in self.emitters.items()
            if not column.column or (column.column not in carried and carried != EVERY)
        ]


def _reads(step: Step, context: StepContext) -> tuple[str, ...]:
    if isinstance(step.transform, Reader):
        return ()
    reads = step.transform.reads(context.in_task(step.task).for_step(step.transform))
    # these read every column of the chats, to find records that ask the same or name somebody
    compares = step.name.startswith("curate.") or step.name == "guard.personal_data"
    return tuple(name for name in reads if not (compares and name in BESIDE))


def _error(step: Step, lost: dict[SourceColumn, list[str]]) -> UserError:
    facts = [
        f"{'the key' if column.of_turns else 'the column'} `{column.name}`{' of turns' * column.of_turns}: "
        f"{column.meaning.meaning}, in {counted(column.records, 'record')}; "
        f"{', '.join(without)} has no place for it"
        for column, without in lost.items()
    ]
    own = list(dict.fromkeys(column.meaning.remedy for column in lost if column.meaning.remedy))
    names = ", ".join(column.name for column in lost)
    remedy = f"Leave it out with `drop: [{names}]`, or choose an emitter that has a place for it."
    return UserError(
        f"step {step.number} ({step.name}) would lose\n    " + "\n    ".join(facts),
        remedy=" ".join([*own, remedy]),
        where=step.where,
    )
