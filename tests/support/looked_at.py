"""What an annotator of pictures says of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datakit.core.outcome import Done
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator


def columns_of(step: Annotator, context: StepContext, paths: Sequence[Path]) -> dict[str, Any]:
    """The columns that the step gives a record with these pictures: all that it promises, and no others."""
    row = {"id": "r", "images": [str(path) for path in paths]}
    outcome = step.start(context).answer(row)  # type: ignore[union-attr]
    assert isinstance(outcome, Done), outcome
    columns = step.columns(outcome.raw, row, context)
    assert isinstance(columns, dict)
    assert set(columns) == set(step.outputs(context))
    return columns
