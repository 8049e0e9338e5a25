"""One evaluation: what a model's answers are worth, with all that is needed to see why."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from datakit.artifacts.predictions import CONTRADICTED, NOT_ANSWERED
from datakit.core.errors import UserError
from datakit.core.regular_files import regular
from datakit.evaluation import bootstrap, metrics
from datakit.evaluation.calibration import Calibration, calibration
from datakit.evaluation.cited_lines import CitedLines
from datakit.evaluation.confusion import (
    ClassScore,
    Matrix,
    Pair,
    Proposal,
    class_scores,
    pairs,
    scores_of_sets,
)
from datakit.evaluation.metrics import Difference, Interval, Table
from datakit.evaluation.metrics_labels import LabelSets
from datakit.evaluation.outcomes import Outcomes, Trouble, join
from datakit.evaluation.source import Source
from datakit.evaluation.tasks import Target, Task
from datakit.evaluation.value_outcomes import ValueOutcomes, comparable, join_values, paired
from datakit.evaluation.worst import Worst, worst


class Comparison(BaseModel):
    """This evaluation less another, on the records that both have."""

    run: str
    records: int
    only_first: int
    """Records that only the other answered rightly."""
    only_second: int
    """Records that only this one answered rightly."""
    differences: dict[str, Difference]
    mcnemar_p: float | None = None
    """Of `only_first` and `only_second`; given for tasks other than one label."""


class RefereeFacts(BaseModel):
    """Who judged the texts, and how many."""

    template: str
    model: str
    judged: int
    open: int
    """Answers without a verdict; the figure `referee` leaves them out."""
    cost_usd: float | None = None
    """What the verdicts had cost when they were made; None where no price is known."""


class Evaluation(BaseModel):
    """Everything that `evaluation.json` holds."""

    version: int = 1
    build: str
    content: str
    """Content hash of the build's data."""
    split: str
    model: str
    run: str
    """The file of predictions, relative to the project where it lies in it."""
    predictions_sha256: str
    date: str
    """UTC, to the second."""
    records: int
    answered_only: bool
    """Whether records without an answer were left out, instead of counting as wrong."""
    seed: int
    resamples: int
    metrics: dict[str, Interval]
    classes: list[ClassScore]
    confusion: Matrix
    problems: dict[str, int]
    """Answers that are no label, by kind. They count as wrong."""
    trouble: dict[str, Trouble]
    cut: dict[str, int] = {}
    """Turn, from 1 -> answers that ended in it because their room did. They count as what they state."""
    calibration: Calibration | None
    pairs: list[Pair]
    proposals: list[Proposal]
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds_per_record: float | None = None
    compared_with: list[Comparison] = []
    task: Task = Task.LABEL
    field: str = "label"
    """What of the answers is scored."""
    tolerance: float | None = None
    """Of numbers: the largest error that counts as near enough."""
    worst: list[Worst] = []
    """Of tasks other than one label: the records that were answered worst."""
    referee: RefereeFacts | None = None
    evidence: CitedLines | None = None
    """What answers cite; None where they cite nothing."""
    edited: list[str] = []
    """What of the build and of the answers is not as it was made, in words."""

    @property
    def is_partial(self) -> bool:
        """Whether records that count are without an answer that can be scored."""
        missing = "missing" in self.trouble and not self.answered_only
        return missing or CONTRADICTED in self.trouble

    def document(self) -> dict[str, Any]:
        """What is written: of one label, with nothing cut, cited or edited, just what datakit 0.1 wrote."""
        has = {"evidence": self.evidence is not None, "cut": bool(self.cut), "edited": bool(self.edited)}
        without: dict[str, Any] = {name: True for name, is_there in has.items() if not is_there}
        if self.task is not Task.LABEL:
            return self.model_dump(exclude=without)
        compared = {"compared_with": {"__all__": {"mcnemar_p"}}}
        return self.model_dump(exclude={**without, **dict.fromkeys(_OF_VALUES, True), **compared})

    @property
    def answered(self) -> int:
        """Records that have an answer of any kind."""
        return self.records - self.problems.get(NOT_ANSWERED, 0)


_OF_VALUES = ("task", "field", "tolerance", "worst", "referee")
"""Fields of tasks other than one label."""
_KINDS = {
    Task.LABEL: "one label",
    Task.LABELS: "several labels",
    Task.NUMBER: "a number",
    Task.BOXES: "boxes",
}

