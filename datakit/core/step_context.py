"""What the engine hands to a transform: paths, labels, templates, seeds. Picklable for worker processes."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from datakit.core.call_budget import CallBudget
from datakit.core.call_stats import CallStats
from datakit.core.clock import now
from datakit.core.errors import DatakitError, UserError
from datakit.core.files import FileDigests
from datakit.core.labels import LabelSet
from datakit.core.language import Language, language_of
from datakit.core.outcome import Reject
from datakit.core.record import digest
from datakit.core.regular_files import regular
from datakit.core.seen_pictures import TrainedPictures
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.shipped import shipped_folder
from datakit.core.sub_results import MemorySubResults, SubResults
from datakit.core.templates import Templates
from datakit.core.text_encoding import decoded
from datakit.core.tokens import Template

if TYPE_CHECKING:
    from datakit.core.transform import Transform


class Declaring(Protocol):
    """What a step says of itself, as far as its context holds it to that."""

    @classmethod
    def name(cls) -> str: ...

    def files(self, context: StepContext) -> list[Path]: ...


class UndeclaredFile(DatakitError):
    """A step opens a file that it does not declare: an edit of the file would leave the build as it is."""

    def __init__(self, step: str, path: str) -> None:
        super().__init__(step, path)  # as it is made anew when it comes out of a worker process

    def __str__(self) -> str:
        step, path = self.args
        return (
            f"{step} opens {path}, which it does not declare, so an edit of the file would go unseen.\n"
            "  This is a fault of the transform: `files` must name every file that it reads."
        )


@dataclass(frozen=True)
class TaskScope:
    """What is a task's own in a recipe of several."""

    name: str
    labels: LabelSet | None
    steps: tuple[Transform, ...]
    """Its steps and those of all tasks, in their order."""
    writers: Mapping[str, tuple[str, ...]]
    weight: float | None
    """Its share of the training rows beside the others' weights; None where rows stay as they come."""


