"""The evaluation of answers on a machine that has a bundle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from datakit.artifacts import predictions
from datakit.artifacts.packed import PackedData
from datakit.artifacts.predictions import Prediction
from datakit.core.labels import LabelSet
from datakit.evaluation.source import Source


class PackedSource(Source):
    """The truths that a bundle carries."""

    data: PackedData

    @property
    def name(self) -> str:
        return self.data.packed.name

    @property
    def content(self) -> str:
        return self.data.packed.content

    @property
    def seed(self) -> int:
        return self.data.packed.seed

    @property
    def labels(self) -> LabelSet | None:
        return self.data.labels

    @property
    def columns(self) -> Sequence[str]:
        return self.data.packed.columns

    def records(self, *columns: str) -> Iterator[tuple[Any, ...]]:
        places = [0, 1, *(2 + self.columns.index(name) for name in columns)]
        for row in self.data.packed.records:
            yield tuple(row[place] for place in places)

    def images_of(self, ids: Sequence[str]) -> dict[str, list[str]]:
        return self.data.images_of(ids)

    def answers(self, path: Path, split: str) -> Iterator[Prediction]:
        return predictions.read(path)
