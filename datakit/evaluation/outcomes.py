"""Answers joined with the truths of a split by id: every record counts, answered or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datakit.artifacts.predictions import NOT_ANSWERED, Prediction
from datakit.core.errors import UserError, did_you_mean
from datakit.core.labels import LabelSet

NAMED = 5
"""Ids that are shown of each kind of trouble."""


@dataclass(frozen=True)
class Trouble:
    """Answers or records that did not find each other."""

    count: int = 0
    ids: tuple[str, ...] = ()
    """The first few."""

    @classmethod
    def of(cls, ids: Iterable[str]) -> Trouble:
        found = list(ids)
        return cls(len(found), tuple(found[:NAMED]))


@dataclass(frozen=True)
class Truths:
    """The labels that a build has for the records of one split."""

    build: str
    """Its name, for messages."""
    split: str
    labels: LabelSet | None
    label_of: Mapping[str, str]
    """Id -> label, in the build's order and in the label file's spelling."""
    elsewhere: Collection[str] = ()
    """Ids of the other records of the task."""
    without: Sequence[str] = ()
    """Ids of the split that have no label."""

    @classmethod
    def of(
        cls,
        build: str,
        split: str,
        labels: LabelSet | None,
        rows: Iterable[tuple[str, str | None]],
        elsewhere: Collection[str] = (),
    ) -> Truths:
        """The truths of a split's (id, label), the labels spelt as the label file does.

        Raises UserError when none has a label.
        """
        without: list[str] = []
        label_of: dict[str, str] = {}
        for id_, label in rows:
            if label is None:
                without.append(id_)
            else:
                label_of[id_] = canonical(label, labels) or label
        if not label_of:
            raise UserError(
                f"no record of the split `{split}` has a label, so nothing can be scored",
                remedy="Evaluation is for builds with a `label` column.",
            )
        return cls(build, split, labels, label_of, elsewhere, without)


def canonical(label: str, labels: LabelSet | None) -> str | None:
    """The label as the set spells it, None for a stranger; as it is where there is no set."""
    if labels is None:
        return label
    found = labels.find(label)
    return found.name if found else None


@dataclass(frozen=True)
class Outcomes:
    """The records of a split with their truth and what was answered, in the build's order."""

    ids: tuple[str, ...]
    truth: tuple[str, ...]
    answers: tuple[Prediction, ...]
    """One for each record; the problem not_answered where the file has none."""
    classes: tuple[str, ...]
    """Every label that is true or answered, in the order of the label file."""
    trouble: dict[str, Trouble] = field(default_factory=dict)
    """missing, unknown_id, other_split, doubled, other_truth, without_truth: those that occur."""

    @property
    def count(self) -> int:
        return len(self.ids)

    def codes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Truth and answer as places in `classes`; the answer -1 where it is no label."""
        place = {name: at for at, name in enumerate(self.classes)}
        truth = np.array([place[label] for label in self.truth], dtype=np.int64)
        answer = np.array([place.get(item.predicted or "", -1) for item in self.answers], dtype=np.int64)
        return truth, answer

    def problems(self) -> dict[str, int]:
        """Problem -> answers that have it, the most frequent first."""
        return dict(Counter(item.problem for item in self.answers if item.problem).most_common())


@dataclass(frozen=True)
class Records:
    """The records of one split that are scored."""

    build: str
    """Its name, for messages."""
    split: str
    ids: Sequence[str]
    """In the build's order."""
    elsewhere: Collection[str] = ()
    """Ids of the other records of the task."""
    without: Sequence[str] = ()
    """Ids of the split that have no truth."""


@dataclass(frozen=True)
class Matched:
    """Answers and records that found each other."""

    ids: tuple[str, ...]
    answers: tuple[Prediction, ...]
    """One for each id; the problem not_answered where the file has none."""
    trouble: dict[str, Collection[str]]
    """Kind of trouble -> ids."""


