"""The changes that are asked for, each loaded and checked before anything runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from datakit.artifacts.ablation import Change, Job
from datakit.core.errors import DatakitError, RecipeErrors, UserError
from datakit.core.plain_yaml import YamlFault, parse
from datakit.core.record import digest
from datakit.recipe.recipe import Recipe
from datakit.run.columns import check_columns

SPLIT = "curate.split"
SEED = 42
"""The trainer's seed of the first training, where the recipe says none."""
_LONGEST = 40
_EXAMPLE = "Example: --set train.learning_rate=1e-5,1e-4"
_NEEDED = "given by no earlier step"
_INSTEAD = "Change what needs it instead, such as --set render.chat.prompt=…: the step may stay, unread."


@dataclass(frozen=True)
class Load:
    """How a recipe is loaded with values replaced and a step left out."""

    call: Callable[[Sequence[str], str], Recipe]

    def base(self) -> Recipe:
        return self.call((), "")

    def job(self, job: Job) -> Recipe:
        """The recipe of one training: the trainer's seed differs, and the split that is held out does not.

        Findings of the verdict that a change brings along fail no build: they are what is to be measured.
        Nobody signs these builds: what a person signs is the build of the recipe.
        """
        recipe = self.base()
        section = recipe.data.get("train")
        first = section.get("seed") if isinstance(section, dict) else None
        own = [f"name={job.path.name}", "run.fail_on=[]", "run.require_signoff=false"]
        own += [f"train.seed={(SEED if first is None else int(first)) + job.seed - 1}"] if section else []
        return self.call([*(text for text in (job.change.set,) if text), *own], job.change.drop)

    def change(self, change: Change) -> Recipe:
        return self.call([change.set] if change.set else [], change.drop)


def asked(drops: Iterable[str], sets: Iterable[str]) -> list[Change]:
    """The changes that the options name, each once, in their order. Raises UserError for a broken one."""
    changes = []
    for step in drops:
        if not step.strip():
            raise UserError("--drop names no step", remedy="Example: --drop guard.image")
        changes.append(Change(name=_name(f"drop-{step}"), drop=step.strip()))
    for text in sets:
        key, sign, values = text.partition("=")
        if not sign or not key.strip():
            raise UserError(f"--set {text!r} is not key=value,value", remedy=_EXAMPLE)
        for value in _values(values, text):
            words = value if isinstance(value, str) and _is_plain(value) else orjson.dumps(value).decode()
            changes.append(Change(name=_name(f"{key.strip()}-{words}"), set=f"{key.strip()}={words}"))
    return list({change.words: change for change in changes}.values())


def _values(text: str, option: str) -> list[Any]:
    """The values between commas, each YAML; a list or mapping in brackets is one."""
    try:
        values = parse(f"[{text}]") if text.strip() else None
    except YamlFault:
        values = None
    if not isinstance(values, list) or not values:
        raise UserError(f"--set {option!r}: the values are not YAML between commas", remedy=_EXAMPLE)
    return values


def _is_plain(value: str) -> bool:
    """Whether YAML reads a text as itself."""
    try:
        return bool(parse(value) == value)
    except YamlFault:
        return False


def _name(text: str) -> str:
    """A name for folders: the words as far as they can stand there, and a digest, so that it is its own."""
    plain = re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")[:_LONGEST]
    return f"{plain}-{digest(text, size=3).hex()}"


def checked(changes: Sequence[Change], load: Load) -> tuple[list[Change], list[str]]:
    """The changes that change something, and notes of those that do not. Nothing is run.

    Raises UserError with everything that is wrong: unknown steps and keys, and a dropped step on which
    others depend.
    """
    base = load.base()
    if base.tasks:
        raise UserError(
            f"the recipe `{base.name}` has several tasks, and an ablation compares one",
            remedy="Ablate a recipe of each task.",
            where=str(base.path),
        )
    if not base.data.get("train"):
        raise UserError(
            "the recipe has no `train:` section, so no change can be trained",
            remedy="Add one, such as `train: {model: Qwen/Qwen2.5-VL-7B-Instruct, method: lora}`.",
            where=str(base.path),
        )
    check_columns(base, base.context())
    kept, notes, faults = [], [], []
    for change in changes:
        try:
            recipe = _checked_one(change, load)
        except DatakitError as error:
            faults.append(_fault(change, error))
            continue
        if recipe.data == base.data:
            notes.append(f"{change.words} is what the recipe has: it is the base")
        else:
            kept.append(change)
    if faults:
        raise UserError("nothing was run, because of these changes:\n" + "\n".join(faults))
    if not kept:
        raise UserError("no change is left to compare", remedy="; ".join(notes) or _EXAMPLE)
    return kept, notes


def _fault(change: Change, error: DatakitError) -> str:
    """What is wrong with a change, in lines; of a dropped step which others need it, and no more of them."""
    text = str(error)
    needed = bool(change.drop) and _NEEDED in text
    if needed and isinstance(error, RecipeErrors):
        text = "\n".join(f"{one.where}  {one.message.splitlines()[0]}" for one in error.errors)
    what = "others depend on the step" if needed else "the recipe with this change is refused"
    lines = [*text.splitlines(), *([_INSTEAD] if needed else [])]
    head = f"  {' '.join(change.options)}: {what}:"
    return "\n".join([head, *(f"    {line}".rstrip() for line in lines)])


def _checked_one(change: Change, load: Load) -> Recipe:
    if change.drop.partition("#")[0] == SPLIT:
        raise UserError("without it nothing is held out to compare on", remedy=f"Keep {SPLIT}.")
    if change.set.partition("=")[0].split(".")[0] in ("run", "name", "version"):
        raise UserError("this key changes nothing that a model learns", remedy=_EXAMPLE)
    if change.set.partition("=")[0] in ("train.seed", "train.data_seed"):
        raise UserError("seeds are no change of the recipe", remedy="Train several times: --seeds 3")
    recipe = load.change(change)
    check_columns(recipe, recipe.context())
    if not recipe.data.get("train"):
        raise UserError("without `train:` there is nothing to compare", remedy=_EXAMPLE)
    return recipe
