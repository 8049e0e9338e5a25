"""One evaluation: what a model's answers are worth, with all that is needed to see why."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel

from datakit.artifacts import predictions as answers
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import Prediction
from datakit.core.errors import UserError
from datakit.evaluation import metrics
from datakit.evaluation.calibration import Calibration, calibration
from datakit.evaluation.confusion import ClassScore, Matrix, Pair, class_scores, pairs
from datakit.evaluation.from_build import images_of, truths_of
from datakit.evaluation.generated import is_generated, read_generated
from datakit.evaluation.metrics import Difference, Interval, Table
from datakit.evaluation.outcomes import Outcomes, Trouble, join
from datakit.evaluation.proposals import Proposal, proposals


class Comparison(BaseModel):
    """This evaluation less another, on the records that both have."""

    run: str
    records: int
    only_first: int
    """Records that only the other answered rightly."""
    only_second: int
    """Records that only this one answered rightly."""
    differences: dict[str, Difference]


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
    calibration: Calibration | None
    pairs: list[Pair]
    proposals: list[Proposal]
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds_per_record: float | None = None
    compared_with: list[Comparison] = []

    @property
    def answered(self) -> int:
        """Records that have an answer of any kind."""
        return self.records - self.problems.get(answers.NOT_ANSWERED, 0)


@dataclass(frozen=True)
class Options:
    """How answers are scored."""

    split: str = "val"
    answered_only: bool = False
    """Score only the records that the file has; else the others are wrong."""
    model: str = ""
    """Name of the model, when the file does not say."""
    resamples: int = metrics.RESAMPLES


@dataclass(frozen=True)
class Evaluated:
    """An evaluation and the outcomes behind it."""

    path: Path
    evaluation: Evaluation
    outcomes: Outcomes


def evaluate(build: BuildFolder, paths: Sequence[Path], options: Options) -> list[Evaluated]:
    """The evaluation of each file; the later ones are compared with the first.

    The same build, files and options give the same figures. Raises UserError for files that cannot be read
    or joined.
    """
    found: list[Evaluated] = []
    for path in paths:
        one = _one(build, path, options)
        if found:
            compared = compare(found[0], one, one.evaluation.seed, options.resamples)
            one = replace(one, evaluation=one.evaluation.model_copy(update={"compared_with": [compared]}))
        found.append(one)
    return found


def compare(first: Evaluated, second: Evaluated, seed: int, resamples: int = metrics.RESAMPLES) -> Comparison:
    """`second` less `first`. Raises UserError when they share no record with one truth."""
    one = _by_id(first.outcomes)
    two = _by_id(second.outcomes)
    common = [id_ for id_, (truth, _) in two.items() if id_ in one and one[id_][0] == truth]
    if not common:
        raise UserError(
            f"{first.evaluation.run} and {second.evaluation.run} share no record, so they cannot be compared",
            remedy="Compare answers to one split of one build.",
        )
    classes = sorted({label for id_ in common for label in (*one[id_], two[id_][1]) if label is not None})
    place = {name: at for at, name in enumerate(classes)}
    columns = zip(*[(*one[id_], two[id_][1]) for id_ in common], strict=True)
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


def scored_frame(outcomes: Outcomes) -> pl.DataFrame:
    """One row for each record: id, label, predicted, confidence, problem."""
    rows = [
        (id_, truth, item.predicted, item.confidence, item.problem)
        for id_, truth, item in zip(outcomes.ids, outcomes.truth, outcomes.answers, strict=True)
    ]
    return pl.DataFrame(rows, schema=SCORED, orient="row")


SCORED: dict[str, Any] = {
    "id": pl.String,
    "label": pl.String,
    "predicted": pl.String,
    "confidence": pl.Float64,
    "problem": pl.String,
}


def _by_id(outcomes: Outcomes) -> dict[str, tuple[str, str | None]]:
    return {
        id_: (truth, item.predicted)
        for id_, truth, item in zip(outcomes.ids, outcomes.truth, outcomes.answers, strict=True)
    }


def _one(build: BuildFolder, path: Path, options: Options) -> Evaluated:
    truths = truths_of(build, options.split)
    answers = read_answers(path, build, options.split)
    outcomes = join(truths, answers, answered_only=options.answered_only)
    truth, answer = outcomes.codes()
    table = Table.of(truth, answer, len(outcomes.classes))
    seed = int(build.recipe.get("seed", 7))
    mistakes = pairs(outcomes, build.labels, partial(images_of, build))
    evaluation = Evaluation(
        build=build.report.name,
        content=build.manifest.content,
        split=options.split,
        model=options.model or _models(outcomes),
        run=build.place(str(path.absolute())),
        predictions_sha256=_sha256(path),
        date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        records=outcomes.count,
        answered_only=options.answered_only,
        seed=seed,
        resamples=options.resamples,
        metrics=metrics.intervals(table, seed, options.resamples),
        classes=class_scores(outcomes, table),
        confusion=Matrix(labels=list(outcomes.classes), counts=table.matrix().tolist()),
        problems=outcomes.problems(),
        trouble=outcomes.trouble,
        calibration=calibration(outcomes),
        pairs=mistakes,
        proposals=proposals(mistakes, build),
        **_cost(outcomes),
    )
    return Evaluated(path, evaluation, outcomes)


def read_answers(path: Path, build: BuildFolder, split: str) -> Iterator[Prediction]:
    """The answers of a file to a split: those of `datakit predict`, or LLaMA-Factory's own form."""
    if is_generated(path):
        yield from read_generated(path, build, split)
    else:
        yield from answers.read(path)


def _models(outcomes: Outcomes) -> str:
    """The models that answered, in order of their names."""
    return ", ".join(sorted({item.model for item in outcomes.answers if item.model}))


def _cost(outcomes: Outcomes) -> dict[str, Any]:
    """Tokens and time, where the file has them."""
    tokens_in = [item.tokens_in for item in outcomes.answers if item.tokens_in is not None]
    tokens_out = [item.tokens_out for item in outcomes.answers if item.tokens_out is not None]
    seconds = [item.seconds for item in outcomes.answers if item.seconds is not None]
    return {
        "tokens_in": sum(tokens_in) if tokens_in else None,
        "tokens_out": sum(tokens_out) if tokens_out else None,
        "seconds_per_record": sum(seconds) / len(seconds) if seconds else None,
    }


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
