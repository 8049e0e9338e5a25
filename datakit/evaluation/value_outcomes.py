"""Answers that are several labels, a number or a text, joined with the truths of a split by id."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from datakit.artifacts.predictions import Prediction
from datakit.core.labels import LabelSet
from datakit.evaluation.bootstrap import Figures
from datakit.evaluation.boxes import PlacedBoxes, read_boxes
from datakit.evaluation.metrics_boxes import BoxSets
from datakit.evaluation.metrics_labels import LabelSets, classes_of
from datakit.evaluation.metrics_numbers import Numbers
from datakit.evaluation.metrics_text import NOTHING, Texts, TextScore, text_score
from datakit.evaluation.outcomes import Records, Trouble, match
from datakit.evaluation.tasks import NOT_A_NUMBER, Target, Task, Value, read_labels, read_number

Read = Callable[[str], tuple[Any, str, str]]
"""An answer's text -> what its scored field states, or None with a problem and a sentence about it."""


def whole_text(answer: str) -> tuple[Any, str, str]:
    """The answer itself, where a build does not say how answers are read."""
    return answer, "", ""


@dataclass(frozen=True)
class ValueTruths:
    """The true values that a build has for the records of one split."""

    build: str
    """Its name, for messages."""
    split: str
    target: Target
    labels: LabelSet | None
    truth_of: Mapping[str, Value]
    """Id -> true value, in the build's order."""
    read: Read = whole_text
    """How an answer is read that comes as text alone."""
    elsewhere: Collection[str] = ()
    """Ids of the other records of the task."""
    without: Sequence[str] = ()
    """Ids of the split that have no truth."""


@dataclass(frozen=True)
class ValueOutcomes:
    """The records of a split with their true value and what was answered, in the build's order."""

    target: Target
    ids: tuple[str, ...]
    truth: tuple[Value, ...]
    given: tuple[Value | None, ...]
    """What each answer states; None where it has a problem."""
    answers: tuple[Prediction, ...]
    labels: LabelSet | None = None
    tolerance: float = 0.0
    """Of numbers: see `Numbers`."""
    verdicts: Mapping[str, tuple[float, str]] | None = None
    """Of texts: id -> what a referee gives, 0 to 1, and why. None without a referee."""
    trouble: dict[str, Trouble] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.ids)

    def problems(self) -> dict[str, int]:
        """Problem -> answers that have it, the most frequent first."""
        return dict(
            Counter(prediction.problem for prediction in self.answers if prediction.problem).most_common()
        )

    @cached_property
    def figures(self) -> Figures:
        """What is scored."""
        return self.figures_of(range(self.count))

    def figures_of(self, places: Sequence[int]) -> Figures:
        """The same of some records, in the order of `places`."""
        truth, values = [self.truth[at] for at in places], [self.given[at] for at in places]
        if self.target.task is Task.LABELS:
            return self._label_sets(truth, values)
        if self.target.task is Task.BOXES:
            return BoxSets.of_answers(truth, values)  # type: ignore[arg-type]
        if self.target.task is Task.NUMBER:
            numbers = [np.nan if value is None else value for value in values]
            return Numbers(np.array(truth, dtype=float), np.array(numbers, dtype=float), self.tolerance)
        referee = None
        if self.verdicts is not None:
            scores = [self._verdict(at) for at in places]
            referee = np.array([np.nan if score is None else score for score in scores], dtype=float)
        return Texts([self.text_scores[at] for at in places], referee)

    @cached_property
    def text_scores(self) -> list[TextScore]:
        """The figures of every text."""
        return [
            NOTHING if answer is None else text_score(answer[0], truth)  # type: ignore[index, arg-type]
            for truth, answer in zip(self.truth, self.given, strict=True)
        ]

    @cached_property
    def scores(self) -> list[dict[str, float | None]]:
        """Every record's own share in the figures, the task's first figure in front; None where undefined."""
        if self.target.task is Task.TEXT:
            rows: list[dict[str, float | None]] = [
                {"char_f1": score.char_f1, "anls": score.anls, "exact_match": float(score.exact)}
                for score in self.text_scores
            ]
            if self.verdicts is not None:
                for at, scores in enumerate(rows):
                    scores["referee"] = self._verdict(at)
            return rows
        figures = self.figures
        if isinstance(figures, BoxSets):
            return figures.each()
        if isinstance(figures, Numbers):
            return [
                {"mae": None if np.isnan(error) else float(error), "within_tolerance": float(right)}
                for error, right in zip(figures.errors, figures.right, strict=True)
            ]
        return [{"subset_accuracy": float(right)} for right in figures.right]

    def _verdict(self, at: int) -> float | None:
        """What the referee gives a record: nothing for an answer with a problem, which it is not shown."""
        if self.given[at] is None:
            return 0.0
        verdict = (self.verdicts or {}).get(self.ids[at])
        return verdict[0] if verdict else None

    def _label_sets(self, truth: list[Any], answers: list[Any]) -> LabelSets:
        names = self.labels.names if self.labels else ()
        return LabelSets(tuple(truth), tuple(answers), classes_of([*truth, *answers], names), len(names))


