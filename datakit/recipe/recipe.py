"""A recipe: sources, steps, emitters and settings, checked against every transform's own parameters.

Checking has two phases, and all errors are shown at once with line and column: first the recipe's shape,
then each step's parameters against its class. Columns are checked by `datakit.run.columns`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from datakit.core.contract_words import LANGUAGES
from datakit.core.credentials import FRAGMENT, credentials, masked
from datakit.core.errors import RecipeErrors, UserError, did_you_mean
from datakit.core.labels import LabelSet, load_labels, shown
from datakit.core.parameters import describe_fault, merged_faults, validated, with_text_keys
from datakit.core.plain_yaml import Key
from datakit.core.registry import find
from datakit.core.settings import LlmSettings, RunSettings, Settings
from datakit.core.task_blocks import OF_TASKS, TASK
from datakit.core.transform import Emitter, Reader
from datakit.recipe.checked_recipe import Recipe as Recipe
from datakit.recipe.checked_recipe import Step as Step
from datakit.recipe.checked_recipe import project_of as project_of
from datakit.recipe.overrides import apply_overrides, drop_step
from datakit.recipe.task_settings import Block, Task, TaskSettings, block_faults
from datakit.recipe.yaml_file import Place, YamlFile, load_yaml

VERSION = 1
SPLIT = "curate.split"
TOP = (
    "version",
    "name",
    "seed",
    "language",
    "labels",
    "llm",
    "steps",
    "emit",
    "train",
    "serve",
    "card",
    "run",
)

_PATHS = {"path", "labels", "image_root", "image_base", "template", "prompt", "answer", "referee"}
_PATHS |= {"model", "store", "deepspeed", "det_folder", "rec_folder"}
"""Keys whose texts are looked for as files or folders."""


SectionCheck = Callable[[Mapping[str, Any], Path], Iterable[tuple[Key, str, str]]]
"""Of a recipe as plain data and its folder: each fault's place, what is wrong, and what to do."""


def _owner(place: Key) -> str | int:
    """The key that a value stands under, itself or in a list."""
    return place[-2] if len(place) > 1 and isinstance(place[-1], int) else place[-1]


def _is_too_long(path: str) -> bool:
    """Whether no common file system has such a path (Linux: 255 bytes a name, 4,096 in all)."""
    return len(path.encode()) > 4000 or any(len(part.encode()) > 255 for part in path.split("/"))


def load_recipe(
    path: str | Path,
    *,
    overrides: Iterable[str] = (),
    drop: str = "",
    sections: Mapping[str, type[Settings]] | None = None,
    checks: Sequence[SectionCheck] = (),
) -> Recipe:
    """The checked recipe of a file. Raises RecipeErrors with everything that is wrong, sorted by line.

    `overrides` are `key=value` texts (`run.concurrency=8`, `annotate.ocr.engine=paddleocr`),
    `drop` names a step that is left out.
    `sections` gives the models of later stages' sections, `checks` what else must be true of them.
    """
    file = load_yaml(Path(path).absolute())
    if isinstance(file.data, dict):
        file.data = with_text_keys(apply_overrides(file.data, overrides))
        if drop:
            file.places = _without_step(file.places, drop_step(file.data, drop))
    return _Checker(file, dict(sections or {}), checks).recipe()


def _without_step(places: Mapping[Key, Place], gone: int) -> dict[Key, Place]:
    """Where each value stands, the steps behind one that is left out having moved up."""
    moved = dict[Key, Place]()
    for key, place in places.items():
        at = key[1] if len(key) > 1 and key[0] == "steps" else None
        if not isinstance(at, int) or at < gone:
            moved[key] = place
        elif at > gone:
            moved[(key[0], at - 1, *key[2:])] = place
    return moved


