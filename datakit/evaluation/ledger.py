"""Evaluations as lines of the ledger, and the ledger as a history: each score beside what changed."""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.ledger import Confusion, Figure, Score
from datakit.artifacts.ledger import versions as ledger_versions
from datakit.artifacts.metric_names import main_metrics
from datakit.cards.changes import changes
from datakit.cards.inputs import inputs_of
from datakit.core.regular_files import read_regular
from datakit.core.replacing import set_aside
from datakit.evaluation import bootstrap, metrics
from datakit.evaluation.bootstrap import Means
from datakit.evaluation.confusion import Pair
from datakit.evaluation.evaluation import Evaluation
from datakit.evaluation.frames import SCORED, VALUES
from datakit.evaluation.metrics import Difference
from datakit.evaluation.tasks import Task

MOST_CONFUSIONS = 5
"""In a line of the ledger, for the card; evaluation.json has more."""
_VERSION = re.compile(r"[_-]?v?\d+$")


def score_of(evaluation: Evaluation, build: BuildFolder, outcomes: Path) -> Score:
    """The line of an evaluation; `outcomes` is the file with each record's."""
    return Score(
        date=evaluation.date,
        name=evaluation.build,
        content=evaluation.content,
        model=evaluation.model,
        split=evaluation.split,
        records=evaluation.records,
        answered_only=evaluation.answered_only,
        task=evaluation.task.value,
        metrics={
            name: Figure(value=_six(figure.value), low=_six(figure.low), high=_six(figure.high))
            for name, figure in evaluation.metrics.items()
        },
        problems=evaluation.problems,
        confusions=tuple(confusion_of(pair) for pair in evaluation.pairs[:MOST_CONFUSIONS]),
        run=evaluation.run,
        predictions_sha256=evaluation.predictions_sha256,
        outcomes=build.place(str(outcomes.absolute())),
        outcomes_sha256=hashlib.sha256(read_regular(outcomes)).hexdigest(),
        inputs=inputs_of(build),
    )


def confusion_of(pair: Pair) -> Confusion:
    """A pair as a line of the ledger holds it."""
    return Confusion(
        truth=pair.truth,
        answered=pair.answered,
        count=pair.count,
        back=pair.back,
        wrong=tuple(example.id for example in pair.examples),
        beside={label: tuple(example.id for example in examples) for label, examples in pair.beside.items()},
    )


@dataclass(frozen=True)
class Entry:
    """A score, and how it came about since the one before it."""

    score: Score
    number: int
    """Of the version of its recipe, from 1: each new state of recipe, templates, labels and data is one."""
    before: Score | None
    """The score of the same family and split that was measured before it."""
    changes: tuple[str, ...] = ()
    difference: Difference | None = None
    """Of the task's first figure (accuracy), on the records of both; None where outcomes are not kept."""
    compared: int = 0
    """Records that both have."""


def history(scores: Sequence[Score], project: Path, *, name: str = "") -> list[Entry]:
    """The scores in order of their dates, each compared with the one before it of its family.

    A family are recipes whose names differ in their version alone (ecom_v1, ecom_v2). `name` chooses a
    recipe, a family or a pattern (`ecom_*`). Lines of ablations are no versions.
    """
    versions: dict[str, list[str]] = {}
    last: dict[tuple[str, str, str], Score] = {}
    entries = []
    for score in sorted(ledger_versions(scores), key=lambda score: score.date):
        own_versions = versions.setdefault(score.name, [])
        if score.inputs.version not in own_versions:
            own_versions.append(score.inputs.version)
        key = (family(score.name), score.split, score.task)
        before = last.get(key)
        last[key] = score
        if name and name not in (score.name, key[0]) and not fnmatchcase(score.name, name):
            continue
        entries.append(_entry(score, before, own_versions.index(score.inputs.version) + 1, project))
    return entries


def family(name: str) -> str:
    """The recipe's name without its version; the name itself when nothing else is left."""
    return _VERSION.sub("", name) or name


def _entry(score: Score, before: Score | None, number: int, project: Path) -> Entry:
    return Entry(score, number, None) if before is None else entry_since(before, score, project, number)


def entry_since(before: Score, score: Score, project: Path, number: int = 1) -> Entry:
    """A score with what changed since another, and whether the difference is told from chance."""
    texts = changes(before.inputs, score.inputs)
    if before.model != score.model:
        texts.append(f"model {before.model or 'unnamed'} → {score.model or 'unnamed'}")
    if before.run_id and score.run_id and before.run_id != score.run_id:
        texts.append(f"run {before.run_id} → {score.run_id}")
    difference, compared = _difference(before, score, project)
    return Entry(score, number, before, tuple(texts), difference, compared)


def _difference(before: Score, after: Score, project: Path) -> tuple[Difference | None, int]:
    first, second = _outcomes(before, project), _outcomes(after, project)
    if first is None or second is None:
        return None, 0
    if after.task != Task.LABEL:
        return _difference_of_values(first, second, after)
    joined = first.join(second, on=["id", "label"], suffix="_after")
    if joined.is_empty():
        return None, 0
    labels = sorted(
        {*joined["label"], *joined["predicted"].drop_nulls(), *joined["predicted_after"].drop_nulls()}
    )
    place = {label: at for at, label in enumerate(labels)}
    truth, codes_before, codes_after = (
        metrics.codes([-1 if label is None else place[label] for label in joined[column]])
        for column in ("label", "predicted", "predicted_after")
    )
    seed = int(after.inputs.recipe.get("seed", 7))
    return metrics.differences(truth, codes_before, codes_after, len(labels), seed=seed)[
        "accuracy"
    ], joined.height


def _outcomes(score: Score, project: Path) -> pl.DataFrame | None:
    """The outcome of each record; None when the file is gone."""
    frame = outcomes_of(score, project)
    columns, needed = (SCORED, ("id", "label", "predicted"))
    if score.task != Task.LABEL:
        columns, needed = (VALUES, ("id", "truth", "score"))
    return frame.select(needed) if frame is not None and set(columns) <= set(frame.columns) else None


def outcomes_of(score: Score, project: Path) -> pl.DataFrame | None:
    """The table that a line of the ledger names, unchanged since; None when it is gone."""
    path = project / score.outcomes
    if not score.outcomes:
        return None
    for candidate in (path, *sorted(path.parent.glob(f"{glob.escape(path.stem)}.kept-*{path.suffix}"))):
        try:
            data = read_regular(candidate)
        except OSError:
            continue
        if hashlib.sha256(data).hexdigest() == score.outcomes_sha256:
            return pl.read_parquet(data)
    return None


def keep_outcomes(path: Path, new: Path) -> Path | None:
    """Where outcomes lie now that are replaced by others: the ledger compares later scores with them."""
    if not path.is_file() or path.stat().st_size == 0 or read_regular(path) == read_regular(new):
        return None
    return set_aside(path)


def _difference_of_values(
    first: pl.DataFrame, second: pl.DataFrame, after: Score
) -> tuple[Difference | None, int]:
    """Of the first figure, which is the mean of the records' scores, where both have one."""
    joined = first.join(second, on=["id", "truth"], suffix="_after").drop_nulls()
    name = main_metrics(after.task)[0] if main_metrics(after.task) else ""
    if joined.is_empty() or not name:
        return None, 0
    means_before, means_after = (
        Means(name, joined[column].to_numpy()) for column in ("score", "score_after")
    )
    seed = int(after.inputs.recipe.get("seed", 7))
    return bootstrap.differences(means_before, means_after, seed=seed)[name], joined.height


def _six(value: float) -> float:
    return round(value, 6)
