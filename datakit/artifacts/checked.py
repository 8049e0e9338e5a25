"""check.json: what the trainer would do with every row of a build."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from datakit.artifacts.document import Document


class CheckFinding(BaseModel):
    """One fault at one place."""

    code: str
    severity: str
    """error, warning or note."""
    message: str
    where: str = ""
    """File and line, relative to the build."""
    data_set: str = ""
    record: str = ""
    remedy: str = ""


class CheckReport(Document):
    """The check of a build: counts of each severity, figures of each data set, proposals and findings."""

    errors: int = 0
    warnings: int = 0
    notes: int = 0
    settings: dict[str, Any] = Field(default_factory=dict)
    """The values that the check went by."""
    steps: int | None = None
    """Optimizer steps of the training."""
    data_sets: list[dict[str, Any]] = Field(default_factory=list)
    proposal: dict[str, Any] | None = None
    findings: list[CheckFinding] = Field(default_factory=list)
