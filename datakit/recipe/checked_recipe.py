"""What a checked recipe is: its steps, its settings, and the context that steps work in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from datakit.core.contract_words import Language
from datakit.core.labels import LabelSet
from datakit.core.plain_yaml import dump
from datakit.core.qwen_models import chat_layout
from datakit.core.seen_pictures import trained_pictures
from datakit.core.settings import LlmSettings, RunSettings, Settings
from datakit.core.step_context import StepContext, TaskScope
from datakit.core.task_blocks import OF_TASKS, for_task
from datakit.core.text_encoding import BOM, needs_mark
from datakit.core.tokens import Template
from datakit.core.transform import Annotator, Emitter, Renderer, Transform
from datakit.recipe.batch_flags import batch_flags
from datakit.recipe.task_settings import Task


@dataclass(frozen=True)
class Step:
    """One transform in its place."""

    number: int
    transform: Transform
    where: str
    task: str = ""
    """The task that it belongs to in a recipe of several; "" for a step of all."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "transform", self.transform.resolved())

    @property
    def name(self) -> str:
        return self.transform.name()

    @property
    def title(self) -> str:
        """Its name, behind that of its task where it has one."""
        return f"{self.task}: {self.name}" if self.task else self.name


@dataclass(frozen=True)
class Recipe:
    """A checked recipe.

    >>> import datakit as dk
    >>> [step.name for step in dk.load("recipes/ecom_v1.yaml").steps]
    ['read.jsonl', 'guard.image', 'guard.label', 'curate.split', 'render.chat']
    >>> recipe = dk.load("recipes/ecom_v1.yaml")
    >>> recipe
    recipe ecom_v1: read.jsonl, guard.image, guard.label, curate.split, render.chat, emit.llamafactory
    """

    path: Path
    name: str
    seed: int
    steps: tuple[Step, ...]
    emitters: tuple[Step, ...]
    llm: LlmSettings
    run: RunSettings
    labels: LabelSet | None
    language: Language | None = None
    """That of the shipped prompts, where the recipe says one."""
    sections: Mapping[str, Settings] = field(default_factory=dict)
    """Checked sections of later stages, such as `train`."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """The recipe as plain data, overrides applied."""
    tasks: tuple[Task, ...] = ()
    """The tasks that it builds side by side; none for a recipe of one task, which has no blocks."""
    places: Mapping[str, str] = field(default_factory=dict)
    """Key at the top -> `file:line:column`, for errors that are found later."""

    def __repr__(self) -> str:
        titles = (step.title for step in (*self.steps, *self.emitters))
        return f"recipe {self.name}: {', '.join(titles)}"

    @property
    def project(self) -> Path:
        """The folder that holds build/, data_cards/, templates/ and the result store.

        >>> recipe.project.name
        'project'
        """
        return project_of(self.path.parent)

    @property
    def build_folder(self) -> Path:
        """Where its build lies, unless --out names another place.

        >>> recipe.build_folder.relative_to(recipe.project).as_posix()
        'build/ecom_v1'
        """
        return self.project / "build" / self.name

    def look_folder(self, limit: int | None) -> Path:
        """The same for a build of at most `limit` records of each source, which never replaces the whole.

        >>> recipe.look_folder(20).name
        'ecom_v1.limit20'
        """
        whole = self.build_folder
        return whole if limit is None else whole.with_name(f"{self.name}.limit{limit}")

    def context(self) -> StepContext:
        """What the steps of this recipe get.

        >>> recipe.context().seed
        7
        """
        return StepContext(
            base=self.path.parent,
            project=self.project,
            name=self.name,
            seed=self.seed,
            labels=self.labels,
            default_language=self.language,
            llm=self.llm,
            run=self.run,
            chat_layout=self._chat_layout(),
            pictures=trained_pictures(self._train, self._emitted_max_pixels(), self.path.parent),
            writers=_writers(self.steps),
            steps=tuple(step.transform for step in self.steps),
            tasks=tuple(self._scopes()),
            batch_flags=batch_flags(self.data.get("serve")),
        )

    def _chat_layout(self) -> Template:
        model, template = str(self._train.get("model", "")), self._train.get("template")
        return chat_layout(model, str(template) if template else None, self.path.parent)

    @property
    def _train(self) -> Mapping[str, Any]:
        train = self.data.get("train")
        return train if isinstance(train, Mapping) else {}

    def _emitted_max_pixels(self) -> int | None:
        """What pictures are scaled down to before the trainer reads them; None where nothing scales them."""
        kinds = [step.transform for step in self.emitters]
        limits = (kind.trained_max_pixels for kind in kinds if isinstance(kind, Emitter))
        return next(filter(None, limits), None)

    def _scopes(self) -> Iterator[TaskScope]:
        for task in self.tasks:
            steps = [step for step in self.steps if step.task in ("", task.name)]
            transforms = tuple(step.transform for step in steps)
            yield TaskScope(task.name, task.labels, transforms, _writers(steps), task.weight)

    def for_task(self, name: str) -> Recipe:
        """The recipe of one of its tasks alone: its steps and those of all, numbered anew.

        >>> several = dk.load("recipes/ecom_tasks.yaml")
        >>> several.for_task(several.tasks[0].name).tasks
        ()
        """
        task = next(task for task in self.tasks if task.name == name)
        own = [step for step in self.steps if step.task in ("", name) and step.name != OF_TASKS]
        steps = tuple(replace(step, number=at, task="") for at, step in enumerate(own, 1))
        data = for_task(self.data, name)
        return replace(self, steps=steps, labels=task.labels, tasks=(), data=data)

    def dump(self) -> str:
        """The recipe as YAML that loads to the same steps, with a byte order mark where it needs one.

        >>> recipe.dump().splitlines()[0]
        'version: 1'
        """
        text = dump(dict(self.data), width=110)
        return BOM + text if needs_mark(text) else text


def _writers(steps: Iterable[Step]) -> dict[str, tuple[str, ...]]:
    """Column -> the templates that have a model write it; under "" those of the prompts."""
    kinds = [step.transform for step in steps]
    asking = [kind for kind in kinds if isinstance(kind, Annotator) and kind.asks_model]
    columns = [(getattr(kind, "into", None), kind.templates()[:1]) for kind in asking]
    written = {column: templates for column, templates in columns if isinstance(column, str)}
    prompts = [name for kind in kinds if isinstance(kind, Renderer) for name in kind.templates()]
    return {**written, "": tuple(prompts)}


def project_of(folder: Path) -> Path:
    """The nearest folder, itself or above, with `recipes/` or `.datakit/`; itself where there is none."""
    folder = folder.absolute()
    for candidate in (folder, *folder.parents):
        if (candidate / "recipes").is_dir() or (candidate / ".datakit").is_dir():
            return candidate
    return folder
