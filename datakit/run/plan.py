"""What a build would do: per step cached, to do, why, calls, tokens and cost. Nothing is paid for it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import mul
from pathlib import Path

from pydantic import BaseModel, Field

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.files import FileDigests
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Emitter, Row
from datakit.recipe.recipe import Recipe, Step
from datakit.run import manifest as manifests
from datakit.run.columns import check_columns
from datakit.run.dropped import allowed_share, counting, over_reject_rate
from datakit.run.dry_run import DryRun, Lookup
from datakit.run.engine import Engine
from datakit.run.executors.process import default_workers
from datakit.run.explain_changes import Earlier, why_build, why_calls
from datakit.run.pilot import pilot as run_pilot
from datakit.run.plan_bounds import Bounds
from datakit.run.progress import Progress
from datakit.run.result_store import ResultStore
from datakit.run.store_place import StorePlace
from datakit.run.sub_results import PART

MEAN_OF = 3
"""A range is told from so many results on."""

Estimator = Callable[[Annotator, list[Row], StepContext], dict[str, float | None] | None]
"""tokens_in, tokens_out and cost_usd of the calls for some records, without making them."""


class StepPlan(BaseModel):
    """What one step would do. Figures are exact unless `at_most`."""

    number: int
    name: str
    task: str = ""
    """The task that it belongs to in a recipe of several; "" for a step of all."""
    paid: bool
    """Whether the step's results go through the store; the others run at every build."""
    records: int | None = None
    """Records that come in; None after the last paid step, where a plan stops counting."""
    rejected: int = 0
    cached: int = 0
    """Records whose stored result lets them pass."""
    to_do: int = 0
    calls: int = 0
    """Pieces of work: questions to a model, or pictures read by OCR and the like. Equal inputs share one.
    With `at_most` as many as can come, rewrites among them."""
    calls_at_most: int = 0
    """Answers of a model that can come, with those that are repaired, judged, tried again or written anew.
    For work on this machine its pieces."""
    model: str = ""
    """Whom the step would call; empty for work on this machine."""
    at_most: bool = False
    """Whether some of the figures are upper bounds, because an earlier step is still to do."""
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_usd: float | None = None
    """What the calls cost if they go as those that the figure rests on."""
    cost_usd_at_most: float | None = None
    """The highest price of `calls_at_most`; None when that of the model is not known."""
    cost_usd_range: tuple[float, float] | None = None
    """Where the cost lies 19 times of 20, as far as the results that it rests on are like the others."""
    seconds: float | None = None
    """Of work, over all workers; as measured on earlier results of this step."""
    wall_s: float | None = None
    """Of a model's calls: at `run.concurrency`, or at the calls a minute that the recipe allows. Of work on
    this machine: on all workers, at the rate of earlier results."""
    basis: str = ""
    """What tokens, cost and seconds rest on."""
    why: list[str] = Field(default_factory=list)

    @property
    def title(self) -> str:
        """Its name, behind that of its task where it has one."""
        return f"{self.task}: {self.name}" if self.task else self.name


