"""The answers of all trainings joined by record: what each change did to the base."""

from __future__ import annotations

import hashlib
from typing import Any

import polars as pl

from datakit.ablation.comparing import Answered, Comparison, compare_answers, missing_note
from datakit.artifacts.ablation import AblationFolder, AblationRecord
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.ledger import Ablated, Figure, Score
from datakit.cards.inputs import inputs_of
from datakit.core.clock import utc_now
from datakit.core.errors import UserError
from datakit.core.record import VAL
from datakit.core.regular_files import read_regular
from datakit.evaluation.evaluation import Options
from datakit.evaluation.from_build import evaluate
from datakit.evaluation.metrics import Floats, Interval
from datakit.kfold.joining import answers_of


def join(folder: AblationFolder, record: AblationRecord, seed: int) -> Comparison:
    """The comparison of the answers that are there. Raises UserError for damaged ones."""
    notes: list[str] = []
    unanswered: list[str] = []
    answered = _answered(folder, record, unanswered, notes)
    result = compare_answers(answered, seed)
    result.unanswered, result.notes = unanswered, [*notes, *result.notes]
    return result


def _answered(
    folder: AblationFolder, record: AblationRecord, unanswered: list[str], notes: list[str]
) -> list[Answered]:
    found: dict[str, Answered] = {}
    for job in folder.jobs(record):
        own = found.setdefault(job.change.name, Answered(job.change, build=job.path.name))
        build = folder.build(job)
        path, others = answers_of(build)
        if others:
            notes.append(f"answers of other trainings are left out: {', '.join(map(str, others))}")
        if path is None:
            unanswered.append(job.path.name)
            continue
        try:
            (run,) = evaluate(build, [path], Options(split=VAL, resamples=2))
        except UserError as error:
            raise UserError(error.message, remedy=error.remedy, where=error.where or str(path)) from None
        own.runs.append(run)
        own.files.append(path)
        notes += missing_note(job.path.name, run)
    return list(found.values())


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
    right = result.right[own.change.name]
    ids, labels = zip(*result.common, strict=True)
    pl.DataFrame({"id": ids, "label": labels, "right": right}).write_parquet(path)
    effect = result.effects.get(own.change.name)
    return Score(
        **given,
        content=build.manifest.content,
        split=VAL,
        records=result.records,
        metrics={"accuracy": _share(right)},
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