Judge = Callable[[ValueOutcomes], tuple[ValueOutcomes, RefereeFacts]]
"""Adds a referee's verdicts to the outcomes of texts."""


@dataclass(frozen=True)
class Options:
    """How answers are scored."""

    split: str = "val"
    answered_only: bool = False
    """Score only the records that the file has; else the others are wrong."""
    model: str = ""
    """Name of the model, when the file does not say."""
    resamples: int = metrics.RESAMPLES
    tolerance: float = 0.0
    """Largest error of a number that counts as near enough."""
    judge: Judge | None = None
    """Has texts judged; a task that is not free text cannot have it."""


@dataclass(frozen=True)
class Evaluated:
    """An evaluation and the outcomes behind it."""

    path: Path
    evaluation: Evaluation
    outcomes: Outcomes | ValueOutcomes


def score(source: Source, paths: Sequence[Path], options: Options) -> list[Evaluated]:
    """The evaluation of each file; the later ones are compared with the first.

    The same source, files and options give the same figures. Raises UserError for files that cannot be read
    or joined.
    """
    evaluated: list[Evaluated] = []
    target = source.target()
    if options.judge is not None and target.task is not Task.TEXT:
        raise UserError(
            f"a referee judges free text, but answers to {source.folder} are scored by `{target.field}`: "
            f"{_KINDS[target.task]}",
            remedy="Leave --referee out.",
        )
    for path in paths:
        label = target.task is Task.LABEL
        result = _one(source, path, options) if label else _one_of_values(source, path, options, target)
        if evaluated:
            compared = compare(evaluated[0], result, result.evaluation.seed, options.resamples)
            result = replace(
                result, evaluation=result.evaluation.model_copy(update={"compared_with": [compared]})
            )
        evaluated.append(result)
    return evaluated


def compare(first: Evaluated, second: Evaluated, seed: int, resamples: int = metrics.RESAMPLES) -> Comparison:
    """`second` less `first`. Raises UserError when they share no record with one truth."""
    if isinstance(first.outcomes, ValueOutcomes) or isinstance(second.outcomes, ValueOutcomes):
        assert isinstance(first.outcomes, ValueOutcomes)  # one build has one target
        assert isinstance(second.outcomes, ValueOutcomes)
        return _compare_values(first, first.outcomes, second, second.outcomes, seed, resamples)
    first_by_id = _by_id(first.outcomes)
    second_by_id = _by_id(second.outcomes)
    common = [
        id_ for id_, (truth, _) in second_by_id.items() if id_ in first_by_id and first_by_id[id_][0] == truth
    ]
    if not common:
        raise _nothing_shared(first, second)
    classes = sorted(
        {label for id_ in common for label in (*first_by_id[id_], second_by_id[id_][1]) if label is not None}
    )
    place = {name: at for at, name in enumerate(classes)}
    columns = zip(*[(*first_by_id[id_], second_by_id[id_][1]) for id_ in common], strict=True)
    truth, before, after = (
        metrics.codes([-1 if label is None else place[label] for label in labels]) for labels in columns
    )
    right_before, right_after = before == truth, after == truth
    return Comparison(
        run=first.evaluation.run,
        records=len(common),
        only_first=int((right_before & ~right_after).sum()),
        only_second=int((~right_before & right_after).sum()),
        differences=metrics.differences(truth, before, after, len(classes), seed=seed, resamples=resamples),
    )


def _compare_values(
    first: Evaluated,
    first_outcomes: ValueOutcomes,
    second: Evaluated,
    second_outcomes: ValueOutcomes,
    seed: int,
    resamples: int,
) -> Comparison:
    places, places_two = paired(first_outcomes, second_outcomes)
    if not places:
        raise _nothing_shared(first, second)
    before, after = comparable(first_outcomes.figures_of(places), second_outcomes.figures_of(places_two))
    only_first = int((before.right & ~after.right).sum())
    only_second = int((~before.right & after.right).sum())
    return Comparison(
        run=first.evaluation.run,
        records=len(places),
        only_first=only_first,
        only_second=only_second,
        differences=bootstrap.differences(before, after, seed=seed, resamples=resamples),
        mcnemar_p=bootstrap.mcnemar(only_first, only_second),
    )


def _nothing_shared(first: Evaluated, second: Evaluated) -> UserError:
    return UserError(
        f"{first.evaluation.run} and {second.evaluation.run} share no record, so they cannot be compared",
        remedy="Compare answers to one split of one build.",
    )


