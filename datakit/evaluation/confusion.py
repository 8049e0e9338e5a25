"""What is right and wrong class by class: figures, the matrix, and the pairs that are mixed up."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from datakit.artifacts.predictions import Prediction
from datakit.core.labels import Label, LabelSet
from datakit.evaluation import metrics
from datakit.evaluation.metrics import Table
from datakit.evaluation.metrics_labels import LabelSets
from datakit.evaluation.outcomes import Outcomes

MOST_PAIRS = 20
MOST_EXAMPLES = 3

Images = Callable[[Sequence[str]], Mapping[str, list[str]]]
"""Ids -> the pictures of each, as a page shows them."""


class ClassScore(BaseModel):
    """The figures of one class."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    """Records of the class."""
    answered: int
    """Records for which it was answered."""


class Matrix(BaseModel):
    """Counts; rows are truths, columns answers and, last, those that are no label."""

    labels: list[str]
    counts: list[list[int]]


def class_scores(outcomes: Outcomes, table: Table) -> list[ClassScore]:
    """The figures of every class, in the order of the classes."""
    return _scores(outcomes.classes, {**metrics.per_class(table), "answered": table.matrix().sum(axis=0)})


def scores_of_sets(sets: LabelSets) -> list[ClassScore]:
    """The figures of every label of records that have several."""
    return _scores(sets.classes, sets.per_class())


def _scores(labels: Sequence[str], figures: Mapping[str, Any]) -> list[ClassScore]:
    return [
        ClassScore(
            label=label,
            precision=float(figures["precision"][at]),
            recall=float(figures["recall"][at]),
            f1=float(figures["f1"][at]),
            support=int(figures["support"][at]),
            answered=int(figures["answered"][at]),
        )
        for at, label in enumerate(labels)
    ]


class Example(BaseModel):
    """A record that was answered wrongly."""

    id: str
    images: list[str]
    """The build's own copies, relative to it; of a build without copies the names of the originals."""
    confidence: float | None = None
    answer: str = ""


class Pair(BaseModel):
    """Records of one class that were taken for another."""

    truth: str
    answered: str
    count: int
    share: float
    """Of the records of `truth`."""
    back: int
    """How often `answered` was taken for `truth`."""
    known: bool
    """Whether the label file says that the two are confusable."""
    examples: list[Example]


class Proposal(BaseModel):
    """A label's entry as it might read, so that the prompt tells it from its neighbours."""

    name: str
    description: str
    aliases: list[str]
    confusable_with: list[str]
    why: list[str]


def pairs(outcomes: Outcomes, labels: LabelSet | None, images_of: Images) -> list[Pair]:
    """The most frequent mistakes between classes; of their records the surest first."""
    wrong: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
    for truth, prediction in zip(outcomes.truth, outcomes.answers, strict=True):
        if prediction.predicted is not None and prediction.predicted != truth:
            wrong[truth, prediction.predicted].append(prediction)
    support = Counter(outcomes.truth)
    place = {name: at for at, name in enumerate(outcomes.classes)}
    order = sorted(wrong, key=lambda pair: (-len(wrong[pair]), place[pair[0]], place[pair[1]]))[:MOST_PAIRS]
    shown = {
        pair: sorted(wrong[pair], key=lambda prediction: -(prediction.confidence or 0))[:MOST_EXAMPLES]
        for pair in order
    }
    images = images_of([prediction.id for predictions in shown.values() for prediction in predictions])
    return [
        Pair(
            truth=truth,
            answered=answered,
            count=len(wrong[truth, answered]),
            share=len(wrong[truth, answered]) / support[truth],
            back=len(wrong.get((answered, truth), ())),
            known=_known(labels, truth, answered),
            examples=[
                Example(
                    id=prediction.id,
                    images=images.get(prediction.id, []),
                    confidence=prediction.confidence,
                    answer=prediction.answer[:300],
                )
                for prediction in shown[truth, answered]
            ],
        )
        for truth, answered in order
    ]


def _known(labels: LabelSet | None, truth: str, answered: str) -> bool:
    confusable = label_named(truth, labels).confusable_with, label_named(answered, labels).confusable_with
    return answered in confusable[0] or truth in confusable[1]


def label_named(name: str, labels: LabelSet | None) -> Label:
    """The label of a set; one of this name alone where the set has none."""
    label = labels.find(name) if labels else None
    return label or Label(name)
