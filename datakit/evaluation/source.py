"""What an evaluation takes out of a build: the truths of a split, and the pictures of records.

A build folder gives it (`from_build.py`), and so does the data that a bundle carries (`packed.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datakit.artifacts.data_set import DataSet
from datakit.artifacts.predictions import Prediction
from datakit.core.answer import LABEL
from datakit.core.answer_forms import ContractFormat
from datakit.core.errors import UserError
from datakit.core.labels import LabelSet
from datakit.evaluation.boxes import read_boxes
from datakit.evaluation.confusion import Pair, Proposal
from datakit.evaluation.outcomes import Truths
from datakit.evaluation.tasks import Target, Task, Value, read_labels, read_number, read_texts
from datakit.evaluation.value_outcomes import ValueTruths, whole_text


@dataclass(frozen=True)
class Source(ABC):
    """The truths of a build, and what its evaluation says about it."""

    data: DataSet

    @property
    @abstractmethod
    def name(self) -> str:
        """The build's name in its own report."""

    @property
    @abstractmethod
    def content(self) -> str:
        """Content hash of the build's data."""

    @property
    @abstractmethod
    def seed(self) -> int:
        """Of the recipe."""

    @property
    @abstractmethod
    def labels(self) -> LabelSet | None:
        """The label set, None where the build has none."""

    @property
    @abstractmethod
    def columns(self) -> Sequence[str]:
        """Columns of the records that a truth may stand in."""

    @abstractmethod
    def records(self, *columns: str) -> Iterator[tuple[Any, ...]]:
        """Split, id and `columns` of the records of the task itself, in the build's order."""

    @abstractmethod
    def images_of(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Id -> the build's own copies of its pictures, relative to it."""

    def texts_of(self, ids: Sequence[str]) -> dict[str, str]:
        """Id -> the beginning of what stands on its pictures; none where texts are not at hand."""
        return {}

    def trained_of(self, labels: Sequence[str], most: int, without: Set[str]) -> dict[str, list[str]]:
        """Label -> ids of its first records in training that are none of `without`; none where only the
        records to be answered are at hand."""
        return {}

    @abstractmethod
    def answers(self, path: Path, split: str) -> Iterator[Prediction]:
        """The answers of a file to a split."""

    def proposals(self, mistakes: Sequence[Pair]) -> list[Proposal]:
        """Entries for the label file; none where the texts of the records are not at hand."""
        return []

    def edits(self, path: Path) -> list[str]:
        """What of the build and of a file of answers is not as it was made; nothing where none can tell."""
        return []

    def place(self, path: Path) -> str:
        """How an evaluation names a file."""
        return path.name

    @property
    def folder(self) -> str:
        """The build's folder, for messages."""
        return self.data.path.name

    def target(self) -> Target:
        """What answers to the build are scored by.

        The build's own word, else the label. A build without labels whose answers hold none is one of free
        text: the last field of the answer. Raises UserError for a kind that is not scored.
        """
        answer_target = self.data.answer_target
        if answer_target:
            kinds = {task.value: task for task in Task}
            kinds["line"] = Task.TEXT
            if answer_target.get("kind") not in kinds:
                raise UserError(
                    f"answers of the kind `{answer_target.get('kind')}` are not scored",
                    remedy=f"Scored are {', '.join(task.value for task in Task)}.",
                )
            name = answer_target.get("name", LABEL)
            return Target(
                kinds[answer_target["kind"]],
                name,
                answer_target.get("column") or name,
                answer_target.get("references", ""),
            )
        data = self.data
        form = data.answer_format if data.has_answer_format else None
        if isinstance(form, ContractFormat) and form.contracts[0].target.kind == "boxes":
            field = form.contracts[0].target  # datakit 0.1 did not say it
            return Target(Task.BOXES, field.name, field.source)
        fields = data.answer_format.turns[-1].variables if data.has_answer_format else (LABEL,)
        if LABEL in fields or any(label is not None for *_, label in self.records(LABEL)):
            return Target()
        return Target(Task.TEXT, fields[-1], fields[-1])

    def truths(self, split: str) -> Truths:
        """The true labels of a split. Raises UserError for a split without labelled records."""
        rows, elsewhere = self._split(split, [LABEL])
        return Truths.of(self.folder, split, self.labels, rows, elsewhere)

    def value_truths(self, split: str, target: Target) -> ValueTruths:
        """The true values of a split. Raises UserError for a split without any, and for an absent column."""
        columns = [name for name in (target.column, target.references) if name]
        for name in columns:
            if name not in self.columns:
                raise UserError(
                    f"answers are scored by `{name}`, which the records of {self.folder} do not have",
                    remedy=f"Columns there: {', '.join(name for name in self.columns if name[:1] != '@')}.",
                )
        rows, elsewhere = self._split(split, columns)
        truth_of: dict[str, Value] = {}
        without: list[str] = []
        for id_, *values in rows:
            truth = self._truth(values, target)
            if truth is None:
                without.append(id_)
            else:
                truth_of[id_] = truth
        if not truth_of:
            raise UserError(
                f"no record of the split `{split}` has a true `{target.column}`, so nothing can be scored",
                remedy=f"The column holds the truth of answers that are scored as {target.task.value}.",
            )
        form = self.data.answer_format if self.data.has_answer_format else None

        def read(text: str) -> tuple[Any, str, str]:
            if form is None:
                return whole_text(text)
            answer = form.parse(text, self.labels)
            return answer.values.get(target.field), answer.problem, answer.detail

        return ValueTruths(self.folder, split, target, self.labels, truth_of, read, elsewhere, without)

    def _truth(self, values: Sequence[Any], target: Target) -> Value | None:
        if target.task is Task.NUMBER:
            return read_number(values[0])
        if target.task is Task.LABELS:
            return read_labels(values[0], self.labels)
        if target.task is Task.BOXES:
            return read_boxes(values[0])
        texts = [text for value in values for text in read_texts(value) or ()]
        return tuple(dict.fromkeys(texts)) or None

    def _split(self, split: str, columns: Sequence[str]) -> tuple[list[Any], set[str]]:
        """Id and columns of a split's records, and the ids of the others. Raises UserError for no records."""
        splits: dict[str, None] = {}
        rows, other_ids = [], set()
        for record_split, *row in self.records(*columns):
            splits[record_split] = None
            if record_split == split:
                rows.append(tuple(row))
            else:
                other_ids.add(row[0])
        if not rows:
            raise UserError(
                f"{self.folder} has no records in the split `{split}`",
                remedy=f"Splits there: {', '.join(splits) or 'none'}. "
                "A validation part comes from curate.split.",
            )
        return rows, other_ids
