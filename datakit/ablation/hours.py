"""GPU hours that trainings took or will take. An archive of an ablation carries this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datakit.artifacts.ablation_record import Job
from datakit.handoff.stages import EXPORT, PREDICT, TRAIN, StageRecords

GPU = "H100"
BASIS = f"as `datakit plan --train --gpu {GPU}` reckons them; measured once one ran"


@dataclass(frozen=True)
class Cost:
    """Of one training."""

    job: Job
    hours: float | None
    """GPU hours; None where they cannot be reckoned."""
    done: bool
    """Whether it was trained and has answered, so that the hours are spent."""


def measured_hours(records: StageRecords, gpus: int) -> float | None:
    """GPU hours of the stages as they were done; None while one is not."""
    seconds = 0.0
    for stage in (records.read(name) for name in (TRAIN, EXPORT, PREDICT)):
        if stage is None or not stage.is_done:
            return None
        seconds += stage.seconds
    return seconds / 3600 * gpus


def hours_of(planned: Sequence[Cost]) -> float | None:
    """All of them together; None where one is unknown."""
    known = [cost.hours for cost in planned if cost.hours is not None]
    return sum(known) if len(known) == len(planned) else None
