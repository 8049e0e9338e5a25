"""The evaluation of answers to a build folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from datakit.artifacts import predictions
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import Prediction
from datakit.artifacts.tasks import of_task
from datakit.core.labels import LabelSet
from datakit.evaluation.confusion import Pair, Proposal
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
        frame = self.data.main.filter(pl.col("id").is_in(list(set(ids)))).select("id", "images").collect()
        originals = {id_: [self.data.place(path) for path in paths or ()] for id_, paths in frame.iter_rows()}
        return originals | self.data.images_of(ids)

    def answers(self, path: Path, split: str) -> Iterator[Prediction]:
        return read_answers(path, self.data, split)

    def proposals(self, mistakes: Sequence[Pair]) -> list[Proposal]:
        return proposals(mistakes, self.data)

    def place(self, path: Path) -> str:
        return self.data.place(str(path.absolute()))


def read_answers(path: Path, build: BuildFolder, split: str) -> Iterator[Prediction]:
    """The answers of a file to a split: those of `datakit predict`, or LLaMA-Factory's own form."""
    if is_generated(path):
        yield from read_generated(path, build, split)
    else:
        yield from predictions.read(path)
