"""The progress line of a step that calls a model: money, rate and calls under way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datakit.artifacts.report import StepReport
from datakit.core.settings import RunSettings
from datakit.core.step_context import StepContext
from datakit.run import live_figures
from datakit.run.live_figures import LiveFigures


def test_line_tells_rate_money_and_who_waits(
    make_context: Callable[..., StepContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(live_figures.time, "monotonic", lambda: now[0])
    context, report = (
        make_context(run=RunSettings(budget_usd=5.0)),
        StepReport(number=1, name="annotate.reason"),
    )
    live = LiveFigures(context, report, spent_usd=1.0)
    assert live.text() == ""
    context.stats.in_flight, context.stats.waiting = 8, 2
    now[0], report.calls, report.cost_usd = 105.0, 10, 0.25
    assert live.text() == "120 calls/min, $1.2500 of $5, 8 in flight, 2 waiting"
    now[0], report.calls = 120.0, 11  # what lies ten seconds back no longer counts
    assert live.text() == "$1.2500 of $5, 8 in flight, 2 waiting"


def test_line_of_work_on_this_machine_is_empty_and_that_of_a_batch_says_how_it_stands(
    make_context: Callable[..., StepContext],
) -> None:
    context, report = make_context(), StepReport(number=1, name="annotate.ocr", calls=3)
    live = LiveFigures(context, report, spent_usd=0.0)
    assert live.text() == ""
    context.stats.message = "1 batch under way"
    assert live.text() == "1 batch under way"
