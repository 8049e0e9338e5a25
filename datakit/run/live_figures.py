"""Money, rate and calls under way: what the progress line tells of a step that calls a model."""

from __future__ import annotations

import time
from collections import deque

from datakit.artifacts.report import StepReport
from datakit.core.step_context import StepContext

SMOOTH_S = 10.0
"""The rate of calls that is shown is that of so many seconds."""


class LiveFigures:
    """The figures of one step while it runs."""

    def __init__(self, context: StepContext, report: StepReport, spent_usd: float) -> None:
        self._stats, self._budget_usd = context.stats, context.run.budget_usd
        self._report, self._spent_usd = report, spent_usd
        self._marks: deque[tuple[float, int]] = deque()

    def text(self) -> str:
        """How things stand at this moment."""
        now, stats, report = time.monotonic(), self._stats, self._report
        self._marks.append((now, report.calls))
        while self._marks[0][0] < now - SMOOTH_S:
            self._marks.popleft()
        if not stats.in_flight and not report.cost_usd:
            return ", ".join(text for text in (stats.message, stats.elsewhere) if text)
        (began, before), seconds = self._marks[0], max(now - self._marks[0][0], 0.1)
        parts = [f"{(report.calls - before) / seconds * 60:,.0f} calls/min" if now > began else ""]
        if report.cost_usd:
            spent = self._spent_usd + report.cost_usd
            parts.append(f"${spent:.4f}" + (f" of ${self._budget_usd:g}" if self._budget_usd else ""))
        parts += [f"{stats.in_flight} in flight"] if stats.in_flight else []
        parts += [f"{stats.waiting} waiting"] if stats.waiting else []
        parts += [stats.message, stats.elsewhere]
        return ", ".join(part for part in parts if part)