class Plan(BaseModel):
    """What a build of a recipe would do."""

    name: str
    folder: str
    unchanged: bool
    """Nothing has changed: a build would keep what is there."""
    changed: list[str] = Field(default_factory=list)
    """What differs from the last build."""
    steps: list[StepPlan] = Field(default_factory=list)
    budget_usd: float | None = None
    """The recipe's `run.budget_usd`: more is never spent."""
    notes: list[str] = Field(default_factory=list)
    stops: str = ""
    """Why a build would end without a data set, as far as the steps up to the last paid one tell: too many
    rejects."""

    @property
    def calls(self) -> int:
        """Questions and pieces of work of all steps."""
        return sum(step.calls for step in self.steps)

    @property
    def calls_at_most(self) -> int:
        """All that can come; see `StepPlan.calls_at_most`."""
        return sum(step.calls_at_most for step in self.steps)

    @property
    def cost_usd_at_most(self) -> float | None:
        """What all of them can cost; None when that of some step is not known."""
        costs = [step.cost_usd_at_most for step in self.steps if step.calls_at_most]
        if any(cost is None for cost in costs):
            return None
        total = sum(cost or 0.0 for cost in costs)
        return total if self.budget_usd is None else min(total, self.budget_usd)

    @property
    def at_most(self) -> bool:
        return any(step.at_most for step in self.steps)

    @property
    def cost_usd_range(self) -> tuple[float, float] | None:
        """Range of the cost of all calls; None when that of some step is not known."""
        ranges = [step.cost_usd_range for step in self.steps if step.calls and step.model]
        known_ranges = [bounds for bounds in ranges if bounds is not None]
        if not known_ranges or len(known_ranges) < len(ranges):
            return None
        return sum(low for low, _ in known_ranges), sum(high for _, high in known_ranges)

    @property
    def wall_s(self) -> float | None:
        """Time of all calls of a model, step after step; None when that of some step is not known."""
        times = [step.wall_s for step in self.steps if step.calls and step.model]
        return None if not times or None in times else sum(time or 0.0 for time in times)

    @property
    def cost_usd(self) -> float | None:
        """Cost of all calls; None when that of some step is not known."""
        costs = [step.cost_usd for step in self.steps if step.calls]
        return None if any(cost is None for cost in costs) else sum(cost or 0.0 for cost in costs)


def plan(
    recipe: Recipe,
    *,
    out: Path | None = None,
    limit: int | None = None,
    estimate: Estimator | None = None,
    progress: Progress | None = None,
    pilot: int = 0,
) -> Plan:
    """The plan of a recipe's build into `out` (where `build` puts it, when not given).

    With `pilot` so many records are really worked on first (and stored): the figures rest on them.
    Raises RecipeErrors, UserError or NothingLeft as the build would.
    """
    folder = (out or recipe.look_folder(limit)).absolute()
    shown = progress or Progress(quiet=True)
    store = StorePlace.of(recipe.run, recipe.project).open(shown.say)
    work = Path(tempfile.mkdtemp(prefix="datakit-plan-"))
    try:
        context = replace(recipe.context(), files=FileDigests(store))
        check_columns(recipe, context)
        build = BuildFolder(folder)
        if manifests.is_current(build, recipe, context, limit, store):
            return _unchanged(recipe, build)
        earlier = Earlier.load(build)
        notes = _notes(recipe)
        if pilot:
            with shown:
                paid, why = run_pilot(recipe, context, store, work, shown, pilot, limit)
            notes.append(f"The pilot of {pilot:,} records cost ${paid:.4f}; its answers are stored.")
            notes += [f"The pilot ended early: {why}"] if why else []
        dry = DryRun(keep_keys=True)
        engine = Engine(context, store, work / "stages", shown, limit, dry)
        counted = _until_last_paid(recipe)
        if counted:
            with shown:
                engine.run(counted)
        plan = Plan(
            name=recipe.name,
            folder=str(folder),
            unchanged=False,
            budget_usd=recipe.run.budget_usd,
            changed=why_build(recipe, context, build, limit),
            notes=notes,
        )
        plan.steps = _steps(recipe, engine, dry.lookups, earlier, estimate)
        plan.stops = over_reject_rate(
            counting(recipe, engine.reports), allowed_share(recipe, limit), engine.rejects_file
        )
        return plan
    finally:
        store.close()
        shutil.rmtree(work, ignore_errors=True)


def _until_last_paid(recipe: Recipe) -> list[Step]:
    paid = [index for index, step in enumerate(recipe.steps) if step.transform.is_paid]
    return list(recipe.steps[: paid[-1] + 1]) if paid else []


def _unchanged(recipe: Recipe, build: BuildFolder) -> Plan:
    paid = {step.number for step in recipe.steps if step.transform.is_paid}
    steps = [
        StepPlan(
            number=step.number,
            name=step.name,
            task=step.task,
            paid=step.number in paid,
            records=step.records_in or step.added,
            rejected=sum(step.rejected.values()),
            cached=step.cached + step.new,
        )
        for step in build.report.steps
    ]
    return Plan(name=recipe.name, folder=str(build.path), unchanged=True, steps=steps)


