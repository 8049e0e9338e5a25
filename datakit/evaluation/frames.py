"""Every record's outcome as a table: what the ledger compares and what a page's .parquet holds."""

from __future__ import annotations

from typing import Any

import polars as pl

from datakit.evaluation.outcomes import Outcomes
from datakit.evaluation.value_outcomes import ValueOutcomes, plain


def scored_frame(outcomes: Outcomes | ValueOutcomes) -> pl.DataFrame:
    """One row for each record: id, label, predicted, confidence, problem; of other tasks `VALUES` and each
    record's own figures."""
    if isinstance(outcomes, ValueOutcomes):
        return _values_frame(outcomes)
    rows = [
        (id_, truth, prediction.predicted, prediction.confidence, prediction.problem)
        for id_, truth, prediction in zip(outcomes.ids, outcomes.truth, outcomes.answers, strict=True)
    ]
    return pl.DataFrame(rows, schema=SCORED, orient="row")


SCORED: dict[str, Any] = {
    "id": pl.String,
    "label": pl.String,
    "predicted": pl.String,
    "confidence": pl.Float64,
    "problem": pl.String,
}


VALUES: dict[str, Any] = {
    "id": pl.String,
    "truth": pl.String,
    "answered": pl.String,
    "score": pl.Float64,
    "problem": pl.String,
}
"""Truth and answer are JSON; the score is the record's share in the task's first figure."""


def _values_frame(outcomes: ValueOutcomes) -> pl.DataFrame:
    rows = [
        (id_, plain(truth), plain(answer), next(iter(scores.values())), prediction.problem)
        for id_, truth, answer, scores, prediction in zip(
            outcomes.ids, outcomes.truth, outcomes.given, outcomes.scores, outcomes.answers, strict=True
        )
    ]
    figures = pl.DataFrame(outcomes.scores, schema=dict.fromkeys(outcomes.scores[0], pl.Float64))
    return pl.DataFrame(rows, schema=VALUES, orient="row").hstack(figures)
