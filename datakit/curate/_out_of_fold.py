"""The out-of-fold predictions of `datakit kfold`, met with the records that they are of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datakit.artifacts import predictions
from datakit.artifacts.kfold import edit_of, record_beside
from datakit.core.errors import UserError
from datakit.core.judged import canonical, canonical_probabilities
from datakit.core.labels import LabelSet
from datakit.core.suspicion import Guess, guess

_NAMED = 5
_MANY = 0.1
"""Share of records with another label from which predictions are of other data: a review changes few."""


@dataclass
class Reading:
    """The predictions of a file, met with the records."""

    path: Path
    labels: LabelSet | None = None
    unknown: list[str] = field(default_factory=list)
    """Ids that no record has."""
    no_labels: list[str] = field(default_factory=list)
    """What is predicted and is no label."""
    relabelled: list[str] = field(default_factory=list)
    agreeing: int = 0
    """Records with the label that they had when they were predicted."""
    unseen: int = 0
    without_label: int = 0
    missing: int = 0
    edit: str = ""
    """What became of the file since it was joined."""
    unjoined: bool = False
    """Whether no record of a join lies beside the file."""

    def guesses(self, labels: dict[str, str]) -> list[Guess]:
        """What is said of the records. Raises UserError for no file and for two predictions of one id."""
        if not self.path.is_file():
            raise UserError(
                f"there are no out-of-fold predictions at {self.path}",
                remedy="Make them: datakit kfold RECIPE --run. Or leave `predictions` out.",
            )
        record = record_beside(self.path)
        joined = record.joined if record is not None else None
        self.unjoined = joined is None
        self.edit = edit_of(self.path)
        unseen = set(joined.unseen) if joined is not None else set()
        found = []
        seen = set()
        for one in self._once():
            seen.add(one.id)
            if one.id not in labels:
                self.unknown.append(one.id)
            elif one.id in unseen:
                self.unseen += 1
            elif one.predicted is None:
                self.without_label += 1
            elif self.labels is not None and self.labels.find(one.predicted) is None:
                self.no_labels.append(one.predicted)
            else:
                label = labels[one.id]
                if one.label is not None and canonical(one.label, self.labels) != label:
                    self.relabelled.append(one.id)
                else:
                    self.agreeing += 1
                predicted = canonical(one.predicted, self.labels) or one.predicted
                probabilities = canonical_probabilities(one.probabilities, self.labels)
                found.append(guess(one.id, label, predicted, probabilities, one.confidence))
        self.missing = len(labels.keys() - seen)
        return found

    def _once(self) -> Iterator[predictions.Prediction]:
        lines: dict[str, int] = {}
        for number, one in enumerate(predictions.read(self.path), 1):
            if one.id in lines:
                raise UserError(
                    f"there are two predictions of `{one.id}`, the other is number {lines[one.id]:,}",
                    where=f"{self.path}, prediction {number:,}",
                    remedy="Out of fold a record is predicted once. Join anew: datakit kfold RECIPE --join",
                )
            lines[one.id] = number
            yield one

    def notes(self, name: str) -> dict[str, Any]:
        """What a person must know of them."""
        warnings = []
        if self.edit:
            warnings.append(f"{name} {self.edit}")
        if self.unjoined:
            warnings.append(
                f"{name} has no record of its join beside it (kfold.json), so predictions by a model that "
                "was never shown the label are not told from others: name the file that datakit kfold wrote"
            )
        if self.unknown:
            shown = ", ".join(self.unknown[:_NAMED])
            warnings.append(
                f"{name}: {len(self.unknown):,} predictions are of ids that no record has: {shown}"
            )
        if self.no_labels:
            shown = ", ".join(dict.fromkeys(self.no_labels[:_NAMED]))
            warnings.append(
                f"{name}: {len(self.no_labels):,} predictions are of no label of the label file: {shown}"
            )
        if self.missing:
            warnings.append(f"{name}: {self.missing:,} labelled records have no prediction")
        if len(self.relabelled) > _MANY * max(1, len(self.relabelled) + self.agreeing):
            shown = ", ".join(self.relabelled[:_NAMED])
            warnings.append(
                f"{name}: {len(self.relabelled):,} records have another label than when they were predicted "
                f"({shown}), so the folds are of other data. Make them anew: datakit kfold RECIPE --run"
            )
        counts = {
            "unknown_ids": len(self.unknown),
            "not_predicted": self.missing,
            "predicted_no_label_of_file": len(self.no_labels),
            "predicted_without_label": self.without_label,
            "label_never_shown": self.unseen,
            "relabelled_since": len(self.relabelled),
        }
        told: dict[str, Any] = {"predictions": {word: count for word, count in counts.items() if count}}
        return {**told, "warnings": warnings} if warnings else told
