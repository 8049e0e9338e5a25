"""The answers of all trainings joined by record: what each change did to the base."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from datakit.artifacts.ablation import BASE, AblationFolder, AblationRecord, Change
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.ledger import Ablated, Figure, Score
from datakit.cards.inputs import inputs_of
from datakit.core.clock import utc_now
from datakit.core.errors import UserError
from datakit.core.record import VAL
from datakit.core.regular_files import read_regular
from datakit.evaluation.evaluation import Evaluated, Options
from datakit.evaluation.frames import scored_frame
from datakit.evaluation.from_build import evaluate
from datakit.evaluation.metrics import Counts, Floats, Interval
from datakit.evaluation.pooled import Effect, Noise, compare
from datakit.kfold.joining import answers_of

OVERLAP = 0.5
"""A change that holds out fewer than this share of the base's records is compared with nothing."""


@dataclass
class Answered:
    """What a change's trainings answered."""

    change: Change
    runs: list[Evaluated] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    build: str = ""
    """Name of the first one's build."""

    @property
    def frames(self) -> list[pl.DataFrame]:
        return [scored_frame(run.outcomes).select("id", "label", "predicted") for run in self.runs]


@dataclass
class Comparison:
    """All changes, compared on the records that all of them held out."""

    base: Answered | None = None
    changes: list[Answered] = field(default_factory=list)
    """Those that were compared."""
    effects: dict[str, Effect] = field(default_factory=dict)
    """By the name of the change."""
    accuracy: dict[str, float] = field(default_factory=dict)
    """Of each change and the base, meant over trainings, on the compared records."""
    records: int = 0
    unanswered: list[str] = field(default_factory=list)
    """Builds that have no answers yet."""
    notes: list[str] = field(default_factory=list)
    spread: float | None = None
    """Standard deviation of accuracy from training to training; None where nothing was trained twice."""
    table: pl.DataFrame = field(default_factory=pl.DataFrame)
    """Id, label and, by the name of each change, how often it was right."""

    @property
    def is_whole(self) -> bool:
        return self.base is not None and not self.unanswered


def join(folder: AblationFolder, record: AblationRecord, seed: int) -> Comparison:
    """The comparison of the answers that are there. Raises UserError for damaged ones."""
    result = Comparison()
    answered = _answered(folder, record, result)
    base = next((own for own in answered if own.change.name == BASE and own.runs), None)
    if base is None:
        return result
    result.base = base
    common, of = _common(base.frames), len(base.frames[0])
    for own in answered:
        if own is base or not own.runs:
            continue
        shared = common.join(_common(own.frames), on=["id", "label"], how="semi")
        if shared.height < OVERLAP * of:
            result.notes.append(
                f"{own.change.words} is not compared: of the base's {of:,} held-out records it holds out "
                f"{shared.height:,} with the same label"
            )
            continue
        common = shared
        result.changes.append(own)
    result.records = common.height
    if common.height < of:
        result.notes.append(f"compared on the {common.height:,} records that all hold out, of {of:,}")
    if result.changes and common.height:
        _compare(result, common, seed)
    return result


def _answered(folder: AblationFolder, record: AblationRecord, result: Comparison) -> list[Answered]:
    found: dict[str, Answered] = {}
    for job in folder.jobs(record):
        own = found.setdefault(job.change.name, Answered(job.change, build=job.path.name))
        build = folder.build(job)
        path, others = answers_of(build)
        if others:
            result.notes.append(f"answers of other trainings are left out: {', '.join(map(str, others))}")
        if path is None:
            result.unanswered.append(job.path.name)
            continue
        try:
            (run,) = evaluate(build, [path], Options(split=VAL, resamples=2))
        except UserError as error:
            raise UserError(error.message, remedy=error.remedy, where=error.where or str(path)) from None
        own.runs.append(run)
        own.files.append(path)
        missing = run.evaluation.trouble.get("missing")
        if missing is not None:
            result.notes.append(
                f"{job.path.name}: {missing.count:,} records have no answer and count as wrong"
            )
    return list(found.values())


