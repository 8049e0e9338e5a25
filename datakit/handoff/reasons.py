"""Why a stage runs or is passed over: what it takes in and gives, beside what its record says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from datakit.handoff.stages import GONE, TRAIN, UNKNOWN, StageRecord, local


@dataclass(frozen=True)
class Decision:
    """Whether a stage runs, and why."""

    stage: str
    runs: bool
    why: str
    anew: bool = False
    """From the beginning: what an earlier run of it left belongs to something else."""
    adopts: bool = False
    """It is passed over, and what stands there is taken for its outcome from here on."""
    inputs: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return f"{self.stage} {'runs' if self.runs else 'is passed over'}: {self.why}"


def decide(
    stage: str,
    record: StageRecord | None,
    inputs: Mapping[str, str],
    forced: str,
    outputs: Callable[[str], Mapping[str, str]],
    stands: Callable[[str], bool],
) -> Decision:
    """The decision about a stage with these inputs; `forced` is the stage that `--again` names.

    `outputs` and `stands` are asked only where it matters, because they may read gigabytes.
    """
    taken = dict(inputs)
    if forced:
        return Decision(stage, True, f"--again {forced}", anew=True, inputs=taken)
    if record is None:
        if stands(stage):
            why = f"it stands already; an earlier version made it, or `datakit {stage}`"
            return Decision(stage, False, why, adopts=True, inputs=taken)
        return Decision(stage, True, "it was not done before", inputs=taken)
    changed = _changed(record.inputs, inputs)
    if changed:
        why = f"other {_listed(changed)} than on {local(record.begun)}"
        return Decision(stage, True, why, anew=True, inputs=taken)
    if record.exit is None:
        why = f"it was begun {local(record.begun)} and did not come to its end"
        return Decision(stage, True, why, inputs=taken)
    if not record.is_done:
        why = f"it ended with exit code {record.exit} {local(record.finished)}"
        return Decision(stage, True, why, inputs=taken)
    unknown = [name for name in taken if UNKNOWN in (taken[name], record.inputs.get(name))]
    if unknown:
        return Decision(stage, True, f"the {_listed(unknown)} cannot be known from here", inputs=taken)
    return _by_outputs(stage, record, taken, outputs(stage), stands)


def _by_outputs(
    stage: str,
    record: StageRecord,
    inputs: dict[str, str],
    outputs: Mapping[str, str],
    stands: Callable[[str], bool],
) -> Decision:
    """The decision about a stage that was done with the same inputs."""
    gone = [name for name, digest in record.outputs.items() if outputs.get(name, GONE) == GONE != digest]
    if gone:
        return Decision(stage, True, f"{_listed(gone)} is gone", inputs=inputs)
    changed = _changed(record.outputs, outputs)
    if changed and stage == TRAIN and stands(stage):  # hours of somebody's work are never thrown over
        why = f"{_listed(changed)} was made anew since {local(record.finished)}, and is taken as it stands"
        return Decision(stage, False, why, adopts=True, inputs=inputs)
    if changed:
        why = f"{_listed(changed)} was changed since {local(record.finished)}"
        return Decision(stage, True, why, anew=True, inputs=inputs)
    return Decision(stage, False, f"done {local(record.finished)}, inputs unchanged", inputs=inputs)


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names whose digests differ, but for those that are not known at one of the two times."""
    pairs = ((name, before.get(name, GONE), now.get(name, GONE)) for name in {**before, **now})
    return [name for name, old, new in pairs if old != new and UNKNOWN not in (old, new)]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
