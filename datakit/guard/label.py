"""guard.label: every label is one of the label file's, in its own spelling."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

import polars as pl

from datakit.core.errors import UserError
from datakit.core.labels import LabelSet
from datakit.core.outcome import Batch, reject_rows
from datakit.core.step_context import StepContext
from datakit.core.transform import BatchWorker, Columns, Guard, Worker


class Label(Guard):
    """The same records with their label spelt as in the label file, without those of another label.

    The recipe's `labels:` is the closed set. Names and aliases are found in any width (`（` for `(`), case
    and white space, with or without signs that cannot be seen; the record gets the file's own spelling. A
    class that fewer than two records have is a warning in the report, for it cannot be both learnt and
    measured.

    Reasons of rejection: label_unknown (the detail has the nearest label), label_missing.
    """

    of_one_task: ClassVar[bool] = True

    allow_missing: bool = False
    """Whether records without a label pass, for example those that are to be predicted."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("label",)

    def outputs(self, context: StepContext) -> Columns:
        return {"label": pl.String()}

    def start(self, context: StepContext, frame: pl.LazyFrame) -> Worker:
        if context.labels is None:
            raise UserError(
                "guard.label has no labels to compare with",
                remedy="Name a label file in the recipe: `labels: ../templates/ecom/labels.yaml`.",
            )
        return _Check(context.labels, self.allow_missing)


class _Check(BatchWorker):
    def __init__(self, labels: LabelSet, allow_missing: bool) -> None:
        self.labels, self.allow_missing = labels, allow_missing
        self._names: dict[str, str | None] = {}
        self._counts: Counter[str] = Counter()
        self._respelt = 0

    def __call__(self, frame: pl.DataFrame) -> Batch:
        written = frame["label"].to_list()
        names = [self._name(label) for label in written]
        missing = pl.Series([label is None or not label.strip() for label in written], dtype=pl.Boolean)
        unknown = pl.Series([name is None for name in names], dtype=pl.Boolean) & ~missing
        dropped = unknown if self.allow_missing else unknown | missing
        labelled = frame.with_columns(label=pl.Series(names, dtype=pl.String))
        kept = labelled.filter(~dropped)
        self._counts.update(kept["label"].drop_nulls())
        self._respelt += sum(
            name is not None and name != label for name, label in zip(names, written, strict=True)
        )
        rejects = reject_rows(
            frame.filter(unknown),
            "label_unknown",
            [self._words(text) for text in frame.filter(unknown)["label"]],
        )
        if not self.allow_missing:
            nameless = frame.filter(missing)
            words = "the record has no label; `allow_missing: true` lets such records pass"
            rejects += reject_rows(nameless, "label_missing", [words] * nameless.height)
        return Batch(kept, rejects)

    @property
    def notes(self) -> dict[str, Any]:
        """Facts for the report: how many labels were respelt, and the classes too rare to learn."""
        notes: dict[str, Any] = {"respelt": self._respelt} if self._respelt else {}
        rare = {name: self._counts[name] for name in self.labels.names if self._counts[name] < 2}
        if self._counts and rare:
            absent = [name for name, count in rare.items() if count == 0]
            single = [name for name, count in rare.items() if count == 1]
            notes["warnings"] = [
                f"{len(names)} of {len(self.labels.names)} labels {what}: {', '.join(names)}"
                for what, names in (("have no record", absent), ("have one record only", single))
                if names
            ]
        return notes

    def _name(self, label: str | None) -> str | None:
        """The label file's spelling; None for no label and for an unknown one."""
        if label is None:
            return None
        if label not in self._names:
            match = self.labels.find(label) if label.strip() else None
            self._names[label] = match.name if match else None
        return self._names[label]

    def _words(self, label: str) -> str:
        words = f"`{label}` is not among the {len(self.labels.names)} labels. {self.labels.suggest(label)}"
        return words.rstrip()
