"""What is right and wrong class by class: figures, the matrix, and the pairs that are mixed up."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, Protocol

from pydantic import BaseModel

from datakit.artifacts.predictions import Prediction
from datakit.core.labels import Label, LabelSet
from datakit.evaluation import metrics
from datakit.evaluation.metrics import Table
from datakit.evaluation.metrics_labels import LabelSets
from datakit.evaluation.outcomes import Outcomes

MOST_PAIRS = 20
MOST_EXAMPLES = 3
MOST_BESIDE = 2
"""Records of each of two classes that are shown beside those which were mixed up."""

Images = Callable[[Sequence[str]], Mapping[str, list[str]]]
"""Ids -> the pictures of each, as a page shows them."""


class Looks(Protocol):
    """What a page shows of records."""

    def images_of(self, ids: Sequence[str]) -> Mapping[str, list[str]]:
        """Id -> its pictures."""

    def texts_of(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Id -> the beginning of what stands on its pictures, where that was read."""

    def trained_of(self, labels: Sequence[str], most: int, without: Set[str]) -> Mapping[str, list[str]]:
        """Label -> ids of some records of it that were trained on, but none of `without`."""


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
    """A record as a page shows it."""

    id: str
    images: list[str]
    """The build's own copies, relative to it; of a build without copies the names of the originals."""
    confidence: float | None = None
    answer: str = ""
    """"" for a record that was trained on, and not answered."""
    text: str = ""
    """The beginning of what OCR read on it."""


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
    beside: dict[str, list[Example]] = {}
    """Each of the two labels -> records of it that were answered rightly; where there are too few, some that
    were trained on."""


class Proposal(BaseModel):
    """A label's entry as it might read, so that the prompt tells it from its neighbours."""

    name: str
    description: str
    aliases: list[str]
    confusable_with: list[str]
    why: list[str]


def pairs(outcomes: Outcomes, labels: LabelSet | None, looks: Looks) -> list[Pair]:
    """The most frequent mistakes between classes; of their records the surest first."""
    wrong: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
    right: dict[str, list[Prediction]] = defaultdict(list)
    for truth, prediction in zip(outcomes.truth, outcomes.answers, strict=True):
        if prediction.predicted == truth:
            right[truth].append(prediction)
        elif prediction.predicted is not None:
            wrong[truth, prediction.predicted].append(prediction)
    support = Counter(outcomes.truth)
    place = {name: at for at, name in enumerate(outcomes.classes)}
    order = sorted(wrong, key=lambda pair: (-len(wrong[pair]), place[pair[0]], place[pair[1]]))[:MOST_PAIRS]
    shown = {pair: _surest(wrong[pair], MOST_EXAMPLES) for pair in order}
    mixed = list(dict.fromkeys(label for pair in order for label in pair))
    doubted = {prediction.id for predictions in wrong.values() for prediction in predictions}
    beside = _beside(mixed, right, doubted, looks)
    ids = [prediction.id for predictions in shown.values() for prediction in predictions]
    ids += [id_ for records in beside.values() for id_ in records]
    images, texts = looks.images_of(ids), looks.texts_of(ids)

    def example(id_: str, prediction: Prediction | None) -> Example:
        return Example(
            id=id_,
            images=images.get(id_, []),
            confidence=prediction.confidence if prediction else None,
            answer=prediction.answer[:300] if prediction else "",
            text=texts.get(id_, ""),
        )

    return [
        Pair(
            truth=truth,
            answered=answered,
            count=len(wrong[truth, answered]),
            share=len(wrong[truth, answered]) / support[truth],
            back=len(wrong.get((answered, truth), ())),
            known=_known(labels, truth, answered),
            examples=[example(prediction.id, prediction) for prediction in shown[truth, answered]],
            beside={
                label: [example(id_, prediction) for id_, prediction in beside[label].items()]
                for label in (truth, answered)
            },
        )
        for truth, answered in order
    ]


def _surest(predictions: Sequence[Prediction], most: int) -> list[Prediction]:
    return sorted(predictions, key=lambda prediction: -(prediction.confidence or 0))[:most]


def _beside(
    labels: Sequence[str], right: Mapping[str, Sequence[Prediction]], doubted: Set[str], looks: Looks
) -> dict[str, dict[str, Prediction | None]]:
    """Label -> records that show what it looks like: those answered rightly, then some trained on."""
    beside: dict[str, dict[str, Prediction | None]] = {
        label: {prediction.id: prediction for prediction in _surest(right.get(label, ()), MOST_BESIDE)}
        for label in labels
    }
    short = [label for label in labels if len(beside[label]) < MOST_BESIDE]
    trained = looks.trained_of(short, MOST_BESIDE, doubted | {id_ for own in beside.values() for id_ in own})
    for label, ids in trained.items():
        beside[label] |= dict.fromkeys(ids[: MOST_BESIDE - len(beside[label])])
    return beside


def _known(labels: LabelSet | None, truth: str, answered: str) -> bool:
    confusable = label_named(truth, labels).confusable_with, label_named(answered, labels).confusable_with
    return answered in confusable[0] or truth in confusable[1]


def label_named(name: str, labels: LabelSet | None) -> Label:
    """The label of a set; one of this name alone where the set has none."""
    label = labels.find(name) if labels else None
    return label or Label(name)
