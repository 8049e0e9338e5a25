"""Where an annotator's work is done: in the caller's thread, in worker processes, on an event loop, on Ray.

One file each; see `base.Executor` for what they have in common.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from datakit.core.errors import UserError, did_you_mean
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator
from datakit.run.executors.base import Executor
from datakit.run.executors.event_loop import EventLoopExecutor, asks_by_batch
from datakit.run.executors.inline import InlineExecutor
from datakit.run.executors.process import ProcessExecutor

GROUP = "datakit.executors"
"""Entry-point group through which other packages add executors (`ray = "package.module:RayExecutor"`)."""
_OWN: dict[str, Callable[[Annotator, StepContext], Executor]] = {
    "inline": InlineExecutor,
    "process": ProcessExecutor,
    "event_loop": EventLoopExecutor,
}
_OLD_NAMES = {"async": "event_loop"}


def executor_for(annotator: Annotator, context: StepContext) -> Executor:
    """The executor that an annotator names. Nothing is started before its `run` is."""
    declared: str = annotator.executor
    name = _OLD_NAMES.get(declared, declared)
    if context.run.executor == "ray" and _goes_far(name, annotator, context):
        from datakit.run.executors.ray import RayExecutor  # its actors are modules that processes start with

        return RayExecutor(annotator, context, calls=name == "event_loop")
    if name in _OWN:
        return _OWN[name](annotator, context)
    others = {point.name: point for point in entry_points(group=GROUP)}
    if name not in others:
        hint = did_you_mean(name, [*_OWN, *others])
        raise UserError(f"{annotator.name()} names an executor that is not there, `{name}`", remedy=hint)
    executor: Executor = others[name].load()(annotator, context)
    return executor


def _goes_far(name: str, annotator: Annotator, context: StepContext) -> bool:
    """Whether a Ray cluster takes the work. Inline work costs less than a record's way there; the lines of
    batches are few files, which wait at the provider."""
    return name == "process" or (name == "event_loop" and not asks_by_batch(annotator, context))