@dataclass(frozen=True)
class StepContext:
    """The surroundings of a step. Nothing in here reaches a key unless a transform puts it there."""

    base: Path
    """Folder that relative paths of parameters start from: the recipe's folder, or the working folder."""
    project: Path
    """Folder of the project: holds build/, data_cards/, templates/ and the result store."""
    name: str = "build"
    seed: int = 7
    labels: LabelSet | None = None
    default_language: Language | None = None
    """The recipe's `language:`: that of templates which there are in several. None where it says none."""
    llm: LlmSettings = field(default_factory=LlmSettings)
    run: RunSettings = field(default_factory=RunSettings)
    began: datetime = field(default_factory=now, compare=False)
    """When the build began: the one time that its steps know."""
    files: FileDigests = field(default_factory=FileDigests)
    budget: CallBudget = field(default_factory=CallBudget)
    stats: CallStats = field(default_factory=CallStats)
    sub_results: SubResults = field(default_factory=MemorySubResults)
    chat_layout: Template = "qwen2_vl"
    """How the model that the recipe trains has a chat laid out: what tokens of chats are counted by."""
    pictures: TrainedPictures = field(default_factory=TrainedPictures)
    """How that model sees pictures: what its boxes are counted by."""
    writers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Column -> the templates that have a model write it. Under "" the recipe's prompts."""
    steps: tuple[Transform, ...] = ()
    """The recipe's steps, for those that must know what the prompts are made of; none in worker processes."""
    tasks: tuple[TaskScope, ...] = ()
    """The tasks of a recipe of several, in order; none in worker processes."""
    task: str = ""
    """The task whose step is at work; "" for a step of all tasks."""
    batch_flags: tuple[str, ...] = ()
    """Flags of `vllm run-batch` for files that somebody runs, by the recipe's `serve:` section."""
    step: Declaring | None = None
    """The step that is at work with this context; its declarations hold for them."""

    left_out: list[Reject] = field(default_factory=list)
    """Records that the emitter at work has no place for: it appends them and writes the others."""
    doubts: list[Reject] = field(default_factory=list)
    """Records that the emitter at work writes though numbers in their chats may be places that are moved: it
    appends them, with the text and without a reason."""
    unsaid_units: list[Reject] = field(default_factory=list)
    """Records that it writes with boxes of which nothing says whether they are thousandths, as the model
    counts, or pixels: it appends them, with the text and without a reason."""

    standing_images: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Beginning of a picture's sha256 (32 digits) -> its name in the build that is replaced, of pictures that
    it has as they came; none in worker processes."""

    unclaimed: dict[Path, dict[str, set[str]]] = field(default_factory=dict)
    """File of predictions -> task -> the ids in it that no record of the task has, for the last task that
    reads the file."""

    chats: dict[str, str] = field(default_factory=dict, compare=False)
    """Id of a record that brings a chat which is trained on -> core.judged.chat_digest of it as it was read;
    none in worker processes."""

    brought: dict[str, str] = field(default_factory=dict, compare=False)
    """Id of a record that brings such a chat, or columns of its source that are asked or answered ->
    core.judged.brought_digest of them as they were read; none in worker processes."""
    brought_columns: dict[str, str] = field(default_factory=dict, compare=False)
    """Id of a record that brings such columns -> core.judged.column_digests of them as they were read; none
    in worker processes."""

    marks_places: bool = True
    """Whether the lines that ask for the answer's form mark what is to be filled in; not for models that were
    trained without."""

    looks_at_stores: bool = True
    """Whether object stores are asked if copies of their pictures are what they have now."""

    later: tuple[Declaring, ...] = ()
    """The recipe's steps after the one at work, for one whose parameters speak of the finished build."""

    def brought_by(self, id_: str) -> tuple[str | None, str | None, str | None]:
        """What a record brings besides label, pictures and text, as core.judged.Seen takes it."""
        return self.chats.get(id_), self.brought.get(id_), self.brought_columns.get(id_)

    @cached_property
    def templates(self) -> Templates:
        """Templates of the project first, then those that ship with datakit."""
        folders = [self.project / "templates"]
        shipped = shipped_folder("templates")
        folders = folders if shipped in folders else [*folders, shipped]
        return Templates(folders, self.default_language)

    def language(self, column: str, *own: str) -> Language:
        """The language of a column: that of the templates that have it written, else of the step's `own`,
        else of the prompts, else of the recipe. Chinese where nothing tells."""
        for names in (self.writers.get(column, ()), own, self.writers.get("", ())):
            found = language_of(self.templates.source(name) for name in names)
            if found is not None:
                return found
        return self.default_language or "zh"

    def path(self, path: str) -> Path:
        """A path parameter as an absolute path."""
        return (self.base / Path(path).expanduser()).absolute()

    def in_task(self, name: str) -> StepContext:
        """The same context for the steps of a task: its labels, its steps, its prompts."""
        if name in ("", self.task):
            return self
        scope = next(scope for scope in self.tasks if scope.name == name)
        return self.changed(task=name, labels=scope.labels, steps=scope.steps, writers=scope.writers)

    def for_step(self, step: Declaring) -> StepContext:
        """The same context in the hands of a step: it opens the files that the step declares only."""
        return self.changed(step=step)

    def changed(self, **changes: Any) -> StepContext:
        """The same context with other values and the very same templates, compiled once for all."""
        changed = replace(self, **changes)
        vars(changed)["templates"] = self.templates
        return changed

    def pinned(self) -> StepContext:
        """The same context whose templates stay as they are first read, whatever is edited meanwhile; in all
        contexts that are made of it and in worker processes too."""
        pinned = replace(self)
        vars(pinned)["templates"] = self.templates.pinned()
        return pinned

    def declared(self, path: str | Path) -> Path:
        """A path as an absolute one, for a step that has another package open it.

        Raises UndeclaredFile when the step at work does not name the file in `files`.
        """
        full = self.path(str(path))
        if self.step is not None and os.path.normpath(full) not in self._declared:
            raise UndeclaredFile(self.step.name(), str(full))
        return full

    def open(self, path: str | Path) -> BinaryIO:
        """A file that the step at work declares, open for reading bytes.

        Raises UndeclaredFile as `declared` does, and UserError for a file that cannot be read.
        """
        full = self.declared(path)
        try:
            return open(full, "rb", opener=regular)
        except OSError as error:
            raise UserError(
                f"cannot read {full}: {error.strerror}", remedy="Paths start from the recipe's folder."
            ) from None

    def read_bytes(self, path: str | Path) -> bytes:
        """The content of a file that the step at work declares. Raises as `open` does."""
        with self.open(path) as file:
            return file.read()

    def read_text(self, path: str | Path) -> str:
        """The same as text in UTF-8 or an encoding that can be told, without a byte order mark."""
        return decoded(self.read_bytes(path), self.path(str(path)))

    @cached_property
    def _declared(self) -> frozenset[str]:
        """The files of the step at work."""
        if self.step is None:
            return frozenset()
        files = self.step.files(self.changed(step=None))  # to know its files, a step may look at some
        return frozenset(os.path.normpath(self.path(str(path))) for path in files)

    def rng(self, *parts: Any) -> random.Random:
        """A random generator that depends only on the recipe's seed and `parts` (a step's name, an id)."""
        return random.Random(digest([self.seed, *parts]))

    @cached_property
    def label_variables(self) -> dict[str, Any]:
        """What every template may use of the label file: label_json, label_names, labels."""
        return {} if self.labels is None else self.labels.variables

    def __getstate__(self) -> dict[str, Any]:
        hidden = {
            "label_variables",
            "_declared",
            "steps",
            "tasks",
            *(() if self.templates.is_pinned else ("templates",)),
        }
        state = {key: value for key, value in self.__dict__.items() if key not in hidden}
        # the store stays in the engine's process
        empty: dict[str, Any] = {"chats": {}, "brought": {}, "brought_columns": {}, "standing_images": {}}
        return {**state, "sub_results": MemorySubResults(), **empty}