def _notes(recipe: Recipe) -> list[str]:
    writes = any(step.transform.asks_model for step in recipe.steps)
    notes = []
    if writes and recipe.llm.resolved_provider() == "offline":
        notes = ["The built-in offline writer would compose the texts: no model is called, nothing is paid."]
    for step in recipe.steps:
        if step.name == "mix.general":
            percent = f"{100 * step.transform.model_dump()['share']:g}%"
            notes.append(
                f"{step.name} would make {percent} of all training rows general ones, repeats counted."
            )
    return notes


def _steps(
    recipe: Recipe,
    engine: Engine,
    looked_up: list[Lookup],
    earlier: Earlier | None,
    estimate: Estimator | None,
) -> list[StepPlan]:
    reports = {report.number: report for report in engine.reports}
    lookups = {lookup.step.number: lookup for lookup in looked_up}
    plans: list[StepPlan] = []
    bounds = Bounds(engine.context)
    uncertain = False
    for step in recipe.steps:
        report, lookup = reports.get(step.number), lookups.get(step.number)
        row = StepPlan(number=step.number, name=step.name, task=step.task, paid=lookup is not None)
        if report is not None:
            row.records = report.added if report.added and not report.records_in else report.records_in
            row.rejected, row.at_most = sum(report.rejected.values()), uncertain
        if lookup is not None:
            # those that a stored result rejects are told as rejected alone, as the report of a build has them
            row.cached = lookup.cached if lookup.annotator or report is None else report.cached
            row.calls = lookup.calls + lookup.open
            if lookup.annotator is not None and uncertain:
                row.calls = lookup.most
            row.to_do = len(lookup.open_ids) if lookup.annotator else lookup.records - lookup.cached
            row.at_most = uncertain
            if row.calls:
                row.why = why_calls(lookup, engine.context.in_task(step.task), earlier)
                _estimate(row, lookup, engine, estimate)
                if row.model and row.tokens_in is None:
                    _liken(row, plans)
                _bound(row, lookup, bounds)
            if lookup.annotator is not None and uncertain:
                row.why.append("answers that are still to be written are looked at once they are there")
            uncertain = uncertain or row.to_do > 0
        plans.append(row)
    first = len(recipe.steps)
    emitters = [step for step in recipe.emitters if isinstance(step.transform, Emitter)]
    return plans + [StepPlan(number=first + step.number, name=step.name, paid=False) for step in emitters]


def _bound(row: StepPlan, lookup: Lookup, bounds: Bounds) -> None:
    """The most that the step can come to."""
    annotator = lookup.annotator or lookup.step.transform
    assert isinstance(annotator, Annotator)  # lookups are made for what answers only
    row.calls_at_most = max(bounds.calls(annotator, lookup.most), row.calls)
    usd = bounds.usd(annotator, lookup.most, lookup.sample)
    if usd is not None and lookup.budget_usd is not None:
        usd = min(usd, lookup.budget_usd)
    row.cost_usd_at_most = None if usd is None else round(usd, 6)


