"""What an ablation trains: its changes, and the trainings of each. An archive of one carries this."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from datakit.artifacts.document import Document

BASE = "base"


class Change(BaseModel):
    """One change of the recipe: a step that is left out, or a value that is another."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """Of its folders, and in tables where words are too long."""
    drop: str = ""
    set: str = ""
    """`key=value`."""

    @property
    def words(self) -> str:
        """What it is, as tables say it; "" for the base."""
        if self.drop:
            return f"without {self.drop}"
        return self.set and f"{self.set.partition('=')[0]} = {self.set.partition('=')[2]}"

    @property
    def options(self) -> list[str]:
        """The words of the command that ask for it."""
        return ["--drop", self.drop] if self.drop else ["--set", self.set] if self.set else []


@dataclass(frozen=True)
class Job:
    """One training: of a change, with a seed."""

    change: Change
    seed: int
    """From 1."""
    path: Path


class AblationRecord(Document):
    """Of what an ablation is made. Changes are added to those that stand there, so that all are counted."""

    FORMAT: ClassVar[int] = 1
    REMEDY: ClassVar[str] = (
        "Set the ablation aside and begin it anew (nothing is deleted, and the store keeps what was paid "
        "for): datakit ablate RECIPE --again, with its --drop and --set"
    )
    UPGRADE: ClassVar[str] = f"Upgrade datakit (pip install -U datakit). {REMEDY}"

    recipe: str
    """Name of the recipe."""
    limit: int | None = None
    seeds: int = 1
    changes: list[Change] = Field(default_factory=list)

    def jobs(self, folder: Path) -> Iterator[Job]:
        """Every training in its folder, those of the first seed first: one that is stopped early has compared
        all once."""
        for seed in range(1, self.seeds + 1):
            for change in (Change(name=BASE), *self.changes):
                yield Job(change, seed, folder / f"{change.name}-s{seed}")
