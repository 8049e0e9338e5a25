"""Answers joined with the truths of a split by id: every record counts, answered or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datakit.artifacts.predictions import CONTRADICTED, NOT_ANSWERED, Prediction
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
        all_ids = list(ids)
        return cls(len(all_ids), tuple(all_ids[:NAMED]))


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
    match = labels.find(label)
    return match.name if match else None


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
    """missing, unknown_id, other_split, doubled, contradicted, other_truth, without_truth: those that are."""

    @property
    def count(self) -> int:
        return len(self.ids)

    def codes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Truth and answer as places in `classes`; the answer -1 where it is no label."""
        place = {name: at for at, name in enumerate(self.classes)}
        truth = np.array([place[label] for label in self.truth], dtype=np.int64)
        answer = np.array(
            [place.get(prediction.predicted or "", -1) for prediction in self.answers], dtype=np.int64
        )
        return truth, answer

    def problems(self) -> dict[str, int]:
        """Problem -> answers that have it, the most frequent first."""
        return dict(
            Counter(prediction.problem for prediction in self.answers if prediction.problem).most_common()
        )


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


def match(
    records: Records,
    predictions: Iterable[Prediction],
    stated: Callable[[Prediction], object],
    *,
    answered_only: bool,
) -> Matched:
    """The records with their answers. An id that comes twice counts once, with its last answer.

    Where its answers differ by what they say (`stated`), it has none: the problem `contradicted`. That there
    is no answer says nothing against one. Raises UserError when no id is one of the split's.
    """
    ids = dict.fromkeys(records.ids)
    answers: dict[str, Prediction] = {}
    doubled: dict[str, None] = {}
    contradicted: dict[str, None] = {}
    unknown: dict[str, None] = {}
    elsewhere: dict[str, None] = {}
    for prediction in predictions:
        if prediction.id not in ids:
            (elsewhere if prediction.id in records.elsewhere else unknown)[prediction.id] = None
            continue
        before = answers.get(prediction.id)
        if before is not None and prediction.problem == NOT_ANSWERED:
            continue
        if before is not None and before.problem != NOT_ANSWERED:
            differs = stated(before) != stated(prediction)
            (contradicted if differs else doubled)[prediction.id] = None
        answers[prediction.id] = prediction
    answers |= {id_: _neither(id_) for id_ in contradicted}
    if not answers:
        raise _strangers(list(unknown), list(elsewhere), records)
    missing = [id_ for id_ in ids if id_ not in answers]
    scored_ids = [id_ for id_ in ids if id_ in answers] if answered_only else list(ids)
    absent = {id_: Prediction(id=id_, problem=NOT_ANSWERED) for id_ in missing}
    return Matched(
        ids=tuple(scored_ids),
        answers=tuple(answers.get(id_) or absent[id_] for id_ in scored_ids),
        trouble={
            "missing": missing,
            "unknown_id": unknown,
            "other_split": elsewhere,
            "doubled": [id_ for id_ in doubled if id_ not in contradicted],
            CONTRADICTED: contradicted,
            "without_truth": records.without,
        },
    )


def _neither(id_: str) -> Prediction:
    return Prediction(id=id_, problem=CONTRADICTED, detail="the file has different answers of this record")


def join(truths: Truths, predictions: Iterable[Prediction], *, answered_only: bool = False) -> Outcomes:
    """The outcomes of a split.

    The truth is the build's own label, whatever a prediction says. A record without an answer is a wrong
    one, unless `answered_only`. An id that comes twice counts once, with its last answer; one with two
    different labels is wrong. A label that the set does not know is no label, whatever the file says.

    Raises UserError when no id is one of the split's.
    """
    truth, labels = truths.label_of, truths.labels
    records = Records(truths.build, truths.split, tuple(truth), truths.elsewhere, truths.without)
    matched = match(
        records,
        predictions,
        lambda prediction: _known(prediction, labels).predicted,
        answered_only=answered_only,
    )
    ids = matched.ids
    answers = tuple(_known(prediction, labels) for prediction in matched.answers)
    differing = [
        prediction.id
        for prediction in answers
        if prediction.label is not None and canonical(prediction.label, labels) != truth[prediction.id]
    ]
    without = matched.trouble.pop("without_truth")
    trouble = {**matched.trouble, "other_truth": differing, "without_truth": without}
    return Outcomes(
        ids=ids,
        truth=tuple(truth[id_] for id_ in ids),
        answers=answers,
        classes=_classes(
            {*(truth[id_] for id_ in ids), *(prediction.predicted for prediction in answers)}, labels
        ),
        trouble={name: Trouble.of(ids) for name, ids in trouble.items() if ids},
    )


def _known(prediction: Prediction, labels: LabelSet | None) -> Prediction:
    """The prediction with its label in the set's spelling; with a problem where the set has no such label."""
    if prediction.predicted is None and prediction.problem:
        return prediction
    if prediction.predicted is None:  # it states other fields
        label = (prediction.values or {}).get("label")
        if not isinstance(label, str):
            detail = "the answer states no label"
            return prediction.model_copy(update={"problem": "label_missing", "detail": detail})
        return _known(prediction.model_copy(update={"predicted": label}), labels)
    label = canonical(prediction.predicted, labels)
    if label == prediction.predicted:
        return prediction
    if label is not None:
        return prediction.model_copy(update={"predicted": label})
    detail = f"`{prediction.predicted}` is not in the build's label file"
    return prediction.model_copy(update={"predicted": None, "problem": "label_unknown", "detail": detail})


def _classes(present: set[str | None], labels: LabelSet | None) -> tuple[str, ...]:
    ordered = [name for name in labels.names if name in present] if labels else []
    return (*ordered, *sorted({label for label in present if label is not None} - set(ordered)))


def _strangers(unknown: Sequence[str], others: Sequence[str], records: Records) -> UserError:
    if not unknown and not others:
        return UserError("the file holds no prediction", remedy="Make it with `datakit predict`.")
    if others:
        return UserError(
            f"none of the answers is for the split `{records.split}` of {records.build}; {len(others):,} are "
            "for another",
            remedy="Choose the split that was predicted with --split.",
        )
    hint = did_you_mean(unknown[0], records.ids) or f"Ids of the build look like `{records.ids[0]}`."
    return UserError(
        f"none of the {len(unknown):,} ids in the file is one of {records.build}, such as `{unknown[0]}`",
        remedy=f"{hint} Was the file made for another build?",
    )