def _common(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Id and label of the records that all have with one label, in the first one's order."""
    common = frames[0].select("id", "label")
    for frame in frames[1:]:
        common = common.join(frame, on=["id", "label"], how="semi", maintain_order="left")
    return common


def _compare(result: Comparison, common: pl.DataFrame, seed: int) -> None:
    assert result.base is not None  # the caller has one
    columns = {own.change.name: own.frames for own in (result.base, *result.changes)}
    predicted = {
        name: [common.join(frame, on=["id", "label"], how="left", maintain_order="left") for frame in frames]
        for name, frames in columns.items()
    }
    given = [frame["predicted"].drop_nulls() for own in predicted.values() for frame in own]
    labels = sorted({*common["label"], *(label for own in given for label in own)})
    place = {label: at for at, label in enumerate(labels)}
    truth = _codes(common["label"], place)
    answers = {
        name: np.stack([_codes(frame["predicted"], place) for frame in own])
        for name, own in predicted.items()
    }
    result.effects = compare(truth, answers, BASE, seed=seed)
    noise = Noise.of([(own == truth).mean(axis=1) for own in answers.values()])
    result.spread = round(noise.variance**0.5, 6) if noise.degrees else None
    right: dict[str, Floats] = {name: (own == truth).mean(axis=0) for name, own in answers.items()}
    result.accuracy = {name: float(own.mean()) for name, own in right.items()}
    result.table = common.with_columns(pl.Series(name, own) for name, own in right.items())


def _codes(values: pl.Series, place: dict[str, int]) -> Counts:
    return np.array([-1 if value is None else place[value] for value in values], dtype=np.int64)


def scores_of(result: Comparison, folder: AblationFolder, name: str) -> list[Score]:
    """The lines of the ledger, the base first; their files of outcomes are written into the folder."""
    assert result.base is not None  # only what was compared has lines
    now, model = utc_now(), result.base.runs[0].evaluation.model
    of_all = hashlib.sha256()
    for own in (result.base, *result.changes):
        for path in own.files:
            of_all.update(hashlib.sha256(read_regular(path)).digest())
    return [
        _score(
            result,
            own,
            folder,
            {"date": now, "name": name, "model": model, "predictions_sha256": of_all.hexdigest()},
        )
        for own in (result.base, *result.changes)
    ]


def _score(result: Comparison, own: Answered, folder: AblationFolder, given: dict[str, Any]) -> Score:
    build = BuildFolder.open(folder.path / own.build)
    path = folder.outcomes_file(own.change)
    result.table.select("id", "label", right=own.change.name).write_parquet(path)
    effect = result.effects.get(own.change.name)
    return Score(
        **given,
        content=build.manifest.content,
        split=VAL,
        records=result.records,
        metrics={"accuracy": _share(result.table[own.change.name].to_numpy())},
        run=build.place(str(folder.record_file)),
        outcomes=build.place(str(path)),
        outcomes_sha256=hashlib.sha256(read_regular(path)).hexdigest(),
        inputs=inputs_of(build),
        ablation=Ablated(
            change=own.change.words,
            seeds=len(own.runs),
            effect={name: figure_of(figure) for name, figure in effect.figures.items()} if effect else {},
            p=round(effect.p_holm, 6) if effect else None,
            verdict=effect.verdict if effect else "",
            comparisons=len(result.changes),
            spread=result.spread,
        ),
    )


def _share(right: Floats) -> Figure:
    """The mean of how often records were right, with the normal interval over records."""
    mean, spread = float(right.mean()), float(right.std()) / len(right) ** 0.5
    low, high = max(0.0, mean - 1.96 * spread), min(1.0, mean + 1.96 * spread)
    return figure_of(Interval(mean, low, high))


def figure_of(interval: Interval) -> Figure:
    """A figure as the ledger holds it."""
    return Figure(value=round(interval.value, 6), low=round(interval.low, 6), high=round(interval.high, 6))