def _by_id(outcomes: Outcomes) -> dict[str, tuple[str, str | None]]:
    return {
        id_: (truth, prediction.predicted)
        for id_, truth, prediction in zip(outcomes.ids, outcomes.truth, outcomes.answers, strict=True)
    }


def _one(source: Source, path: Path, options: Options) -> Evaluated:
    truths = source.truths(options.split)
    outcomes = join(truths, source.answers(path, options.split), answered_only=options.answered_only)
    truth, answer = outcomes.codes()
    table = Table.of(truth, answer, len(outcomes.classes))
    mistakes = pairs(outcomes, source.labels, source)
    evaluation = Evaluation(
        **_circumstances(source, path, options, outcomes),
        metrics=metrics.intervals(table, source.seed, options.resamples),
        classes=class_scores(outcomes, table),
        confusion=Matrix(labels=list(outcomes.classes), counts=table.matrix().tolist()),
        calibration=calibration(outcomes),
        pairs=mistakes,
        proposals=source.proposals(mistakes),
    )
    return Evaluated(path, evaluation, outcomes)


def _one_of_values(source: Source, path: Path, options: Options, target: Target) -> Evaluated:
    truths = source.value_truths(options.split, target)
    outcomes = join_values(truths, source.answers(path, options.split), answered_only=options.answered_only)
    outcomes = replace(outcomes, tolerance=options.tolerance)
    facts = None
    if options.judge is not None:
        outcomes, facts = options.judge(outcomes)
    figures = outcomes.figures
    evaluation = Evaluation(
        **_circumstances(source, path, options, outcomes),
        metrics=bootstrap.intervals(figures, source.seed, options.resamples),
        classes=scores_of_sets(figures) if isinstance(figures, LabelSets) else [],
        confusion=Matrix(labels=[], counts=[]),
        calibration=None,
        pairs=[],
        proposals=[],
        task=target.task,
        field=target.field,
        tolerance=options.tolerance if target.task is Task.NUMBER else None,
        worst=worst(outcomes, source.images_of),
        referee=facts,
    )
    return Evaluated(path, evaluation, outcomes)


def _circumstances(
    source: Source, path: Path, options: Options, outcomes: Outcomes | ValueOutcomes
) -> dict[str, Any]:
    """The fields that every task has."""
    return {
        "build": source.name,
        "content": source.content,
        "split": options.split,
        "model": options.model or _models(outcomes),
        "run": source.place(path),
        "predictions_sha256": _sha256(path),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),  # noqa: UP017 (a bundle runs on Python 3.10)
        "records": outcomes.count,
        "answered_only": options.answered_only,
        "seed": source.seed,
        "resamples": options.resamples,
        "problems": outcomes.problems(),
        "trouble": outcomes.trouble,
        "evidence": CitedLines.of(outcomes.answers),
        "cut": _cut(outcomes),
        "edited": source.edits(path),
        **_cost(outcomes),
    }


def _cut(outcomes: Outcomes | ValueOutcomes) -> dict[str, int]:
    """Turn -> answers that ended in it because their room did."""
    counts = Counter(turn for prediction in outcomes.answers for turn in prediction.cut)
    return {str(turn): count for turn, count in sorted(counts.items())}


def _models(outcomes: Outcomes | ValueOutcomes) -> str:
    """The models that answered, in order of their names."""
    return ", ".join(sorted({prediction.model for prediction in outcomes.answers if prediction.model}))


def _cost(outcomes: Outcomes | ValueOutcomes) -> dict[str, Any]:
    """Tokens and time, where the file has them."""
    tokens_in = [prediction.tokens_in for prediction in outcomes.answers if prediction.tokens_in is not None]
    tokens_out = [
        prediction.tokens_out for prediction in outcomes.answers if prediction.tokens_out is not None
    ]
    seconds = [prediction.seconds for prediction in outcomes.answers if prediction.seconds is not None]
    return {
        "tokens_in": sum(tokens_in) if tokens_in else None,
        "tokens_out": sum(tokens_out) if tokens_out else None,
        "seconds_per_record": sum(seconds) / len(seconds) if seconds else None,
    }


def _sha256(path: Path) -> str:
    state = hashlib.sha256()
    with open(path, "rb", opener=regular) as file:
        while chunk := file.read(1 << 20):
            state.update(chunk)
    return state.hexdigest()
