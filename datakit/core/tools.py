"""What the engine hands to a transform: paths, labels, templates, seeds. Picklable for worker processes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from datakit.core.files import FileDigests
from datakit.core.flight import Flight
from datakit.core.labels import LabelSet
from datakit.core.parts import KeptParts, Parts
from datakit.core.record import digest
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.shipped import shipped_folder
from datakit.core.templates import Templates


@dataclass(frozen=True)
class Tools:
    """The surroundings of a step. Nothing in here reaches a key unless a transform puts it there."""

    base: Path
    """Folder that relative paths of parameters start from: the recipe's folder, or the working folder."""
    project: Path
    """Folder of the project: holds build/, data_cards/, templates/ and the result store."""
    name: str = "build"
    seed: int = 7
    labels: LabelSet | None = None
    llm: LlmSettings = field(default_factory=LlmSettings)
    run: RunSettings = field(default_factory=RunSettings)
    files: FileDigests = field(default_factory=FileDigests)
    flight: Flight = field(default_factory=Flight)
    parts: Parts = field(default_factory=KeptParts)

    @cached_property
    def templates(self) -> Templates:
        """Templates of the project first, then those that ship with datakit."""
        folders = [self.project / "templates"]
        shipped = shipped_folder("templates")
        return Templates(folders if shipped in folders else [*folders, shipped])

    def path(self, path: str) -> Path:
        """A path parameter as an absolute path."""
        return (self.base / Path(path).expanduser()).absolute()

    def rng(self, *parts: Any) -> random.Random:
        """A random generator that depends only on the recipe's seed and `parts` (a step's name, an id)."""
        return random.Random(digest([self.seed, *parts]))

    @cached_property
    def label_variables(self) -> dict[str, Any]:
        """What every template may use of the label file: label_json, label_names, labels."""
        return {} if self.labels is None else self.labels.variables

    def __getstate__(self) -> dict[str, Any]:
        hidden = {"templates", "label_variables"}
        state = {key: value for key, value in self.__dict__.items() if key not in hidden}
        return {**state, "parts": KeptParts()}  # the store stays in the engine's process
