"""What each recipe line did to the accuracy of a family of versions, with intervals: numpy alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datakit.artifacts.ledger import Inputs, Score
from datakit.cards.changes import changes
from datakit.evaluation.frames import SCORED
from datakit.evaluation.ledger import family, outcomes_of
from datakit.evaluation.metrics import Floats, Interval
from datakit.evaluation.pooled import ALPHA, HELPS, HURTS, NOISE, holm
from datakit.evaluation.tasks import Task

PRIOR = 0.05
"""Standard deviation that the effect of a line is expected to have: two of three within five points."""
OVERLAP = 0.5
"""A version that shares fewer than this share of the newest one's records is left out."""
_Z = 1.959963984540054


@dataclass(frozen=True)
class Line:
    """A difference between versions, and what it does to accuracy."""

    texts: tuple[str, ...]
    """In words; several where they always came together, so that nobody can tell them apart."""
    effect: Interval
    p: float
    p_holm: float
    versions: int
    """That have it."""
    separable: bool
    """Whether the versions as they are tell it from all other lines; else it is shared out evenly."""

    @property
    def verdict(self) -> str:
        if self.p_holm >= ALPHA:
            return NOISE
        return HELPS if self.effect.value > 0 else HURTS


@dataclass(frozen=True)
class Explanation:
    """The lines of a family, against its first version."""

    family: str
    split: str
    first: Score
    lines: tuple[Line, ...]
    versions: int
    """Evaluations that were used, trainings of one version counted singly."""
    records: int
    """That all of them share."""
    left_out: tuple[str, ...]
    """Evaluations that could not be used, and why."""
    noise: float | None
    """Standard deviation from training to training; None where nothing was trained twice."""


def explain(scores: Sequence[Score], project: Path, name: str) -> list[Explanation]:
    """The explanation of every split of a family (`ecom` is ecom_v1, ecom_v2 …), of tasks with one label.

    A split with a single version that can be used has no lines.
    """
    groups: dict[tuple[str, str], list[Score]] = {}
    for score in sorted(scores, key=lambda score: score.date):
        if score.task == Task.LABEL and family(name) == family(score.name):
            groups.setdefault((family(score.name), score.split), []).append(score)
    return [_of_group(key, own, project) for key, own in groups.items()]


def _of_group(key: tuple[str, str], scores: Sequence[Score], project: Path) -> Explanation:
    used, tables, left_out = _readable(scores, project)
    if not used:
        return Explanation(*key, scores[0], (), 0, 0, tuple(left_out), None)
    common = tables[0].select("id", "label")
    for table in tables[1:]:
        common = common.join(table, on=["id", "label"], how="semi", maintain_order="left")
    right = np.stack(
        [common.join(own, on=["id", "label"], how="left", maintain_order="left")["right"] for own in tables]
    )
    texts = [_differences(used[0], score) for score in used]
    trainings = [score.ablation.seeds if score.ablation else 1 for score in used]
    spreads = [
        score.ablation.spread for score in used if score.ablation and score.ablation.spread is not None
    ]
    known = spreads[-1] if spreads else None
    lines, noise = attribute(right, texts, trainings, known)
    return Explanation(*key, used[0], tuple(lines), len(used), common.height, tuple(left_out), noise)


def _readable(scores: Sequence[Score], project: Path) -> tuple[list[Score], list[pl.DataFrame], list[str]]:
    """The scores whose outcomes are kept and which share records with the newest, in their order."""
    used, tables, left_out = [], list[pl.DataFrame](), []
    common: pl.DataFrame | None = None
    newest = 0
    for score in reversed(scores):
        who = f"{score.name} of {score.date[:16].replace('T', ' ')}"
        table = _table(score, project)
        if table is None:
            left_out.append(f"{who}: its outcomes are not kept")
            continue
        shared = table if common is None else common.join(table, on=["id", "label"], how="semi")
        newest = newest or table.height
        if shared.height < max(1, OVERLAP * newest):
            left_out.append(f"{who}: of the newest one's {newest:,} records it shares {shared.height:,}")
            continue
        common = shared
        used.append(score)
        tables.append(table)
    return used[::-1], tables[::-1], left_out[::-1]


def _table(score: Score, project: Path) -> pl.DataFrame | None:
    """Id, label and how often the record was right; None where the file is gone."""
    frame = outcomes_of(score, project)
    if frame is None:
        return None
    if {"id", "label", "right"} <= set(frame.columns):
        return frame.select("id", "label", pl.col("right").cast(pl.Float64))
    if not set(SCORED) <= set(frame.columns):
        return None
    right = (pl.col("predicted") == pl.col("label")).fill_null(value=False).cast(pl.Float64)
    return frame.select("id", "label", right.alias("right"))