def match(records: Records, predictions: Iterable[Prediction], *, answered_only: bool) -> Matched:
    """The records with their answers. An id that comes twice counts once, with its last answer.

    Raises UserError when no id is one of the split's.
    """
    ids = dict.fromkeys(records.ids)
    answers: dict[str, Prediction] = {}
    doubled: dict[str, None] = {}
    unknown: dict[str, None] = {}
    other: dict[str, None] = {}
    for item in predictions:
        if item.id not in ids:
            (other if item.id in records.elsewhere else unknown)[item.id] = None
            continue
        if item.id in answers:
            doubled[item.id] = None
        answers[item.id] = item
    if not answers:
        raise _strangers(list(unknown), list(other), records)
    missing = [id_ for id_ in ids if id_ not in answers]
    kept = [id_ for id_ in ids if id_ in answers] if answered_only else list(ids)
    absent = {id_: Prediction(id=id_, problem=NOT_ANSWERED) for id_ in missing}
    return Matched(
        ids=tuple(kept),
        answers=tuple(answers.get(id_) or absent[id_] for id_ in kept),
        trouble={
            "missing": missing,
            "unknown_id": unknown,
            "other_split": other,
            "doubled": doubled,
            "without_truth": records.without,
        },
    )


def join(truths: Truths, predictions: Iterable[Prediction], *, answered_only: bool = False) -> Outcomes:
    """The outcomes of a split.

    The truth is the build's own label, whatever a prediction says. A record without an answer is a wrong
    one, unless `answered_only`. An id that comes twice counts once, with its last answer. A label that the
    set does not know is no label, whatever the file says.

    Raises UserError when no id is one of the split's.
    """
    truth, labels = truths.label_of, truths.labels
    records = Records(truths.build, truths.split, tuple(truth), truths.elsewhere, truths.without)
    matched = match(records, predictions, answered_only=answered_only)
    ids = matched.ids
    found = tuple(_known(item, labels) for item in matched.answers)
    differing = [
        item.id
        for item in found
        if item.label is not None and canonical(item.label, labels) != truth[item.id]
    ]
    without = matched.trouble.pop("without_truth")
    trouble = {**matched.trouble, "other_truth": differing, "without_truth": without}
    return Outcomes(
        ids=ids,
        truth=tuple(truth[id_] for id_ in ids),
        answers=found,
        classes=_classes({*(truth[id_] for id_ in ids), *(item.predicted for item in found)}, labels),
        trouble={name: Trouble.of(ids) for name, ids in trouble.items() if ids},
    )


def _known(item: Prediction, labels: LabelSet | None) -> Prediction:
    """The prediction with its label in the set's spelling; with a problem where the set has no such label."""
    if item.predicted is None and item.problem:
        return item
    if item.predicted is None:  # it states other fields
        label = (item.values or {}).get("label")
        if not isinstance(label, str):
            detail = "the answer states no label"
            return item.model_copy(update={"problem": "label_missing", "detail": detail})
        return _known(item.model_copy(update={"predicted": label}), labels)
    label = canonical(item.predicted, labels)
    if label == item.predicted:
        return item
    if label is not None:
        return item.model_copy(update={"predicted": label})
    detail = f"`{item.predicted}` is not in the build's label file"
    return item.model_copy(update={"predicted": None, "problem": "label_unknown", "detail": detail})


def _classes(seen: set[str | None], labels: LabelSet | None) -> tuple[str, ...]:
    named = [name for name in labels.names if name in seen] if labels else []
    return (*named, *sorted({label for label in seen if label is not None} - set(named)))


def _strangers(unknown: Sequence[str], other: Sequence[str], records: Records) -> UserError:
    if not unknown and not other:
        return UserError("the file holds no prediction", remedy="Make it with `datakit predict`.")
    if other:
        return UserError(
            f"none of the answers is for the split `{records.split}` of {records.build}; {len(other):,} are "
            "for another",
            remedy="Choose the split that was predicted with --split.",
        )
    hint = did_you_mean(unknown[0], records.ids) or f"Ids of the build look like `{records.ids[0]}`."
    return UserError(
        f"none of the {len(unknown):,} ids in the file is one of {records.build}, such as `{unknown[0]}`",
        remedy=f"{hint} Was the file made for another build?",
    )
