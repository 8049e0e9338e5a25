"""A guard that has records answered anew: compare, pay for answers, compare again, until it is content."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from datakit.artifacts.report import StepReport
from datakit.core.errors import BudgetSpent
from datakit.core.tools import Tools
from datakit.core.transform import Reviser
from datakit.run.annotation import Annotation
from datakit.run.parts import StoredParts
from datakit.run.progress import Progress
from datakit.run.stage import Stage
from datakit.run.store import Store


@dataclass
class Revision:
    """The rounds of one guard."""

    worker: Reviser
    tools: Tools
    store: Store
    progress: Progress
    report: StepReport
    folder: Path
    others_usd: float
    """What the other steps of the build have spent."""
    used_usd: float = 0.0
    """Cost of the answers that were handed back, stored ones included: the guard's own budget is one for the
    data, so a run that goes on spends no second one."""
    traces: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Id -> key of the last answer that was handed back, and whether this run made it."""

    def run(self) -> None:
        """All rounds. Raises BudgetSpent when the build's budget is spent, or StopProvider."""
        attempts: Counter[str] = Counter()
        while (stage := self.round()) is not None:
            self._pay(stage)
            attempts.update(self.report.attempts)
            stage.remove()
        self.report.attempts = dict(attempts)

    def round(self) -> Stage | None:
        """The records that the guard wants answered next."""
        rows = self.worker.wanted()
        if rows is None:
            return None
        stage = Stage(self.folder / f"{self.report.number:02d}.{self.report.name}.round")
        stage.append(rows)
        return stage

    def take(self, stage: Stage, work: Annotation) -> None:
        """Hands the answers of a round back."""
        trace = f"@{self.report.number}.{self.report.name}"
        for batch in work.join(stage):
            self.worker.take(batch)
            self.traces |= dict(batch.frame.select("id", trace).iter_rows())

    def look(self, stage: Stage) -> tuple[Annotation, list[bytes], int]:
        """The round at no cost: the answering, every record's key, and how many answers are missing."""
        work = Annotation(self.worker.annotator, self.tools, self.store, Progress(quiet=True), self.report)
        missing = work.missing(stage)
        return work, work.keys, missing

    def _pay(self, stage: Stage) -> None:
        _, keys, _ = self.look(stage)
        run, own = self.tools.run, False
        if self.worker.budget_usd is not None:
            left = max(self.worker.budget_usd - self.used_usd - self._cost(keys), 0.0)
            most = max(self.others_usd + self.report.cost_usd, self.tools.flight.spent_usd) + left
            own = run.budget_usd is None or most < run.budget_usd
            run = run.model_copy(update={"budget_usd": most}) if own else run
        tools = replace(self.tools, run=run, parts=StoredParts(self.store, self.report))
        annotator = self.worker.annotator
        work = Annotation(annotator, tools, self.store, self.progress, self.report, self.others_usd)
        spent = False
        try:
            work.pay(stage)
        except BudgetSpent:
            if not own:
                raise
            spent = True
        self.take(stage, work)
        self.used_usd += self._cost(keys)
        if spent:
            self.worker.stop("budget")

    def _cost(self, keys: list[bytes]) -> float:
        """What the stored answers under some keys had cost."""
        found = self.store.get_many(dict.fromkeys(keys)).values()
        return sum(float(one.outcome.meta.get("cost_usd") or 0.0) for one in found)