def _differences(first: Score, score: Score) -> frozenset[str]:
    """What differs between two versions, in words: causes, so neither counts of records nor the trainer's
    seed."""
    texts = changes(_causes(first.inputs), _causes(score.inputs))
    if first.model != score.model:
        texts.append(f"model {first.model or 'unnamed'} → {score.model or 'unnamed'}")
    return frozenset(texts)


def _causes(inputs: Inputs) -> Inputs:
    train = inputs.recipe.get("train")
    if isinstance(train, dict):
        train = {key: value for key, value in train.items() if key != "seed"}
    recipe = {**inputs.recipe, **({"train": train} if train is not None else {})}
    return inputs.model_copy(update={"recipe": recipe, "records": {}})


def attribute(
    right: Floats, texts: Sequence[Iterable[str]], trainings: Sequence[int], known: float | None = None
) -> tuple[list[Line], float | None]:
    """The effect of every text on the accuracy of the versions that have it, and the training's noise.

    `right` is (versions, records), how often each record was answered rightly; `texts` are each version's
    differences from the first, `trainings` how many each row pools. A regression of the versions'
    accuracies on the texts, generalised by the covariance that common records give them (which is what
    makes it paired), with effects drawn towards 0 by a normal prior of `PRIOR` (ridge regression, Hoerl and
    Kennard 1970, in its Bayesian reading: Gelman and others, Bayesian Data Analysis 2013, chapter 14).
    Effects add up: what two lines do only together is given to both. Noise is from rows with equal texts,
    else the `known` one of an ablation.
    """
    rows = [frozenset(own) for own in texts]
    columns, design = _design(rows)
    noise = _noise(right, rows)
    noise = known if noise is None else noise
    if not columns:
        return [], noise
    covariance = np.atleast_2d(np.cov(right)) / right.shape[1]
    training = 0.0 if noise is None else noise**2
    covariance = covariance + np.diag([training / count + 1e-9 for count in trainings])
    full = np.column_stack([np.ones(len(rows)), design])
    weight = np.linalg.inv(covariance)
    prior = np.diag([0.0, *(1 / PRIOR**2 for _ in columns)])
    posterior = np.linalg.inv(full.T @ weight @ full + prior)
    accuracy = right.mean(axis=1)
    effects = posterior @ full.T @ weight @ accuracy
    spreads = np.sqrt(np.diag(posterior) * _dispersion(accuracy - full @ effects, weight, full))
    ps = [math.erfc(abs(effects[at]) / spreads[at] / math.sqrt(2)) for at in range(1, len(columns) + 1)]
    lines = []
    for at, (own, p, corrected) in enumerate(zip(columns, ps, holm(ps), strict=True), 1):
        value, half = float(effects[at]), _Z * float(spreads[at])
        interval = Interval(value, value - half, value + half)
        count = int(design[:, at - 1].sum())
        lines.append(Line(own, interval, p, corrected, count, _is_separable(full, at)))
    return sorted(lines, key=lambda line: line.p), noise


def _design(rows: Sequence[frozenset[str]]) -> tuple[list[tuple[str, ...]], Floats]:
    """Texts that always come together in one column each, 1 for the versions that have them."""
    together: dict[tuple[bool, ...], list[str]] = {}
    for text in dict.fromkeys(text for row in rows for text in sorted(row)):
        together.setdefault(tuple(text in row for row in rows), []).append(text)
    varying = {key: own for key, own in together.items() if not all(key)}
    design = np.array(list(varying), dtype=np.float64).reshape(len(varying), len(rows)).T
    return [tuple(own) for own in varying.values()], design


def _dispersion(residual: Floats, weight: Floats, full: Floats) -> float:
    """How much more the versions differ than records, training and lines explain: at least 1.

    Pearson's statistic over its degrees of freedom, which widens intervals where effects do not add up and
    where training's noise is not known (quasi-likelihood, McCullagh and Nelder 1989, section 4.5).
    """
    degrees = len(residual) - int(np.linalg.matrix_rank(full))
    return max(1.0, float(residual @ weight @ residual) / degrees) if degrees > 0 else 1.0


def _is_separable(full: NDArray[np.float64], at: int) -> bool:
    """Whether some contrast of versions shows this column alone (an estimable function)."""
    rank = int(np.linalg.matrix_rank(full))
    return int(np.linalg.matrix_rank(np.delete(full, at, axis=1))) < rank


def _noise(right: Floats, rows: Sequence[frozenset[str]]) -> float | None:
    """Standard deviation of the accuracy of one version from training to training, pooled."""
    groups: dict[frozenset[str], list[float]] = {}
    for row, values in zip(rows, right, strict=True):
        groups.setdefault(row, []).append(float(values.mean()))
    several = [np.array(own) for own in groups.values() if len(own) > 1]
    degrees = sum(len(own) - 1 for own in several)
    if not degrees:
        return None
    return math.sqrt(sum(float(((own - own.mean()) ** 2).sum()) for own in several) / degrees)
