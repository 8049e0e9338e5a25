"""The evaluation of answers to a build folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Any

import polars as pl

from datakit.artifacts import predictions
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.changed_files import edit_of_build
from datakit.artifacts.kfold import edit_of
from datakit.artifacts.predictions import Prediction
from datakit.artifacts.screen_texts import beginnings_of, pictures_of
from datakit.artifacts.tasks import of_task
from datakit.core.answer import LABEL
from datakit.core.labels import LabelSet
from datakit.core.record import TRAIN
from datakit.evaluation.confusion import Pair, Proposal, label_named
from datakit.evaluation.evaluation import Evaluated, Options, score
from datakit.evaluation.generated import is_generated, read_generated
from datakit.evaluation.proposals import proposals
from datakit.evaluation.source import Source

_EMITTER = "emit.llamafactory"
"""Writes the rows that are trained on, and by which a served model is asked."""


def evaluate(build: BuildFolder, paths: Sequence[Path], options: Options) -> list[Evaluated]:
    """The evaluation of each file; the later ones are compared with the first.

    The same build, files and options give the same figures. Raises UserError for files that cannot be read
    or joined.
    """
    return score(BuildSource(of_task(build, None)), paths, options)


class BuildSource(Source):
    """The truths of a build folder."""

    data: BuildFolder

    @property
    def name(self) -> str:
        return self.data.report.name

    @property
    def content(self) -> str:
        return self.data.manifest.content

    @property
    def seed(self) -> int:
        return int(self.data.recipe.get("seed", 7))

    @property
    def labels(self) -> LabelSet | None:
        return self.data.labels

    @property
    def columns(self) -> Sequence[str]:
        return list(self.data.columns)

    def records(self, *columns: str) -> Iterator[tuple[Any, ...]]:
        """Those of the data set: what its emitter could not write, nobody is asked about."""
        left_out = self.data.rejects.filter(pl.col("name") == _EMITTER).select("id")
        records = self.data.main.join(left_out, on="id", how="anti", maintain_order="left")
        return records.select("part", "id", *columns).collect().iter_rows()

    def images_of(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Id -> the build's own copies, relative to it; the originals where it has none."""
        return pictures_of(self.data, ids)

    def texts_of(self, ids: Sequence[str]) -> dict[str, str]:
        """Id -> the first lines that OCR read on its pictures, without the phone's status bar."""
        return beginnings_of(self.data, ids)

    def trained_of(self, labels: Sequence[str], most: int, without: Set[str]) -> dict[str, list[str]]:
        """Label -> ids of its first records in training that are none of `without`."""
        if not labels:
            return {}
        found: dict[str, list[str]] = {name: [] for name in labels}
        for split, id_, label in self.records(LABEL):
            if split != TRAIN or id_ in without or label is None:
                continue
            ids = found.get(label_named(label, self.labels).name)
            if ids is not None and len(ids) < most:
                ids.append(id_)
        return found

    def answers(self, path: Path, split: str) -> Iterator[Prediction]:
        return read_answers(path, self.data, split)

    def proposals(self, mistakes: Sequence[Pair]) -> list[Proposal]:
        return proposals(mistakes, self.data)

    def edits(self, path: Path) -> list[str]:
        edit = edit_of(path)
        return [*filter(None, [edit_of_build(self.data)]), *([f"{self.place(path)} {edit}"] if edit else [])]

    def place(self, path: Path) -> str:
        return self.data.place(str(path.absolute()))


def read_answers(path: Path, build: BuildFolder, split: str) -> Iterator[Prediction]:
    """The answers of a file to a split: those of `datakit predict`, or LLaMA-Factory's own form."""
    if is_generated(path):
        yield from read_generated(path, build, split)
    else:
        yield from predictions.read(path)
