"""Money, rate and calls under way: what the progress line tells of a step that calls a model."""

from __future__ import annotations

import time
from collections import deque

from datakit.artifacts.report import StepReport
from datakit.core.tools import Tools

SMOOTH_S = 10.0
"""The rate of calls that is shown is that of so many seconds."""


class LiveFigures:
    """The figures of one step while it runs."""

    def __init__(self, tools: Tools, report: StepReport, spent_usd: float) -> None:
        self._flight, self._budget_usd = tools.flight, tools.run.budget_usd
        self._report, self._spent_usd = report, spent_usd
        self._marks: deque[tuple[float, int]] = deque()

    def text(self) -> str:
        """How things stand at this moment."""
        now, flight, report = time.monotonic(), self._flight, self._report
        self._marks.append((now, report.calls))
        while self._marks[0][0] < now - SMOOTH_S:
            self._marks.popleft()
        if not flight.in_flight and not report.cost_usd:
            return flight.told
        (began, before), seconds = self._marks[0], max(now - self._marks[0][0], 0.1)
        parts = [f"{(report.calls - before) / seconds * 60:,.0f} calls/min" if now > began else ""]
        if report.cost_usd:
            spent = self._spent_usd + report.cost_usd
            parts.append(f"${spent:.4f}" + (f" of ${self._budget_usd:g}" if self._budget_usd else ""))
        parts += [f"{flight.in_flight} in flight"] if flight.in_flight else []
        parts += [f"{flight.waiting} waiting"] if flight.waiting else []
        parts += [flight.told]
        return ", ".join(part for part in parts if part)
