"""What was asked of models for a build: requests, tokens and money by step and model."""

from __future__ import annotations

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.report import StepReport
from datakit.core.wording import later, t
from datakit.pages.blocks import Cell, Code, Section, Table, Text
from datakit.pages.figures import counts

WORDS = later(
    "Requests and tokens are those behind all answers that stand in the data, in "
    "whatever run they were made; the cost is that of the run that wrote this build, "
    "for stored answers cost nothing again."
)
UNKNOWN = later("not said")


def spend_section(build: BuildFolder) -> Section:
    """A row for each step that a model answered; nothing for a build that asked none."""
    asking = [step for step in build.report.steps if step.answer_calls or step.tokens_in or step.cost_usd]
    rows: list[list[Cell]] = [
        [
            Code(step.title),
            _models(build, step),
            step.answer_calls or None,
            step.answer_tokens_in or step.tokens_in,
            step.answer_tokens_out or step.tokens_out,
            round(step.cost_usd, 4),
        ]
        for step in asking
    ]
    if not rows:
        return Section(t("Spend"), [])
    total: list[Cell] = [
        t("all"),
        "",
        sum(step.answer_calls for step in asking) or None,
        sum(step.answer_tokens_in or step.tokens_in for step in asking),
        sum(step.answer_tokens_out or step.tokens_out for step in asking),
        round(sum(step.cost_usd for step in asking), 4),
    ]
    head = [t("step"), t("model"), t("requests"), t("tokens in"), t("tokens out"), t("cost, USD")]
    return Section(t("Spend"), [Text(t(WORDS)), Table(head, [*rows, total] if len(rows) > 1 else rows)])


def _models(build: BuildFolder, step: StepReport) -> str:
    """Who wrote the step's column, with the records of each where there are several."""
    column = f"{build.parameters(step.name).get('into', step.name.rpartition('.')[2])}_by"
    if build.columns.get(column) != pl.String:
        return str((build.section("llm") or {}).get("model") or t(UNKNOWN))
    found = counts(build.records, pl.col(column))
    return ", ".join(f"{name} ({number:,})" if len(found) > 1 else name for name, number in found) or t(
        UNKNOWN
    )
