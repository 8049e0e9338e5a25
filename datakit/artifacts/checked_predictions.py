"""Predictions that may stand beside labels: each record once, spelt as the label file does, and possible."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from datakit.artifacts import predictions
from datakit.artifacts.predictions import NOT_ANSWERED, Prediction
from datakit.core.errors import UserError
from datakit.core.judged import canonical, canonical_probabilities
from datakit.core.labels import LabelSet
from datakit.core.prediction_faults import fault_of_all

LABEL_UNKNOWN = "label_unknown"
"""The problem of an answer that states what is no label."""
PROBABILITIES = "probabilities"
"""The problem of a prediction whose probabilities of all labels cannot be such."""


@dataclass
class Checked:
    """What is odd about predictions; ids in the order in which they were met."""

    doubled: list[str] = field(default_factory=list)
    """Predicted more than once in one file, to be the same: the last prediction counts."""
    contradicted: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Predicted to be different things in one file -> the numbers, from 1, of two that differ."""
    no_label: dict[str, str] = field(default_factory=dict)
    """Predicted to be what is no label -> that."""
    unsound: list[str] = field(default_factory=list)
    """Their probabilities cannot be such."""
    contrary: list[str] = field(default_factory=list)
    """Predicted to be what is not the likeliest by the prediction's own probabilities."""

    def refuse_contradictions(self, path: Path, remedy: str) -> None:
        """Raises UserError for a file that says two things of a record."""
        for id_, (first, second) in self.contradicted.items():
            more = len(self.contradicted) - 1
            also = f"; the same of {more:,} more {'record' if more == 1 else 'records'}" if more else ""
            raise UserError(
                f"there are two predictions of `{id_}`, the other is number {first:,}{also}",
                where=f"{path}, prediction {second:,}",
                remedy=remedy,
            )


def read_once(path: Path, labels: LabelSet | None, checked: Checked) -> list[Prediction]:
    """The predictions of a file, in the label file's spelling, each record once; none of a record of which
    the file says two things. Raises UserError for a line that is no prediction."""
    return once(predictions.read(path), labels, checked)


def once(every: Iterable[Prediction], labels: LabelSet | None, checked: Checked) -> list[Prediction]:
    """The same of predictions that were read. That there is no answer says nothing against one."""
    kept: dict[str, tuple[int, Prediction]] = {}
    for number, read in enumerate(every, 1):
        one = _spelt(read, labels)
        if one.id in kept:
            earlier, before = kept[one.id]
            if one.problem == NOT_ANSWERED:
                continue
            if before.problem != NOT_ANSWERED:
                if _said(before) != _said(one):
                    checked.contradicted.setdefault(one.id, (earlier, number))
                elif one.id not in checked.doubled:
                    checked.doubled.append(one.id)
        kept[one.id] = number, one
    checked.doubled = [id_ for id_ in checked.doubled if id_ not in checked.contradicted]
    return [one for _, one in kept.values() if one.id not in checked.contradicted]


def known(one: Prediction, labels: LabelSet | None, checked: Checked) -> Prediction:
    """The prediction, with a problem in place of a label that the label file lacks."""
    if one.predicted is None or labels is None or labels.find(one.predicted) is not None:
        return one
    checked.no_label[one.id] = one.predicted
    said = f"`{one.predicted}` is no label of the label file"
    return one.model_copy(update={"predicted": None, "problem": LABEL_UNKNOWN, "detail": said})


def sound(one: Prediction, labels: LabelSet | None, checked: Checked) -> Prediction:
    """The prediction, with a problem in place of a label that it cannot state, or that its probabilities
    cannot be of."""
    one = known(one, labels, checked)
    if one.predicted is None or one.probabilities is None:
        return one
    strangers = [name for name in one.probabilities if labels is not None and labels.find(name) is None]
    said = f"`{strangers[0]}` has a probability and is no label" if strangers else ""
    if said := said or fault_of_all(one.probabilities):
        checked.unsound.append(one.id)
        return one.model_copy(update={"predicted": None, "problem": PROBABILITIES, "detail": said})
    if one.probabilities.get(one.predicted, 0.0) < max(one.probabilities.values()):
        checked.contrary.append(one.id)
    return one


def _spelt(one: Prediction, labels: LabelSet | None) -> Prediction:
    """The prediction with its labels in the label file's spelling."""
    names = {"label": canonical(one.label, labels), "predicted": canonical(one.predicted, labels)}
    named = canonical_probabilities(one.probabilities, labels)
    return one.model_copy(update={**names, "probabilities": named})


def _said(one: Prediction) -> tuple[object, ...]:
    """What a prediction says of its record; how sure it is, and in which words, is no contradiction."""
    return one.predicted, one.probabilities, one.values
