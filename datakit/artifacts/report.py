"""What every step did with the records: the figures behind the terminal table, report.json and the card."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from datakit.artifacts.document import Document


class StepReport(BaseModel):
    """One step's account. Always: records_in + added = records_out + rejected + retry."""

    number: int
    """Place in the recipe, from 1; the emitters follow the steps."""
    name: str
    task: str = ""
    """The task whose records it works on, in a recipe of several; "" for those of all."""
    emits: bool = False
    """Whether it wrote files. What such a step rejects is lacking in its files alone: the records stay in the
    build, and other emitters write them."""
    records_in: int = 0
    records_out: int = 0
    added: int = 0
    """Records that the step brought in (readers, mixes)."""
    rejected: dict[str, int] = Field(default_factory=dict)
    """Reason -> records."""
    retry: int = 0
    cached: int = 0
    """Records answered from the result store."""
    new: int = 0
    """Records whose result was made in this run."""
    calls: int = 0
    """Pieces of work sent to a worker or an endpoint in this run; equal inputs share one."""
    attempts: dict[str, int] = Field(default_factory=dict)
    """Requests that were sent, by what came of them: answered, rate_limited, server_error … A piece of work
    takes several when a request fails, or when its answer is cut off or must be repaired."""
    seconds: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    """Of `tokens_in`, those that the provider took from its prefix cache."""
    cost_usd: float = 0.0
    answer_calls: int = 0
    """Requests to a model behind all results of the step in this build, in whatever run they were made; 0 in
    reports of older versions."""
    answer_tokens_in: int = 0
    """What the model read for these."""
    answer_tokens_out: int = 0
    """What it wrote."""
    columns: list[str] = Field(default_factory=list)
    """Columns that the step gave; empty in reports of older versions."""
    notes: dict[str, Any] = Field(default_factory=dict)
    """Facts for the card: the writer used, licences of mixed data …"""

    @property
    def title(self) -> str:
        """Its name, behind that of its task where it has one."""
        return f"{self.task}: {self.name}" if self.task else self.name

    @property
    def balanced(self) -> bool:
        """Whether every record is accounted for."""
        leaving = self.records_out + sum(self.rejected.values()) + self.retry
        return self.records_in + self.added == leaving


class ServedStep(BaseModel):
    """A step that works on every served picture, because the prompt needs its columns."""

    number: int
    name: str
    columns: list[str]
    calls: int = 0
    """Questions to a model that it asks at least; 0 for work on the machine itself."""


class ServingWork(BaseModel):
    """What has to be done with a picture before the trained model is asked about it."""

    steps: list[ServedStep] = Field(default_factory=list)
    given: list[str] = Field(default_factory=list)
    """Columns of the prompt that no step makes: whoever asks must give them."""
    fault: str = ""
    """Why the prompt cannot be served at all; "" when it can."""


class Finding(BaseModel):
    """One line of a build's verdict."""

    kind: str
    """Such as label_conflict; `run.fail_on` takes these names."""
    state: Literal["failed", "warned", "passed"]
    count: int = 0
    """Records (classes, steps) that speak against the statement."""
    statement: str
    """What should hold."""
    words: str
    """What was found."""


class BuildReport(Document):
    """The account of a whole build."""

    name: str
    recipe: str
    steps: list[StepReport] = Field(default_factory=list)
    seconds: float = 0.0
    reused: bool = False
    """Nothing had changed: the build of an earlier run was kept."""
    notes: list[str] = Field(default_factory=list)
    """What a reader of the card must know first, such as that no model wrote the texts."""
    warnings: list[str] = Field(default_factory=list)
    verdict: list[Finding] = Field(default_factory=list)
    """Failed ones first, then warned, then passed. Empty for builds of older versions."""
    serving: ServingWork | None = None
    """What serving a picture takes; None for builds of older versions and those without a prompt."""
    since: dict[str, Any] = Field(default_factory=dict)
    """What differs from the build that stood in its place before, as `datakit diff --json` has it but without
    ids and texts of records; {} for a first one, and where the one before was damaged."""

    @property
    def rejected(self) -> int:
        """Records that steps dropped; those that only files of an emitter lack are in the build."""
        return sum(sum(step.rejected.values()) for step in self.steps if not step.emits)

    @property
    def not_emitted(self) -> int:
        """Records that files lack, counted for each emitter that left them out."""
        return sum(sum(step.rejected.values()) for step in self.steps if step.emits)

    @property
    def retry(self) -> int:
        return sum(step.retry for step in self.steps)
