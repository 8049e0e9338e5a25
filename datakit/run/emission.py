"""The files of a build, written by one emitter after the other, with an account of what each leaves out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from datakit.artifacts.report import StepReport
from datakit.core.boxes import UNCLEAR
from datakit.core.errors import UserError
from datakit.core.outcome import Reject
from datakit.core.transform import Artifact, Emitter
from datakit.recipe.recipe import Step
from datakit.run.engine import Engine, NotConserved
from datakit.run.record_frames import RecordFrames

_UNSAID = {
    "pixels": "with boxes in kept chats that may be pixels or thousandths of the sides, as the model counts: "
    "say it (render.chat: `kept_boxes`)",
    "rounded": "with boxes in kept chats that may be pixels of the picture, or of the size in which the "
    "model sees it, over a pixel apart: say it (render.chat: `kept_boxes`)",
}
_SHOWN = 100
"""Records that the report names of those with numbers that may be places."""


def emit(step: Step, number: int, frames: RecordFrames, folder: Path, engine: Engine) -> list[Artifact]:
    """The files of one emitter. What it leaves out joins rejects.jsonl, even when it fails in the end.

    The records themselves go nowhere: they stay in the build, for the other emitters to write.
    """
    if not isinstance(step.transform, Emitter):
        raise UserError(f"`{step.name}` is no emitter", where=step.where)
    report = StepReport(number=number, name=step.name, emits=True, records_in=frames.rows)
    engine.reports.append(report)
    engine.progress.start(step.name, 0)
    began = time.perf_counter()
    left_out: list[Reject] = []
    doubts: list[Reject] = []
    unsaid: list[Reject] = []
    own = engine.context.for_step(step.transform)
    context = own.changed(left_out=left_out, doubts=doubts, unsaid_units=unsaid)
    try:
        artifacts = step.transform.write(frames, folder, context)
    finally:
        engine.leave_out(_placed(left_out, frames), report)
        report.records_out = frames.rows - len(left_out)
        if doubts:
            report.notes["unclear places"] = len(doubts)
            report.notes["first unclear places"] = {doubt.id: doubt.detail for doubt in doubts[:_SHOWN]}
        if unsaid:
            told = (_told(why, unsaid) for why in _UNSAID)
            report.notes[UNCLEAR] = [each for each in told if each["count"]]
        report.seconds = round(time.perf_counter() - began, 3)
    if len({reject.id for reject in left_out}) < len(left_out):
        raise NotConserved(
            f"{step.name} leaves a record out twice. This is a fault of the transform; please report it."
        )
    return artifacts


def _told(why: str, unsaid: Sequence[Reject]) -> dict[str, Any]:
    """What the report says of boxes that nobody has explained, for one reason."""
    own = [doubt for doubt in unsaid if doubt.reason == why]
    shown = {doubt.id: doubt.detail for doubt in own[:_SHOWN]}
    return {"what": _UNSAID[why], "count": len(own), "shown": shown}


def _placed(left_out: Sequence[Reject], frames: RecordFrames) -> list[Reject]:
    """The same in the order of the records, with their places in the source, which emitters do not read."""
    rejects = {reject.id: reject for reject in left_out}
    if not rejects:
        return []
    columns = [name for name in ("id", "source_file", "source_line") if name in frames.schema]
    rows = frames.lazy().select(columns).filter(pl.col("id").is_in(list(rejects))).collect()
    return [
        Reject.of(row, rejects[row["id"]].reason, rejects[row["id"]].detail)
        for row in rows.iter_rows(named=True)
    ]