def _estimate(row: StepPlan, lookup: Lookup, engine: Engine, estimate: Estimator | None) -> None:
    """Tokens, cost and seconds from earlier results of the step, else from the estimator."""
    annotator = lookup.annotator or lookup.step.transform
    assert isinstance(annotator, Annotator)  # lookups are made for what answers only
    own = annotator.endpoint(engine.context)
    context = engine.context if own is None else engine.context.changed(llm=own)
    models = context.llm.models() if annotator.asks_model or own is not None else {}
    model = ", ".join(models)
    if model and context.llm.resolved_provider() == "offline":
        row.tokens_in, row.tokens_out, row.cost_usd, row.basis = 0, 0, 0.0, "offline writer"
        return
    row.model = model
    past = _past(engine.store, row.name, models)
    basis = f"the mean of {past['results']:,.0f} earlier results" if past else ""
    if past is None and estimate is not None and lookup.sample:
        estimates = estimate(annotator, lookup.sample, context.in_task(lookup.step.task))
        if estimates is not None:
            past = {
                name: None if sum_ is None else sum_ / len(lookup.sample) for name, sum_ in estimates.items()
            }
            basis = f"reckoned from {len(lookup.sample)} records and the model's price"
    if past and model and own is None and engine.context.run.is_batch:
        factor = engine.context.llm.batch_price_factor
        costs = {name: cost * factor for name, cost in past.items() if name.startswith("cost_") and cost}
        past, basis = {**past, **costs}, f"{basis}, times {factor:g} for a batch"
    row.basis = basis
    unknown = None if model else 0.0  # a step that calls no model has no tokens and costs nothing
    figures = {name: (past or {}).get(name) for name in ("tokens_in", "tokens_out", "cost_usd", "seconds")}
    means = {name: unknown if value is None else value for name, value in figures.items()}
    row.tokens_in, row.tokens_out = (
        None if (mean := means[name]) is None else round(mean * row.calls)
        for name in ("tokens_in", "tokens_out")
    )
    row.cost_usd = None if means["cost_usd"] is None else round(means["cost_usd"] * row.calls, 6)
    row.seconds = None if figures["seconds"] is None else round(figures["seconds"] * row.calls, 1)
    error, results = (past or {}).get("cost_usd_error"), (past or {}).get("results") or 0
    if row.cost_usd is not None and model and error is not None and results >= MEAN_OF:
        half = 2 * error * row.calls
        row.cost_usd_range = round(max(row.cost_usd - half, 0.0), 6), round(row.cost_usd + half, 6)
    row.wall_s = _wall_s(row, engine.context) if model else _local_s(row, engine.context)


def _past(store: ResultStore, name: str, models: Mapping[str, float]) -> dict[str, float | None] | None:
    """The means of a step's earlier results, of several models by their weights; None where one has none.

    What is made of parts has the cost of all of them; calls are counted by the part.
    """
    if not models:
        return store.means(name + PART) or store.means(name)
    each = [store.means(name + PART, model) or store.means(name, model) for model in models]
    means = [one for one in each if one is not None]
    if len(means) < len(each):
        return None
    shares = [weight / sum(models.values()) for weight in models.values()]

    def mean(figure: str) -> float | None:
        values = [one[figure] for one in means]
        known = [value for value in values if value is not None]
        return sum(map(mul, shares, known)) if len(known) == len(values) else None

    figures = {figure: mean(figure) for figure in means[0]}
    errors = [one["cost_usd_error"] or 0.0 for one in means]
    error = sum((share * one) ** 2 for share, one in zip(shares, errors, strict=True)) ** 0.5
    return {**figures, "results": sum(one["results"] or 0.0 for one in means), "cost_usd_error": error}


def _wall_s(row: StepPlan, context: StepContext) -> float | None:
    """How long a model's calls take: by those in flight, or by what the recipe allows a minute."""
    if row.seconds is None or context.run.is_batch:
        return None
    endpoints = context.llm.each_endpoint()
    times = [row.seconds / min(context.run.concurrency, max(row.calls, 1))]
    requests = [endpoint.max_requests_per_minute for endpoint in endpoints]
    tokens = [endpoint.max_tokens_per_minute for endpoint in endpoints]
    if None not in requests:
        times.append(row.calls * 60 / sum(limit or 0.0 for limit in requests))
    if None not in tokens and row.tokens_in is not None:
        used = row.tokens_in + (row.tokens_out or 0)
        times.append(used * 60 / sum(limit or 0.0 for limit in tokens))
    return round(max(times), 1)


def _local_s(row: StepPlan, context: StepContext) -> float | None:
    """How long work on this machine takes, shared out to its worker processes."""
    if row.seconds is None:
        return None
    return round(row.seconds / min(context.run.workers or default_workers(), max(row.calls, 1)), 1)


def _liken(row: StepPlan, others: list[StepPlan]) -> None:
    """Takes the figures of an earlier step that calls the same model: better than none."""
    like = [other for other in others if other.model == row.model and other.calls and other.tokens_in]
    if not like:
        return
    share = row.calls / like[-1].calls
    row.tokens_in = round((like[-1].tokens_in or 0) * share)
    row.tokens_out = round((like[-1].tokens_out or 0) * share)
    row.cost_usd = None if like[-1].cost_usd is None else round(like[-1].cost_usd * share, 6)
    row.basis = f"taken as that of {like[-1].name}"