def join_values(
    truths: ValueTruths, predictions: Iterable[Prediction], *, answered_only: bool = False
) -> ValueOutcomes:
    """The outcomes of a split. A record without an answer has a problem, unless `answered_only`.

    Raises UserError when no id is one of the split's.
    """
    records = Records(truths.build, truths.split, tuple(truths.truth_of), truths.elsewhere, truths.without)
    matched = match(
        records,
        predictions,
        lambda prediction: _stated(prediction, truths)[1],
        answered_only=answered_only,
    )
    read = [_stated(prediction, truths) for prediction in matched.answers]
    return ValueOutcomes(
        target=truths.target,
        ids=matched.ids,
        truth=tuple(truths.truth_of[id_] for id_ in matched.ids),
        given=tuple(value for _, value in read),
        answers=tuple(prediction for prediction, _ in read),
        labels=truths.labels,
        trouble={name: Trouble.of(ids) for name, ids in matched.trouble.items() if ids},
    )


def paired(first: ValueOutcomes, second: ValueOutcomes) -> tuple[list[int], list[int]]:
    """The places of the records that both have with one truth, in the order of the second."""
    places = {id_: at for at, id_ in enumerate(first.ids)}
    pairs = [
        (places[id_], at)
        for at, id_ in enumerate(second.ids)
        if id_ in places and first.truth[places[id_]] == second.truth[at]
    ]
    return [before for before, _ in pairs], [after for _, after in pairs]


def comparable(first: Figures, second: Figures) -> tuple[Figures, Figures]:
    """Both figures of the same records as they can be subtracted: errors only where both have a number."""
    if isinstance(first, Numbers) and isinstance(second, Numbers):
        return first.beside(second), second.beside(first)
    if isinstance(first, LabelSets) and isinstance(second, LabelSets):
        possible = max(first.possible, len({*first.classes, *second.classes}))
        return replace(first, possible=possible), replace(second, possible=possible)
    return first, second


def plain(value: Value | None) -> str | None:
    """A value as one line of JSON, labels in order of their names; None for none."""
    if value is None or isinstance(value, PlacedBoxes):
        return None if value is None else str(value)
    return json.dumps(sorted(value) if isinstance(value, frozenset) else value, ensure_ascii=False)


def _stated(prediction: Prediction, truths: ValueTruths) -> tuple[Prediction, Value | None]:
    """The prediction, with a problem where it states no value of the kind, and the value."""
    if prediction.problem:
        return prediction, None
    raw, problem, detail = _raw(prediction, truths)
    value: Value | None = None
    if raw is None:
        pass
    elif truths.target.task is Task.NUMBER:
        value = read_number(raw)
        problem, detail = NOT_A_NUMBER, f"`{str(raw)[:60]}` is no number"
    elif truths.target.task is Task.BOXES:
        value = read_boxes(raw)
        problem, detail = "boxes_unreadable", "the answer states no boxes"
    elif truths.target.task is Task.LABELS:
        value = read_labels(raw, truths.labels)
        strangers = _strangers(value, truths.labels)
        if strangers:
            value, problem = None, "label_unknown"
            detail = f"`{strangers[0][:60]}` is not in the build's label file"
    elif isinstance(raw, str):
        value = (raw,) if raw.strip() else None
        problem, detail = "empty", "the answer is empty"
    if value is not None:
        return prediction, value
    detail = detail or f"the answer states no `{truths.target.field}`"
    return prediction.model_copy(update={"problem": problem or "form", "detail": detail}), None


def _raw(prediction: Prediction, truths: ValueTruths) -> tuple[Any, str, str]:
    """The value as the file has it: by name, as the one that was predicted, or in the answer's own text."""
    name = truths.target.field
    if prediction.values is not None and name in prediction.values:
        return prediction.values[name], "", ""
    if prediction.predicted is not None:
        return prediction.predicted, "", ""
    return truths.read(prediction.answer)


def _strangers(value: frozenset[str] | None, labels: LabelSet | None) -> list[str]:
    names = set(labels.names) if labels else set()
    return sorted(value - names) if value and labels else []


def answered_text(value: Value | None) -> str:
    """A value as a person reads it; "" for none."""
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "(none)"
    if isinstance(value, PlacedBoxes):
        return str(value)
    return value[0] if isinstance(value, tuple) else "" if value is None else f"{value:g}"


def truth_texts(value: Value) -> list[str]:
    """A truth as a person reads it, one text for each reference."""
    return list(value) if isinstance(value, tuple) else [answered_text(value)]
