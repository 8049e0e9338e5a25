"""A folder of folds (`build/NAME.kfold`): a build for each fold, and what was joined of their answers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from datakit.artifacts import names
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.document import Document
from datakit.core.judged import judged
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
    asked: dict[str, str] = Field(default_factory=dict)
    """Id of a prediction -> `content_of` what the model was asked about; empty where an earlier datakit
    joined, which did not say it."""


class KfoldRecord(Document):
    """Of what the folds are made."""

    FORMAT: ClassVar[int] = 2
    """Since format 2 a join says what was asked about (`asked`)."""
    REMEDY: ClassVar[str] = (
        "Move this one file away and give the command of the folds again, `datakit kfold RECIPE --k K`: it "
        "writes the file anew, and keeps folds, trainings and answers. Then join them: add --join"
    )
    UPGRADE: ClassVar[str] = (
        "Upgrade datakit (pip install -U datakit), or set these folds aside and make others (nothing is "
        "deleted): datakit kfold RECIPE --k K --again"
    )

    version: int = Field(default=2, ge=1)
    recipe: str
    """Name of the recipe."""
    k: int = Field(ge=2, le=100)
    seed: int
    overrides: list[str] = Field(default_factory=list)
    """What `--set` replaced."""
    limit: int | None = None
    joined: Joined | None = None

    @property
    def choice(self) -> dict[str, object]:
        """What decides which record is in which fold, by the option that says it."""
        return {
            "recipe": self.recipe,
            "--k": self.k,
            "seed": self.seed,
            "--set": self.overrides,
            "--limit": self.limit,
        }


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
    def numbers(self) -> list[int]:
        """The folds whose folder is there, whatever the record says."""
        found = [path.name.removeprefix("fold-") for path in self.path.glob("fold-*") if path.is_dir()]
        return sorted(int(name) for name in found if name.isdecimal())

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


def content_of(image_digests: Sequence[str], text: str | None, brought: str | None = None) -> str:
    """Digest of a record's pictures (hex sha256 each, in order), own text and what else it brings
    (core.judged): what a model is asked about that its label does not change."""
    return judged(None, image_digests, [text], brought)


def record_beside(predictions: Path) -> KfoldRecord | None:
    """The record of the folds that a file of predictions was joined of; None for one that was not."""
    return KfoldFolder(predictions.parent).record() if predictions.name == names.OUT_OF_FOLD else None


def record_file_beside(predictions: Path) -> Path | None:
    """The file of that record."""
    path = KfoldFolder(predictions.parent).record_file
    return path if predictions.name == names.OUT_OF_FOLD and path.is_file() else None


def asked_of(predictions: Path) -> dict[str, str]:
    """Id -> `content_of` what the model was asked about, where the join of a file says it."""
    record = record_beside(predictions)
    return record.joined.asked if record is not None and record.joined is not None else {}


def lack_of_join(predictions: Path) -> str:
    """Why nothing is known of the join of a file of predictions, and what to do, in words."""
    if predictions.name != names.OUT_OF_FOLD:
        return f"is no {names.OUT_OF_FOLD}: name the file that datakit kfold wrote, in its folder"
    if record_file_beside(predictions) is None:
        return (
            f"has no {names.KFOLD} beside it: name the file in the folder of the folds, or, where that has "
            f"lost its {names.KFOLD}, write it anew (datakit kfold RECIPE --k K) and join (add --join)"
        )
    return f"stands beside a {names.KFOLD} that says nothing of a join: datakit kfold RECIPE --k K --join"


def digest_of(predictions: Path) -> str:
    """sha256 of a file of predictions."""
    return hashlib.sha256(read_regular(predictions)).hexdigest()


def edit_of(predictions: Path) -> str:
    """That somebody edited a file of out-of-fold predictions since it was joined, in words; "" else."""
    record = record_beside(predictions)
    joined = record.joined if record is not None else None
    is_edited = joined is not None and digest_of(predictions) != joined.sha256
    return "was edited since the folds were joined" if is_edited else ""
