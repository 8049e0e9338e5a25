"""The ledger of scores: one line for each evaluation, kept in the project and under version control.

A line holds the figures and all that decided them (resolved recipe, digests of templates, labels and
sources), so that any two can be told apart in words later, without their builds. It holds no secret and no
path of a machine.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from datakit.artifacts import names
from datakit.artifacts.format_version import refuse_newer
from datakit.artifacts.run_ids import run_of
from datakit.core.errors import UserError
from datakit.core.parameters import describe_fault
from datakit.core.record import digest
from datakit.core.regular_files import regular

FORMAT = 1
"""The newest format of a line that is read, and the one that is written."""


class Figure(BaseModel):
    """A figure with the ends of its 95% interval; `metric_names` says its unit."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float


class Inputs(BaseModel):
    """What a build was made of."""

    model_config = ConfigDict(frozen=True)

    recipe: dict[str, Any] = Field(default_factory=dict)
    """Resolved, without `run:`, secrets and this machine's paths."""
    templates: dict[str, str] = Field(default_factory=dict)
    """Name -> digest over it and what it includes."""
    labels: dict[str, tuple[str, str, str]] = Field(default_factory=dict)
    """Label -> digests of its description, aliases and confusable_with."""
    sources: dict[str, str] = Field(default_factory=dict)
    """File -> sha256."""
    records: dict[str, int] = Field(default_factory=dict)
    """Part -> records, as they were emitted or kept."""
    datakit: str = ""

    @property
    def version(self) -> str:
        """12 hex digits of everything above: two builds with one version are made of the same."""
        return digest(self.model_dump(), size=6).hex()


class Confusion(BaseModel):
    """Records of one label that were answered with another."""

    model_config = ConfigDict(frozen=True)

    truth: str
    answered: str
    count: int
    back: int = 0
    """How often `answered` was taken for `truth`."""
    wrong: tuple[str, ...]
    """Ids of some of them."""
    beside: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Each of the two labels -> ids of records that show what it looks like."""


class Ablated(BaseModel):
    """Of a line that an ablation wrote: which change it scores, and what that did to the base."""

    model_config = ConfigDict(frozen=True)

    change: str = ""
    """In words (`without guard.image`); "" for the base itself."""
    seeds: int
    """Trainings that were pooled."""
    effect: dict[str, Figure] = Field(default_factory=dict)
    """accuracy and macro_f1, less those of the base; none of the base."""
    p: float | None = None
    """Of the difference in accuracy, corrected for all comparisons of the ablation (Holm)."""
    verdict: str = ""
    """helps, hurts or noise."""
    comparisons: int = 0
    """How many the correction is for."""
    spread: float | None = None
    """Standard deviation of accuracy from training to training, pooled over the changes; null where nothing
    was trained twice."""


class Score(BaseModel):
    """One evaluation."""

    model_config = ConfigDict(frozen=True)

    date: str
    """UTC, to the second."""
    name: str
    """The recipe's."""
    content: str
    """Content hash of the build's data."""
    model: str = ""
    split: str
    records: int
    answered_only: bool = False
    task: str = "label"
    """What was scored: label, labels, number or text."""
    metrics: dict[str, Figure]
    problems: dict[str, int] = Field(default_factory=dict)
    confusions: tuple[Confusion, ...] = ()
    """Of one label: the commonest mistakes."""
    run: str
    """File of the answers, relative to the project where it lies in it."""
    predictions_sha256: str
    outcomes: str = ""
    """File with the outcome of each record, for comparing; relative like `run`."""
    outcomes_sha256: str = ""
    inputs: Inputs = Field(default_factory=Inputs)
    ablation: Ablated | None = None
    """Of a line of `datakit ablate`: it is no version of the recipe, and none is held against it."""
    version: int = 1
    """Format of the line; one without a version has format 1."""

    @property
    def run_id(self) -> str:
        """Id of the run that answered, by the place of its file; "" for a file that lies in no run."""
        return run_of(self.run)

    @property
    def change(self) -> str | None:
        """Of a line of an ablation its change, "" for the base; None of any other line."""
        return None if self.ablation is None else self.ablation.change

    def same_measurement(self, other: Score) -> bool:
        """Whether both score the same answers against the same data."""
        keys = ("name", "content", "split", "answered_only", "predictions_sha256", "model", "change")
        return all(getattr(self, key) == getattr(other, key) for key in keys)


def ledger_of(projects: Iterable[Path]) -> Path | None:
    """The ledger of the first project that has one; None where there is none yet."""
    paths = (project / names.LEDGER for project in projects)
    return next((path for path in paths if path.is_file()), None)


def ledger_file(project: Path) -> Path:
    """Where a project's ledger lies, there or not."""
    return project / names.LEDGER


def read_scores(path: Path) -> list[Score]:
    """All lines, in order of their writing. Raises UserError with file and line for a broken one."""
    scores = []
    try:
        with open(path, "rb", opener=regular) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    scores.append(_read(line, f"{path}:{number}"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    return scores


def versions(scores: Iterable[Score]) -> list[Score]:
    """Those of recipes as they stood: without the lines of ablations."""
    return [score for score in scores if score.ablation is None]


def add_score(path: Path, score: Score) -> bool:
    """Appends a line; False when the same measurement stands there already, which is left as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if any(score.same_measurement(other) for other in read_scores(path)):
            return False
        file.seek(0)
        ended = not (data := file.read()) or data.endswith(b"\n")
        line = score.model_dump_json(exclude_defaults=True).encode() + b"\n"
        file.write(line if ended else b"\n" + line)
    return True


def _read(line: bytes, where: str) -> Score:
    with suppress(orjson.JSONDecodeError):  # said below
        refuse_newer(orjson.loads(line), FORMAT, where, "Upgrade datakit: pip install -U datakit")
    try:
        return Score.model_validate_json(line)
    except ValidationError as error:
        fault: Any = error.errors(include_url=False)[0]
    what = f"not JSON: {fault['ctx']['error']}" if fault["type"] == "json_invalid" else ""
    raise UserError(
        f"this line of the ledger cannot be read: {what or describe_fault(fault, Score)[0]}",
        where=where,
        remedy="Take the line from an earlier commit, or delete it and evaluate again.",
    )
