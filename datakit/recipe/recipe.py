"""A recipe: sources, steps, emitters and settings, checked against every transform's own parameters.

Checking has two phases, and all errors are shown at once with line and column: first the recipe's shape,
then each step's parameters against its class. Columns are checked by `datakit.run.columns`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from datakit.core.contract_words import LANGUAGES, Language
from datakit.core.credentials import FRAGMENT, credentials, masked
from datakit.core.errors import RecipeErrors, UserError, did_you_mean
from datakit.core.labels import LabelSet, load_labels, shown
from datakit.core.parameters import describe_fault, merged_faults, validated, with_text_keys
from datakit.core.plain_yaml import Key, dump
from datakit.core.qwen_models import chat_layout
from datakit.core.registry import find
from datakit.core.seen_pictures import trained_pictures
from datakit.core.settings import LlmSettings, RunSettings, Settings
from datakit.core.step_context import StepContext
from datakit.core.text_encoding import BOM, needs_mark
from datakit.core.tokens import Template
from datakit.core.transform import Annotator, Emitter, Reader, Renderer, Transform
from datakit.recipe.batch_flags import batch_flags
from datakit.recipe.overrides import apply_overrides
from datakit.recipe.yaml_file import YamlFile, load_yaml

VERSION = 1
TOP = ("version", "name", "seed", "language", "labels", "llm", "steps", "emit", "train", "serve", "run")

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


@dataclass(frozen=True)
class Step:
    """One transform in its place."""

    number: int
    transform: Transform
    where: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "transform", self.transform.resolved())

    @property
    def name(self) -> str:
        return self.transform.name()


@dataclass(frozen=True)
class Recipe:
    """A checked recipe."""

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
    places: Mapping[str, str] = field(default_factory=dict)
    """Key at the top -> `file:line:column`, for errors that are found later."""

    @property
    def project(self) -> Path:
        """The folder that holds build/, data_cards/, templates/ and the result store."""
        return project_of(self.path.parent)

    @property
    def build_folder(self) -> Path:
        """Where its build lies, unless --out names another place."""
        return self.project / "build" / self.name

    def context(self) -> StepContext:
        """What the steps of this recipe get."""
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
            writers=self._writers(),
            steps=tuple(step.transform for step in self.steps),
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

    def _writers(self) -> dict[str, tuple[str, ...]]:
        """Column -> the templates that have a model write it; under "" those of the prompts."""
        kinds = [step.transform for step in self.steps]
        asking = [kind for kind in kinds if isinstance(kind, Annotator) and kind.asks_model]
        columns = [(getattr(kind, "into", None), kind.templates()[:1]) for kind in asking]
        written = {column: templates for column, templates in columns if isinstance(column, str)}
        prompts = [name for kind in kinds if isinstance(kind, Renderer) for name in kind.templates()]
        return {**written, "": tuple(prompts)}

    def dump(self) -> str:
        """The recipe as YAML that loads to the same steps, with a byte order mark where it needs one."""
        text = dump(dict(self.data), width=110)
        return BOM + text if needs_mark(text) else text


def project_of(folder: Path) -> Path:
    """The nearest folder, itself or above, with `recipes/` or `.datakit/`; itself where there is none."""
    folder = folder.absolute()
    for candidate in (folder, *folder.parents):
        if (candidate / "recipes").is_dir() or (candidate / ".datakit").is_dir():
            return candidate
    return folder


def load_recipe(
    path: str | Path,
    *,
    overrides: Iterable[str] = (),
    sections: Mapping[str, type[Settings]] | None = None,
    checks: Sequence[SectionCheck] = (),
) -> Recipe:
    """The checked recipe of a file. Raises RecipeErrors with everything that is wrong, sorted by line.

    `overrides` are `key=value` texts (`run.concurrency=8`, `annotate.ocr.engine=paddleocr`).
    `sections` gives the models of later stages' sections, `checks` what else must be true of them.
    """
    file = load_yaml(Path(path).absolute())
    if isinstance(file.data, dict):
        file.data = with_text_keys(apply_overrides(file.data, overrides))
    return _Checker(file, dict(sections or {}), checks).recipe()


class _Checker:
    def __init__(
        self, file: YamlFile, sections: dict[str, type[Settings]], checks: Sequence[SectionCheck]
    ) -> None:
        self.file, self.sections, self.errors = file, sections, list[UserError]()
        self.checks, self.faulty = checks, set[Key]()

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
        labels = self._labels(data.get("labels"))
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
        return [step for index, row in enumerate(rows) if (step := self._step(row, section, index))]

    def _step(self, row: Any, section: str, index: int) -> Step | None:
        if isinstance(row, str):
            row = {row: {}}
        if not isinstance(row, dict) or len(row) != 1:
            self._fault((section, index), "a step is `name: {parameters}`")
            return None
        ((name, parameters),) = row.items()
        key: Key = (section, index, name)
        full = f"emit.{name}" if section == "emit" and "." not in str(name) else str(name)
        try:
            kind = find(full)
        except UserError as error:
            self._fault(key, error.message, error.remedy)
            return None
        if parameters is None:
            parameters = {}
        if not isinstance(parameters, dict):
            self._fault(key, f"the parameters of `{name}` must be a mapping, not {parameters!r}")
            return None
        try:
            return Step(index + 1, validated(kind, parameters), self.file.where(key))
        except ValidationError as error:
            self._parameter_faults(error, key, kind, f"step {index + 1} ({full})")
            return None

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

    def _labels(self, value: Any) -> LabelSet | None:
        if value is None:
            return None
        if not isinstance(value, str):
            self._fault(("labels",), "`labels:` must be the path of a label file")
            return None
        try:
            labels = load_labels((self.file.path.parent / value).resolve())
        except UserError as error:
            what = f"{error.where}: {error.message}" if error.where else error.message
            self._fault(("labels",), what, error.remedy)
            return None
        for name in labels.names:
            if len(name.strip().splitlines()) > 1:
                what = f"the label `{shown(name)}` of {labels.path} has more than one line"
                self._fault(("labels",), what, "An answer states a label on one line: write it on one.")
        return labels

    def _order(self, steps: list[Step], emitters: list[Step]) -> None:
        for step in steps:
            if isinstance(step.transform, Emitter):
                self.errors.append(UserError(f"`{step.name}` belongs under `emit:`", where=step.where))
        for step in emitters:
            if not isinstance(step.transform, Emitter):
                self.errors.append(UserError(f"`{step.name}` belongs under `steps:`", where=step.where))
        if steps and steps[0].number == 1 and not isinstance(steps[0].transform, Reader | Emitter):
            remedy = "Begin with a reader, such as read.jsonl."
            self.errors.append(
                UserError(f"`{steps[0].name}` has no records to work on", remedy=remedy, where=steps[0].where)
            )
