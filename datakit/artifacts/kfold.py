"""A folder of folds (`build/NAME.kfold`): a build for each fold, and what was joined of their answers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from datakit.artifacts import names
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.document import Document
from datakit.core.regular_files import read_regular

SCRIPT = "run.sh"


class Joined(BaseModel):
    """What the join of the folds' answers came to."""

    model_config = ConfigDict(extra="forbid")

    sha256: str
    """Of the file of out-of-fold predictions: an edit since shows."""
    contents: dict[str, str]
    """Fold -> content hash of the build whose answers were joined."""
    records: int
    """Records that are in a fold."""
    predicted: int
    """Those with a prediction in the file."""
    unpredicted: dict[str, int] = Field(default_factory=dict)
    """Why the others have none -> records."""
    unseen: list[str] = Field(default_factory=list)
    """Ids of predictions by a model that was never shown their label, which say nothing of it."""


class KfoldRecord(Document):
    """Of what the folds are made."""

    FORMAT: ClassVar[int] = 1

    recipe: str
    """Name of the recipe."""
    k: int
    seed: int
    overrides: list[str] = Field(default_factory=list)
    """What `--set` replaced."""
    limit: int | None = None
    joined: Joined | None = None

    @property
    def choice(self) -> dict[str, object]:
        """What decides which record is in which fold, by the option that says it."""
        return {"--k": self.k, "seed": self.seed, "--set": self.overrides, "--limit": self.limit}


class KfoldFolder:
    """The folder of a recipe's folds."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def fold(self, number: int) -> Path:
        """Folder of a fold's build, from 1."""
        return self.path / f"fold-{number}"

    def build(self, number: int) -> BuildFolder:
        """The build of a fold. Raises UserError where it is not finished."""
        return BuildFolder.open(self.fold(number))

    @property
    def record_file(self) -> Path:
        return self.path / names.KFOLD

    @property
    def predictions_file(self) -> Path:
        return self.path / names.OUT_OF_FOLD

    @property
    def suspects_file(self) -> Path:
        return self.path / names.SUSPECTS

    @property
    def script(self) -> Path:
        return self.path / SCRIPT

    def record(self) -> KfoldRecord | None:
        """None where no fold was made here. Raises UserError for one that is damaged."""
        return KfoldRecord.load(self.record_file) if self.record_file.is_file() else None


def record_beside(predictions: Path) -> KfoldRecord | None:
    """The record of the folds that a file of predictions was joined of; None for one that was not."""
    return KfoldFolder(predictions.parent).record() if predictions.name == names.OUT_OF_FOLD else None


def record_file_beside(predictions: Path) -> Path | None:
    """The file of that record."""
    path = KfoldFolder(predictions.parent).record_file
    return path if predictions.name == names.OUT_OF_FOLD and path.is_file() else None


def digest_of(predictions: Path) -> str:
    """sha256 of a file of predictions."""
    return hashlib.sha256(read_regular(predictions)).hexdigest()


def edit_of(predictions: Path) -> str:
    """That somebody edited a file of out-of-fold predictions since it was joined, in words; "" else."""
    record = record_beside(predictions)
    joined = record.joined if record is not None else None
    is_edited = joined is not None and digest_of(predictions) != joined.sha256
    return "was edited since the folds were joined" if is_edited else ""
