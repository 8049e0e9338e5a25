"""A model's verdicts on free-text answers, each paid for once, for `datakit evaluate BUILD --referee`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from datakit.annotate.ask import Ask
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.report import StepReport
from datakit.core.errors import BudgetSpent, UserError
from datakit.core.files import FileDigests
from datakit.core.parameters import described_faults, validated
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.core.tokens import IMAGE
from datakit.estimate import estimate_calls
from datakit.evaluation.evaluation import RefereeFacts
from datakit.evaluation.value_outcomes import ValueOutcomes, truth_texts
from datakit.llm import author
from datakit.recipe.overrides import apply_overrides
from datakit.run.annotation import Annotation
from datakit.run.progress import Progress
from datakit.run.record_frames import RecordFrames
from datakit.run.store_place import StorePlace

NAME = "evaluate.referee"
"""The step's name in the result store (`datakit cache ls`)."""
GIVEN: dict[str, Any] = {"candidate": pl.String, "references": pl.List(pl.String), "question": pl.String}
"""What the template may use besides the record's columns: the answer, what is right, and what was asked."""
ANSWER = {"why": "line", "score": "number"}


@dataclass
class Referee:
    """Has the answers to a build judged by the model of its recipe's `llm:`, within `run.budget_usd`.

    A verdict is keyed like the answer of annotate.ask: by the rendered template, the pictures' content and
    the model. Judging the same answer again, in whatever file it stands, costs nothing.
    """

    build: BuildFolder
    template: str
    overrides: Iterable[str] = ()
    """`llm.model=gpt-4o` and the like."""
    say: Callable[[str], None] = print
    progress: Progress = field(default_factory=lambda: Progress(quiet=True))
    plan_only: bool = False
    """Say what the verdicts would cost, and pay for none."""
    stopped: BudgetSpent | None = None
    """Why some answers have no verdict."""
    spent_usd: float = 0.0

    def __call__(self, outcomes: ValueOutcomes) -> tuple[ValueOutcomes, RefereeFacts]:
        """The outcomes with a verdict for every answer that has one.

        Raises UserError for a template that cannot be rendered and where there is no model, StopProvider for
        a wrong key.
        """
        author.need_model("the referee", "judge", self._context)
        records = self._records(outcomes)
        store = StorePlace.of(self._context.run, self._context.project).open(self.say)
        try:
            with tempfile.TemporaryDirectory(prefix="datakit-referee-") as folder:
                frames = RecordFrames(Path(folder) / "answers", dict(records.schema))
                frames.append(records)
                context = replace(self._context, files=FileDigests(store))
                report = StepReport(number=1, name=NAME)
                work = Annotation(self._ask, context, store, self.progress, report, self.spent_usd)
                self._plan(replace(work), frames, context)
                self._pay(work, frames)
                self.spent_usd += report.cost_usd
                looked_up = replace(work)
                for _ in looked_up.lookup(frames):
                    pass  # for the keys alone
                verdicts = _verdicts(looked_up, frames)
                return replace(outcomes, verdicts=verdicts), RefereeFacts(
                    template=self.template,
                    model=report.notes.get("writer") or context.llm.model,
                    judged=len(verdicts),
                    open=records.height - len(verdicts),
                    cost_usd=round(looked_up.stored_usd(), 6),
                )
        finally:
            store.close()

    @cached_property
    def _ask(self) -> Ask:
        return validated(Ask, {"template": self.template, "answer": ANSWER})

    @cached_property
    def _context(self) -> StepContext:
        """The surroundings of the build's recipe, as far as a question needs them."""
        project = self.build.projects[0]
        sections = {name: dict(self.build.section(name)) for name in ("llm", "run")}
        settings = apply_overrides(sections, self.overrides)
        return StepContext(
            base=project / "recipes",
            project=project,
            name=self.build.report.name,
            seed=int(self.build.recipe.get("seed", 7)),
            labels=self.build.labels,
            default_language=self.build.recipe.get("language"),
            llm=_section(LlmSettings, settings, "llm"),
            run=_section(RunSettings, settings, "run"),
        )

    def _records(self, outcomes: ValueOutcomes) -> pl.DataFrame:
        """The answered records with what is asked about. Raises UserError for columns that they have not."""
        prompts, pictures = self._emitted()
        rows = {
            id_: (answer[0], truth_texts(truth), prompts.get(id_, ""))
            for id_, truth, answer in zip(outcomes.ids, outcomes.truth, outcomes.given, strict=True)
            if isinstance(answer, tuple)
        }
        answers = pl.DataFrame(
            [(id_, *row) for id_, row in rows.items()], schema={"id": pl.String, **GIVEN}, orient="row"
        )
        names = [name for name in self.build.columns if name[:1] != "@" and name not in ("messages", *GIVEN)]
        records = answers.join(self.build.main.select(names).collect(), on="id", maintain_order="left")
        missing = [name for name in self._ask.inputs(self._context) if name not in records.columns]
        if missing:
            raise UserError(
                f"the referee's template {self.template} uses `{missing[0]}`, which the records do not have",
                remedy=f"It may use {', '.join(GIVEN)} and the columns {', '.join(names)}.",
            )
        images = [
            _there(paths or [], pictures.get(id_, [])) for id_, paths in records.select("id", "images").rows()
        ]
        return records.with_columns(pl.Series("images", images, dtype=pl.List(pl.String)))

    def _emitted(self) -> tuple[dict[str, str], dict[str, list[str]]]:
        """Id -> the last question without its picture places, and the build's own copies of the pictures."""
        prompts, pictures = {}, {}
        for file in self.build.data_files.values():
            for row in self.build.lines(file.file):
                users = [turn["content"] for turn in row["messages"] if turn["role"] == "user"]
                prompts[row["id"]] = users[-1].replace(IMAGE, "").strip() if users else ""
                pictures[row["id"]] = [str(self.build.path / path) for path in row.get("images") or ()]
        return prompts, pictures

    def _plan(self, work: Annotation, frames: RecordFrames, context: StepContext) -> None:
        """Says what is judged already, and what the others will cost."""
        missing = [job.row for looked_up in work.lookup(frames) for job in looked_up.missing]
        words = f"Referee: {frames.rows:,} answers, {len(missing):,} calls"
        if missing:
            figures = estimate_calls(self._ask, missing, context) or {}
            cost = figures.get("cost_usd")
            words += f" of {context.llm.model}"
            words += " of unknown cost" if cost is None else f" for about ${cost:.4f}"
            if context.run.budget_usd is not None:
                words += f" (budget ${context.run.budget_usd:g}, ${self.spent_usd:.4f} spent)"
        self.say(f"{words}; the others were judged before." if len(missing) < frames.rows else f"{words}.")

    def _pay(self, work: Annotation, frames: RecordFrames) -> None:
        """Has the others judged, as far as the budget goes."""
        if self.plan_only or self.stopped is not None:
            return
        try:
            with self.progress:
                work.pay(frames)
        except BudgetSpent as spent:
            self.stopped = spent


def _verdicts(work: Annotation, frames: RecordFrames) -> dict[str, tuple[float, str]]:
    """Id -> score and why, of the answers whose verdict is stored; one that is not from 0 to 1 is none."""
    verdicts: dict[str, tuple[float, str]] = {}
    for batch in work.join(frames, keep_open=True):
        for id_, score, why in batch.frame.select("id", "score", "why").iter_rows():
            if score is not None and 0 <= score <= 1:
                verdicts[id_] = (float(score), why)
    return verdicts


def _section(model: type[Any], sections: Mapping[str, Any], name: str) -> Any:
    try:
        return validated(model, sections.get(name) or {})
    except ValidationError as error:
        what, remedy = described_faults(error, model)[0]
        raise UserError(f"{name}: {what}", remedy=remedy) from None


def _there(originals: list[str], copies: list[str]) -> list[str]:
    """The original pictures, or the build's copies where they have gone."""
    is_lost = not all(Path(path).is_file() for path in originals)
    return copies if is_lost and copies and all(Path(path).is_file() for path in copies) else originals
