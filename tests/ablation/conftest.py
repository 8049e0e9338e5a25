"""The recipe of drawn screens that the folds have, ablated."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts.ablation import AblationFolder, Job
from datakit.artifacts.predictions import Prediction, write
from datakit.cli import run
from datakit.serving.records import split_items
from datakit.training.run_folder import RunFolder
from tests.kfold.conftest import LABELS, Folds, folds, trainer
from tests.support import fake_trainer

__all__ = ["folds", "trainer"]


@dataclass
class Ablation:
    """The recipe, and `datakit ablate` on it."""

    folds: Folds
    output: str = field(default="", init=False)

    @property
    def recipe(self) -> Path:
        return self.folds.recipe

    @property
    def project(self) -> Path:
        return self.recipe.parent.parent

    @property
    def folder(self) -> AblationFolder:
        return AblationFolder(self.project / "build" / "screens.ablate")

    @property
    def jobs(self) -> list[Job]:
        record = self.folder.record()
        assert record is not None
        return list(self.folder.jobs(record))

    def go(self, *words: str) -> int:
        """`datakit ablate`; its exit code. What it printed is in `output`."""
        code = run(["ablate", str(self.recipe), "--quiet", *words])
        captured = self.folds.capsys.readouterr()
        self.output = captured.out + captured.err
        return code

    def run(self, *words: str) -> int:
        """The same with --run and everything that it needs."""
        port, vllm = str(self.folds.port), str(self.folds.vllm)
        return self.go("--run", "--cpu", "--port", port, "--vllm", vllm, *words)

    def json(self, *words: str) -> dict[str, Any]:
        run(["ablate", str(self.recipe), "--json", *words])
        document: dict[str, Any] = json.loads(self.folds.capsys.readouterr().out)
        return document

    def trainings(self) -> int:
        calls = fake_trainer.calls(self.folds.trainer.parent)
        return sum(call["words"][0] == "train" for call in calls)

    def answer(self, right: Callable[[Job, int], bool]) -> None:
        """Writes the answers of every training as a server would have given them, record by record."""
        for job in self.jobs:
            build = self.folder.build(job)
            place = RunFolder.of(build.path).folder
            lines = []
            for at, item in enumerate(split_items(build, "val")):
                label = str(item.label)
                other = LABELS[(LABELS.index(label) + 1) % len(LABELS)]
                given = label if right(job, at) else other
                lines.append(Prediction(id=item.id, label=label, predicted=given, answer=given))
            write(place / f"predictions_val_{place.name}.jsonl", lines)


@pytest.fixture
def ablation(folds: Folds) -> Ablation:
    return Ablation(folds)
