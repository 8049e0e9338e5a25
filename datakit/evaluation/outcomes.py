"""Answers joined with a build's records by id: every record of the split counts, answered or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import NOT_ANSWERED, Prediction
from datakit.core.errors import UserError, did_you_mean

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


def join(
    build: BuildFolder, predictions: Iterable[Prediction], split: str, *, answered_only: bool = False
) -> Outcomes:
    """The outcomes of a split.

    The truth is the build's own label, spelt as its label file spells it. A record without an answer is a
    wrong one, unless `answered_only`. An id that comes twice counts once, with its last answer. A label
    that the set does not know is no label, whatever the file says.

    Raises UserError for a split without labelled records, and when no id is one of the build's.
    """
    truth, elsewhere, silent = _truth(build, split)
    answers: dict[str, Prediction] = {}
    doubled: dict[str, None] = {}
    unknown: dict[str, None] = {}
    other: dict[str, None] = {}
    for item in predictions:
        if item.id not in truth:
            (other if item.id in elsewhere else unknown)[item.id] = None
            continue
        if item.id in answers:
            doubled[item.id] = None
        answers[item.id] = item
    if not answers:
        raise _strangers(list(unknown), list(other), truth, build, split)
    missing = [id_ for id_ in truth if id_ not in answers]
    ids = [id_ for id_ in truth if id_ in answers] if answered_only else list(truth)
    absent = {id_: Prediction(id=id_, label=truth[id_], problem=NOT_ANSWERED) for id_ in missing}
    spelt = _Spelling(build)
    found = tuple(spelt.known(answers.get(id_) or absent[id_]) for id_ in ids)
    differing = [
        item.id for item in found if item.label is not None and spelt.canonical(item.label) != truth[item.id]
    ]
    trouble = {
        "missing": missing,
        "unknown_id": unknown,
        "other_split": other,
        "doubled": doubled,
        "other_truth": differing,
        "without_truth": silent,
    }
    return Outcomes(
        ids=tuple(ids),
        truth=tuple(truth[id_] for id_ in ids),
        answers=found,
        classes=spelt.classes({*(truth[id_] for id_ in ids), *(item.predicted for item in found)}),
        trouble={name: Trouble.of(ids) for name, ids in trouble.items() if ids},
    )


@dataclass
class _Spelling:
    """Labels in the spelling of the build's label file; as they are where it has none."""

    build: BuildFolder

    def canonical(self, label: str) -> str | None:
        labels = self.build.labels
        if labels is None:
            return label
        found = labels.find(label)
        return found.name if found else None

    def known(self, item: Prediction) -> Prediction:
        if item.predicted is None:
            return item
        label = self.canonical(item.predicted)
        if label == item.predicted:
            return item
        if label is not None:
            return item.model_copy(update={"predicted": label})
        detail = f"`{item.predicted}` is not in the build's label file"
        return item.model_copy(update={"predicted": None, "problem": "label_unknown", "detail": detail})

    def classes(self, seen: set[str | None]) -> tuple[str, ...]:
        labels = self.build.labels
        named = [name for name in labels.names if name in seen] if labels else []
        return (*named, *sorted({label for label in seen if label is not None} - set(named)))


def _truth(build: BuildFolder, split: str) -> tuple[dict[str, str], set[str], list[str]]:
    """Id -> label of the split; ids of the other main records; ids of the split without a label."""
    records = build.main.select("id", "label", "part").collect()
    mine = records.filter(pl.col("part") == split)
    if mine.is_empty():
        parts = ", ".join(records["part"].unique(maintain_order=True)) or "none"
        raise UserError(
            f"{build.path.name} has no records in the split `{split}`",
            remedy=f"Splits there: {parts}. A validation part comes from curate.split.",
        )
    labelled = mine.drop_nulls("label")
    if labelled.is_empty():
        raise UserError(
            f"no record of the split `{split}` has a label, so nothing can be scored",
            remedy="Evaluation is for builds with a `label` column.",
        )
    spelt = _Spelling(build)
    truth = {
        id_: spelt.canonical(label) or label for id_, label in labelled.select("id", "label").iter_rows()
    }
    elsewhere = set(records.filter(pl.col("part") != split)["id"])
    return truth, elsewhere, mine.filter(pl.col("label").is_null())["id"].to_list()


def _strangers(
    unknown: Sequence[str], other: Sequence[str], truth: dict[str, str], build: BuildFolder, split: str
) -> UserError:
    name = build.path.name
    if not unknown and not other:
        return UserError("the file holds no prediction", remedy="Make it with `datakit predict`.")
    if other:
        return UserError(
            f"none of the answers is for the split `{split}` of {name}; {len(other):,} are for another",
            remedy="Choose the split that was predicted with --split.",
        )
    hint = did_you_mean(unknown[0], truth) or f"Ids of the build look like `{next(iter(truth))}`."
    return UserError(
        f"none of the {len(unknown):,} ids in the file is one of {name}, such as `{unknown[0]}`",
        remedy=f"{hint} Was the file made for another build?",
    )
