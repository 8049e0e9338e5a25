"""What `datakit ablate` says: before anything is trained, of a comparison, of a plan, and how it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakit.core.counted import counted
from datakit.core.shown_path import show_path

if TYPE_CHECKING:
    from datakit.ablation.builds import Made, Wanted
    from datakit.ablation.changes import Load
    from datakit.ablation.comparing import Comparison
    from datakit.ablation.hours import Cost
    from datakit.ablation.telling import Power
    from datakit.artifacts.ablation import AblationRecord, Job


@dataclass(frozen=True)
class Call:
    wanted: Wanted
    record: AblationRecord
    load: Load
    as_json: bool
    quiet: bool

    def say(self, text: str) -> None:
        click.echo(text, err=self.as_json)

    def take(self, archives: Sequence[Path]) -> None:
        """Takes results of other machines over."""
        from datakit.ablation.builds import as_they_stand
        from datakit.ablation.taking import take_results

        folder = as_they_stand(self.wanted, self.record, self.load).folder
        for line in take_results(archives, folder, self.record):
            self.say(line)


def costs_now(made: Made) -> Sequence[Cost]:
    """The costs as they are by now; none where builds are stale or missing."""
    from datakit.ablation.cost import costs

    if made.stale or len(made.reports) < len(list(made.folder.jobs(made.record))):
        return []
    return costs(made.folder, made.record)[0]


def tell_before(call: Call, made: Made, planned: Sequence[Cost], measured: bool) -> None:
    """Power and cost, before anything is trained."""
    from datakit.ablation.builds import held_out
    from datakit.ablation.telling import cost_lines, power_of

    first = next(made.folder.jobs(made.record))
    records = held_out(made.folder.build(first))
    call.say(power_of(records, len(made.record.changes), None).words())
    for line in cost_lines(planned, measured):
        call.say(line)


def tell(call: Call, made: Made, result: Comparison | None, planned: Sequence[Cost]) -> None:
    from datakit.ablation import telling
    from datakit.ablation.report import lines
    from datakit.cli.tables import print_json, print_table

    if result is not None:
        planned = costs_now(made) or planned
    if call.as_json:
        print_json(_document(call, made, result, planned))
        return
    click.echo(f"Ablation: {show_path(made.folder.path)}")
    if made.stale:
        click.echo(f"Warning: stale: recipe or data were edited since {', '.join(made.stale)} was built")
    if result is None:
        click.echo(
            f"Results: {made.new:,} made, {made.cached:,} taken from the store, {made.cost_usd:.4f} USD"
        )
        click.echo(f"Next: {made.folder.script}, or {call.wanted.command(made.record)} --run")
        return
    if result.effects:
        head, rows = telling.table(result)
        print_table(head, rows, right=range(1, 8))
    for line in lines(result, planned):
        click.echo(line)
    if result.effects:
        click.echo(f"Page: {made.folder.page}")
    if result.unanswered:
        click.echo(f"Next: {call.wanted.command(made.record)} --run")


def _document(call: Call, made: Made, result: Comparison | None, planned: Sequence[Cost]) -> dict[str, Any]:
    from datakit.ablation import telling
    from datakit.ablation.builds import held_out
    from datakit.ablation.hours import hours_of

    first = next(made.folder.jobs(made.record))
    records = held_out(made.folder.build(first))
    power = telling.power_of(records, len(made.record.changes), result)
    document: dict[str, Any] = {
        "folder": str(made.folder.path),
        "recipe": made.record.recipe,
        "seeds": made.record.seeds,
        "asked": [change.words for change in made.record.changes],
        "results_made": made.new,
        "results_stored": made.cached,
        "cost_usd": made.cost_usd,
        "gpu_hours": hours_of(planned) if planned else None,
        "stale": made.stale,
        "kept": made.kept and str(made.kept),
        "power": power.document(),
    }
    if result is None:
        return document
    then = telling.next_experiment(result, planned)
    return {
        **document,
        "records": result.records,
        "changes": telling.document(result),
        "unanswered": result.unanswered,
        "notes": [*telling.notes_on(result), *result.notes],
        "next": None
        if then.change is None
        else {
            "change": then.change.words,
            "expected_gain": then.gain,
            "more_seeds": then.seeds,
            "gpu_hours": then.hours,
        },
    }


def plan(call: Call) -> int:
    """What the builds would do and the comparison would see; nothing is made."""
    from datakit.ablation.builds import folder_of, held_out
    from datakit.ablation.telling import power_of
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.cli.tables import print_json
    from datakit.estimate import estimate_calls
    from datakit.run.plan import plan as plan_of

    folder, rows = folder_of(call.load.base()), list[dict[str, Any]]()
    jobs = list(folder.jobs(call.record))
    for job in jobs:
        if job.seed > 1:
            continue
        own = plan_of(call.load.job(job), out=job.path, limit=call.wanted.limit, estimate=estimate_calls)
        row = {"name": job.change.name, "change": job.change.words or "base", "unchanged": own.unchanged}
        rows.append({**row, "calls": own.calls, "cost_usd": own.cost_usd if own.calls else 0.0})
    built = [job for job in jobs if BuildFolder(job.path).is_finished]
    power = None
    if built and built[0] == jobs[0]:
        power = power_of(held_out(folder.build(jobs[0])), len(call.record.changes), None)
    if call.as_json:
        print_json(
            {
                "folder": str(folder.path),
                "seeds": call.record.seeds,
                "trainings": len(jobs),
                "builds": rows,
                "power": power and power.document(),
            }
        )
        return 0
    _tell_plan(call, rows, jobs, power)
    return 0


def _tell_plan(call: Call, rows: list[dict[str, Any]], jobs: list[Job], power: Power | None) -> None:
    from datakit.ablation.builds import folder_of
    from datakit.ablation.cost import costs
    from datakit.ablation.telling import cost_lines
    from datakit.artifacts.build_folder import BuildFolder

    for row in rows:
        state = "built, unchanged" if row["unchanged"] else f"to build, {counted(row['calls'], 'call')}"
        click.echo(f"{row['change']}: {state}")
    click.echo(f"Trainings: {len(jobs)} ({len(rows)} recipes, {call.record.seeds} of each)")
    if power is not None:
        click.echo(power.words())
    if all(BuildFolder(job.path).is_finished for job in jobs):
        for line in cost_lines(*costs(folder_of(call.load.base()), call.record)):
            click.echo(line)
    else:
        click.echo("GPU hours and power are said once the builds are made: nothing is trained by that")
    click.echo(f"Next: {call.wanted.command(call.record)}")


def status(call: Call) -> int:
    from datakit.ablation.builds import folder_of
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.kfold.running import handoff_lines
    from datakit.run.manifest import is_current

    folder = folder_of(call.load.base())
    for job in folder.jobs(call.record):
        build = BuildFolder(job.path)
        state = "not built"
        if build.is_finished:
            recipe = call.load.job(job)
            current = is_current(build, recipe, recipe.context(), call.wanted.limit)
            state = "built, current" if current else "stale: the next call builds it anew"
        click.echo(f"{job.path.name}: {state}")
        for line in handoff_lines(job.path):
            click.echo(f"  {line}")
    click.echo(f"Next: {call.wanted.command(call.record)} --run")
    return 0