class _Checker:
    def __init__(
        self, file: YamlFile, sections: dict[str, type[Settings]], checks: Sequence[SectionCheck]
    ) -> None:
        self.file, self.sections, self.errors = file, sections, list[UserError]()
        self.checks, self.faulty = checks, set[Key]()
        self.blocks: list[Block] = []

    def recipe(self) -> Recipe:
        if not isinstance(self.file.data, dict):
            raise RecipeErrors([UserError("a recipe is a mapping with `steps:`", where=self.file.where(()))])
        data = self.file.data
        self._credentials(data, credentials(), ())
        before = len(self.errors)
        self._texts(data, ())
        if len(self.errors) > before:
            raise RecipeErrors(self.errors)  # what follows looks for files of these names
        self._top(data)
        steps = self._steps(data.get("steps"), "steps")
        emitters = self._steps(data.get("emit"), "emit")
        self._order(steps, emitters)
        llm = self._section(data, "llm", LlmSettings) or LlmSettings()
        run = self._section(data, "run", RunSettings) or RunSettings()
        others = {key: self._section(data, key, model) for key, model in self.sections.items() if key in data}
        labels = self._labels(data.get("labels"), ("labels",))
        tasks = self._tasks(labels)
        steps += self._weighing(steps, tasks)
        for check in self.checks:
            for place, message, remedy in check(data, self.file.path.parent):
                if place not in self.faulty:
                    self._fault(place, message, remedy)
        self._finite(data, ())
        if self.errors:
            raise RecipeErrors(self.errors)
        return Recipe(
            path=self.file.path,
            name=str(data.get("name", self.file.path.stem)),
            seed=data.get("seed", 7),
            steps=tuple(steps),
            emitters=tuple(emitters),
            llm=llm,
            run=run,
            labels=labels,
            language=data.get("language"),
            sections={key: value for key, value in others.items() if value is not None},
            data=data,
            tasks=tasks,
            places={str(key): self.file.where((key,)) for key in data},
        )

    def _fault(self, key: Key, message: str, remedy: str = "") -> None:
        where = self.file.where(key)
        self.errors.append(UserError(masked(message), remedy=masked(remedy), where=where))

    def _finite(self, value: Any, key: Key) -> None:
        """`.nan` and `.inf` are no JSON, in which a build keeps its settings, and compare with nothing."""
        if isinstance(value, dict | list):
            for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
                self._finite(inner, (*key, name))
        elif isinstance(value, float) and not isfinite(value) and not self._is_told(key):
            self._fault(key, f"`{key[-1]}` is {value}, which is no number to work with", "Leave it out.")

    def _is_told(self, key: Key) -> bool:
        return any(error.where == self.file.where(key) for error in self.errors)

    def _credentials(self, value: Any, held: Mapping[str, str], key: Key) -> None:
        """A recipe stands in the build and on the card: no value of it may hold a key."""
        if isinstance(value, dict):
            for name, inner in value.items():
                self._credentials(str(name), held, (*key, name))
                self._credentials(inner, held, (*key, name))
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                self._credentials(inner, held, (*key, index))
        elif isinstance(value, str) and len(value) >= FRAGMENT:
            for variable, secret in held.items():
                if len(secret) >= FRAGMENT and not secret.isalpha() and secret in value:
                    what = f"the value of the environment variable {variable} stands here"
                    self._fault(key, what, "Take it out: a recipe is part of the build and of its card.")

    def _texts(self, value: Any, key: Key) -> None:
        """No name, path or command can hold a NUL, and no path is longer than the system takes."""
        items = list(enumerate(value)) if isinstance(value, list) else []
        pairs: list[tuple[Any, Any]] = list(value.items()) if isinstance(value, dict) else items
        for name, inner in pairs:
            place = (*key, name)
            self._texts(inner, place)
            if any(isinstance(text, str) and "\0" in text for text in (name, inner)):
                self._fault(place, "a NUL character (\\0) stands here", "Take it out.")
            elif isinstance(inner, str) and _owner(place) in _PATHS and _is_too_long(inner):
                self._fault(place, f"no path is so long: {len(inner):,} characters", "Shorten it.")

    def _top(self, data: dict[str, Any]) -> None:
        for key in data:
            if key not in TOP:
                all_keys = f"All keys: {', '.join(TOP)}"
                self._fault((key,), f"unknown key `{key}`", did_you_mean(str(key), TOP) or all_keys)
        if data.get("version", VERSION) != VERSION:
            self._fault(
                ("version",),
                f"version {data['version']!r} is not known",
                f"This datakit reads version {VERSION}.",
            )
        name = data.get("name", self.file.path.stem)
        if not isinstance(name, str) or not name.replace("_", "").replace("-", "").isalnum():
            self._fault(("name",), f"name {name!r} must be letters, digits, `_` and `-`")
        seed = data.get("seed", 7)
        if type(seed) is not int or seed < 0:
            self._fault(("seed",), f"`seed` must be a whole number from 0, not {seed!r}")
        language = data.get("language")
        if language is not None and language not in LANGUAGES:
            hint = did_you_mean(str(language), LANGUAGES) or "Take `zh` (Chinese) or `en` (English)."
            self._fault(("language",), f"there are no prompts in the language {language!r}", hint)

    def _steps(self, rows: Any, section: str) -> list[Step]:
        if not isinstance(rows, list) or not rows:
            self._fault((section,), f"`{section}:` must be a list with at least one step")
            return []
        steps: list[Step] = []
        number = 0
        for index, row in enumerate(rows):
            place: Key = (section, index)
            if section == "emit" or not isinstance(row, dict) or list(row) != [TASK]:
                number += 1
                steps += self._step(row, place, number)
                continue
            settings = self._block((*place, TASK), row[TASK])
            if settings is None:
                continue
            for at, inner in enumerate(settings.steps):
                number += 1
                inner_place: Key = (*place, TASK, "steps", at)
                if isinstance(inner, dict) and TASK in inner:
                    self._fault((*inner_place, TASK), "a task stands in no other task", "Put it behind it.")
                else:
                    own = self._step(inner, inner_place, number)
                    steps += [replace(step, task=settings.name) for step in own]
        return steps

    def _block(self, key: Key, parameters: Any) -> TaskSettings | None:
        try:
            settings = validated(TaskSettings, parameters)
        except ValidationError as error:
            self._parameter_faults(error, key, TaskSettings, "`task:`")
            return None
        self.blocks.append(Block(key, settings))
        return settings

    def _tasks(self, labels: LabelSet | None) -> tuple[Task, ...]:
        """The tasks of the blocks, which have been checked one by one."""
        for place, message, remedy in block_faults(self.blocks):
            self._fault(place, message, remedy)
        tasks: dict[str, Task] = {}
        for block in self.blocks:
            own = block.settings
            if own.name not in tasks:
                file = labels if own.labels is None else self._labels(own.labels, (*block.key, "labels"))
                tasks[own.name] = Task(own.name, file, own.weight, self.file.where(block.key))
        return tuple(tasks.values())

    def _weighing(self, steps: list[Step], tasks: tuple[Task, ...]) -> list[Step]:
        """The step that gives tasks their weights, where the recipe does not place it itself."""
        weighted = [task for task in tasks if task.weight is not None]
        if not weighted or any(step.name == OF_TASKS for step in steps):
            return []
        self.file.data["steps"].append({OF_TASKS: {}})  # a build keeps it written out
        return [Step(len(steps) + 1, validated(find(OF_TASKS), {}), weighted[0].where)]

    def _step(self, row: Any, place: Key, number: int) -> list[Step]:
        """The step of a row; none where it is faulty."""
        section = place[0]
        if isinstance(row, str):
            row = {row: {}}
        if not isinstance(row, dict) or len(row) != 1:
            self._fault(place, "a step is `name: {parameters}`")
            return []
        ((name, parameters),) = row.items()
        key: Key = (*place, name)
        full = f"emit.{name}" if section == "emit" and "." not in str(name) else str(name)
        try:
            kind = find(full)
        except UserError as error:
            self._fault(key, error.message, error.remedy)
            return []
        if parameters is None:
            parameters = {}
        if not isinstance(parameters, dict):
            self._fault(key, f"the parameters of `{name}` must be a mapping, not {parameters!r}")
            return []
        try:
            return [Step(number, validated(kind, parameters), self.file.where(key))]
        except ValidationError as error:
            self._parameter_faults(error, key, kind, f"step {number} ({full})")
            return []

    def _parameter_faults(self, error: ValidationError, key: Key, model: type[BaseModel], what: str) -> None:
        for fault in merged_faults(error, model):
            place = (*key, *fault["loc"])
            text, remedy = describe_fault(fault, model)
            self.faulty.add(place)
            self._fault(place, f"{what}: {text}", remedy)

    def _section(self, data: dict[str, Any], key: str, model: type[Settings]) -> Any:
        value = data.get(key)
        if value is None:
            return None
        data[key] = value = model.filled(value)
        try:
            return validated(model, value)
        except ValidationError as error:
            self._parameter_faults(error, (key,), model, f"`{key}:`")
            return None

    def _labels(self, value: Any, key: Key) -> LabelSet | None:
        if value is None:
            return None
        if not isinstance(value, str):
            self._fault(key, "`labels:` must be the path of a label file")
            return None
        try:
            labels = load_labels((self.file.path.parent / value).resolve())
        except UserError as error:
            what = f"{error.where}: {error.message}" if error.where else error.message
            self._fault(key, what, error.remedy)
            return None
        for name in labels.names:
            if len(name.strip().splitlines()) > 1:
                what = f"the label `{shown(name)}` of {labels.path} has more than one line"
                self._fault(key, what, "An answer states a label on one line: write it on one.")
        return labels

    def _order(self, steps: list[Step], emitters: list[Step]) -> None:
        for step in steps:
            if isinstance(step.transform, Emitter):
                self.errors.append(UserError(f"`{step.name}` belongs under `emit:`", where=step.where))
        for step in emitters:
            if not isinstance(step.transform, Emitter):
                self.errors.append(UserError(f"`{step.name}` belongs under `steps:`", where=step.where))
        if self.blocks:
            self._order_of_tasks(steps)
        elif steps and steps[0].number == 1 and not isinstance(steps[0].transform, Reader | Emitter):
            remedy = "Begin with a reader, such as read.jsonl."
            self.errors.append(
                UserError(f"`{steps[0].name}` has no records to work on", remedy=remedy, where=steps[0].where)
            )

    def _order_of_tasks(self, steps: list[Step]) -> None:
        """What may not stand outside of the blocks, and what may not stand in one."""
        for step in steps:
            if isinstance(step.transform, Reader) and not step.task:
                words = f"`{step.name}` stands outside of the tasks, so its records would be of none"
                remedy = "Put it into the block of a task, as its first step."
            elif step.task and step.name in (SPLIT, OF_TASKS):
                words = f"`{step.name}` stands in a task, and what it decides is of all tasks"
                remedy = "Put it behind the blocks; a block of the same name may go on behind it."
            elif step.transform.of_one_task and not step.task:
                words = f"`{step.name}` stands outside of the tasks, and would mix up their classes"
                remedy = (
                    "Put it into the block of each task. Behind other steps of all tasks, such as "
                    "curate.split, a block may go on: `- task: {name: NAME, steps: [...]}`."
                )
            else:
                continue
            self.errors.append(UserError(words, remedy=remedy, where=step.where))
