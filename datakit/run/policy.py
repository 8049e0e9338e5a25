"""What an engine does about results that the store does not hold: pay for them, or (`dry_run`) leave them.

All else is the same whatever the policy: lookup, store and join are in `annotation`, the steps in `engine`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any

from datakit.core.errors import BudgetSpent
from datakit.core.outcome import Batch
from datakit.core.step_context import StepContext
from datakit.core.transform import Reviser
from datakit.recipe.recipe import Step
from datakit.run.annotation import Annotation
from datakit.run.record_frames import RecordFrames

Traces = dict[str, dict[str, Any]]
"""Id -> key of the last answer that a guard was handed, and whether this run made it."""


class Policy(ABC):
    """How an engine meets records without a result. `Annotation` is one annotator at work on a stage."""

    @abstractmethod
    def annotate(self, step: Step, work: Annotation, frames: RecordFrames) -> Iterator[Batch]:
        """The records of `stage` with the annotator's columns, and those that are rejected or retried."""

    @abstractmethod
    def revise(
        self, step: Step, reviser: Reviser, work: Annotation, rounds: Iterable[RecordFrames]
    ) -> Traces:
        """Hands a guard the answers to each round, a fresh `replace(work)` for each. `rounds` ask the guard
        for the next records, so `reviser.stop` ends them."""

    @abstractmethod
    def passing(self, group: list[Step], schema: dict[str, Any], context: StepContext) -> Collection[str]:
        """Ids of the records that pass these steps untouched, because it is not known what the steps read."""

    @abstractmethod
    def passed(self, columns: Iterable[str]) -> None:
        """Some records have passed steps that give these columns: they are null for them, and not known."""


class Pay(Policy):
    """What is missing is made and paid for, within the budget; what fails is left to the next run."""

    def annotate(self, step: Step, work: Annotation, frames: RecordFrames) -> Iterator[Batch]:
        work.pay(frames)
        return work.join(frames)

    def revise(
        self, step: Step, reviser: Reviser, work: Annotation, rounds: Iterable[RecordFrames]
    ) -> Traces:
        """Raises BudgetSpent when the build's budget is spent; at the guard's own the rounds are over.

        The guard's own budget is one for its data: stored answers count with what they had cost, so that a
        run that goes on spends no second one.
        """
        traces: Traces = {}
        used_usd = 0.0
        reviser.probes = True
        for frames in rounds:
            own = None
            if reviser.budget_usd is not None:
                own = self._own_budget(reviser.budget_usd - used_usd, work, frames)
            round_work = replace(work, context=_with_budget(work.context, own))
            is_spent = False
            try:
                round_work.pay(frames)
            except BudgetSpent:
                if own is None:
                    raise
                is_spent = True
            traces |= hand_back(reviser, round_work, frames)
            if is_spent:
                reviser.stop("budget")
            if reviser.budget_usd is not None:
                used_usd += round_work.stored_usd()
        return traces

    def passing(self, group: list[Step], schema: dict[str, Any], context: StepContext) -> Collection[str]:
        return ()

    def passed(self, columns: Iterable[str]) -> None:
        pass

    @staticmethod
    def _own_budget(left_usd: float, work: Annotation, frames: RecordFrames) -> float | None:
        """`run.budget_usd` for a round that may use up so much; None where the build's own is the smaller."""
        stored = replace(work)
        for _ in stored.lookup(frames):
            pass  # only for the keys
        left_usd = max(left_usd - stored.stored_usd(), 0.0)
        spent = max(work.spent_usd + work.report.cost_usd, work.context.budget.spent_usd)
        budget = work.context.run.budget_usd
        return spent + left_usd if budget is None or spent + left_usd < budget else None


def hand_back(reviser: Reviser, work: Annotation, frames: RecordFrames) -> Traces:
    """Gives a guard the answers of a round; those that are not there as rejects to be tried again."""
    traces: Traces = {}
    for batch in work.join(frames):
        reviser.take(batch)
        traces |= dict(batch.frame.select("id", work.trace).iter_rows())
    return traces


def _with_budget(context: StepContext, budget_usd: float | None) -> StepContext:
    if budget_usd is None:
        return context
    return context.changed(run=context.run.model_copy(update={"budget_usd": budget_usd}))
