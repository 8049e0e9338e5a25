"""`datakit ablate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakit.cli.machine_options import command_again, machine_of, machine_options, refuse_machine_options
from datakit.cli.numbers import FiniteNumber

if TYPE_CHECKING:
    from datakit.ablation.builds import Made, Wanted
    from datakit.ablation.changes import Load
    from datakit.ablation.cost import Cost
    from datakit.ablation.joining import Comparison
    from datakit.ablation.telling import Power
    from datakit.artifacts.ablation import AblationRecord, Job
    from datakit.kfold.running import Machine

EPILOG = """\b
Examples:
  datakit ablate recipes/ecom_v3.yaml --drop balance.oversample --set train.learning_rate=1e-5,1e-4 --plan
  datakit ablate recipes/ecom_v3.yaml --drop balance.oversample --seeds 3 --budget-gpu-h 12
  datakit ablate recipes/ecom_v3.yaml --run --vllm /envs/vllm/bin/vllm
  datakit ablate recipes/ecom_v3.yaml --join --json | jq '.changes[] | {change, verdict}'

\b
build/NAME.ablate holds a build for each change and training, and run.sh (all of --run). Changes that stand
there are kept in every later call, so that the correction counts all of them.
Exit code: 0 when everything has answered, 3 when something has not: run it again, 4 over the budget."""


@click.command(epilog=EPILOG)
@click.argument("recipe", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--drop", "drops", multiple=True, metavar="STEP", help="A change: without this step.")
@click.option("--set", "sets", multiple=True, metavar="KEY=A,B", help="A change for each value of a key.")
@click.option("--seeds", type=click.IntRange(1, 100), default=1, show_default=True, help="Trainings of each.")
@click.option("--budget-gpu-h", type=FiniteNumber(min=0), metavar="H", help="GPU hours of all trainings.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N records of each source.")
@click.option("--plan", "only_plan", is_flag=True, help="Check the changes and say what is to do.")
@click.option("--run", "runs", is_flag=True, help="Train, serve and ask each build, then compare.")
@click.option("--part", metavar="I/N", help="With --run: the share of one of N machines.")
@click.option("--join", "joins", is_flag=True, help="Compare the answers that are there; run nothing.")
@click.option("--status", "only_status", is_flag=True, help="Say how each training stands, start nothing.")
@click.option("--again", is_flag=True, help="Set an ablation that stands there aside; nothing is deleted.")
@machine_options
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON on stdout.")
@click.option("--quiet", "-q", is_flag=True, help="No progress of the builds.")
@click.pass_context
def command(
    context: click.Context,
    /,
    recipe: Path,
    drops: tuple[str, ...],
    sets: tuple[str, ...],
    **given: Any,
) -> int:
    """Train RECIPE with one thing changed at a time, and say what each change does to its score.

    Each change is a build that shares the result store with the others, trained with the same seeds and
    asked about the same held-out records. Without --run the builds are made and it is said what the
    comparison will see and cost; nothing is trained. Ctrl-C is safe: the same command goes on.
    """
    from datakit.ablation.builds import Wanted, record_of
    from datakit.ablation.changes import Load, asked, checked
    from datakit.library import load

    part = _check_call(given)
    machine = machine_of(given) if given["runs"] else None
    way = Load(lambda overrides, drop: load(recipe, overrides, drop=drop))
    changes, notes = asked(drops, sets), list[str]()
    if changes:
        changes, notes = checked(changes, way)
    wanted = Wanted(recipe, tuple(changes), given["seeds"], given["limit"], given["again"])
    record = record_of(wanted, way.base())
    checked(record.changes, way)  # those that stood there, in a recipe that may have been edited
    call = _Call(wanted, record, way, given["as_json"], given["quiet"] or given["as_json"])
    for note in notes:
        call.say(f"Note: {note}")
    if given["only_plan"]:
        return _plan(call)
    if given["only_status"]:
        return _status(call)
    return _go(call, context, machine, part, joins=given["joins"], budget=given["budget_gpu_h"])


@dataclass(frozen=True)
class _Call:
    wanted: Wanted
    record: AblationRecord
    load: Load
    as_json: bool
    quiet: bool

    def say(self, text: str) -> None:
        click.echo(text, err=self.as_json)


def _check_call(given: dict[str, Any]) -> tuple[int, int]:
    """The part that is wanted, 1 of 1 for all. Raises UsageError for options that do not go together."""
    ways = [name for name in ("only_plan", "runs", "joins", "only_status") if given[name]]
    if len(ways) > 1:
        raise click.UsageError("--plan, --run, --join and --status are four ways: give one of them")
    if given["again"] and ways and ways != ["runs"]:
        raise click.UsageError("--again makes the builds anew: leave it out, or give it with --run")
    if not given["runs"]:
        refuse_machine_options(given)
    if given["part"] is None:
        return 1, 1
    if not given["runs"]:
        raise click.UsageError("--part belongs to --run")
    number, sign, of = given["part"].partition("/")
    if not (sign and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of) <= 1000):
        raise click.UsageError(f"--part {given['part']!r} is not I/N, such as 1/3")
    return int(number), int(of)


def _go(
    call: _Call,
    context: click.Context,
    machine: Machine | None,
    part: tuple[int, int],
    *,
    joins: bool,
    budget: float | None,
) -> int:
    from datakit.ablation.cost import check_budget, costs

    made = _made(call, keep=joins)
    planned, measured = costs(made.folder, made.record) if not joins else ([], False)
    if not joins:
        _tell_before(call, made, planned, measured)
        check_budget(planned, budget, call.wanted.command(made.record))
    codes = [0]
    if machine is not None:
        codes.append(_run(call, made, machine, part, context, budget))
    whole = part == (1, 1)
    result = None
    if joins or (machine is not None and whole and max(codes) in (0, 3)):
        result = _joined(call, made)
        codes.append(0 if result.is_whole else 3)
    _tell(call, made, result, planned)
    return next((code for code in codes if code not in (0, 3)), max(codes))


def _made(call: _Call, *, keep: bool) -> Made:
    from datakit.ablation.builds import as_they_stand, make
    from datakit.library import build
    from datakit.run.progress import Progress

    if keep:
        return as_they_stand(call.wanted, call.record, call.load)
    return make(
        call.wanted,
        call.record,
        call.load,
        lambda recipe, options: build(
            recipe, options=options, progress=Progress(quiet=call.quiet), card=False
        ),
        call.say,
    )


def _run(
    call: _Call,
    made: Made,
    machine: Machine,
    part: tuple[int, int],
    context: click.Context,
    budget: float | None,
) -> int:
    """Exit code of the handoffs: that of a failure, 3 where records had no answer, 4 at the budget."""
    from datakit.ablation.builds import part_of
    from datakit.ablation.cost import check_budget, costs
    from datakit.core.errors import UserError
    from datakit.kfold.running import run_build

    jobs = part_of(list(made.folder.jobs(made.record)), part)
    line, code = command_again(context), 0
    for at, job in enumerate(jobs, 1):
        try:
            check_budget(costs(made.folder, made.record)[0], budget, line)
        except UserError as error:  # what ran took longer than was reckoned
            click.echo(f"Error:\n{error}", err=True)
            return int(error.exit_code)
        call.say(f"Training {at} of {len(jobs)}: {job.path.name}")
        account = run_build(job.path, machine, line, call.say)
        if account.failure:
            click.echo(f"Error:\n{account.failure}", err=True)
        if account.exit not in (0, 3):
            return account.exit
        code = max(code, account.exit)
    return code


def _joined(call: _Call, made: Made) -> Comparison:
    from datakit.ablation.entering import enter
    from datakit.ablation.joining import join

    recipe = call.load.base()
    result = join(made.folder, made.record, recipe.seed)
    if result.effects:
        ledger, added = enter(result, made.folder, recipe)
        result.notes.append(f"{added} lines are new in {ledger}" if added else f"{ledger} has these lines")
    return result


def _tell_before(call: _Call, made: Made, planned: Sequence[Cost], measured: bool) -> None:
    """Power and cost, before anything is trained."""
    from datakit.ablation.builds import held_out
    from datakit.ablation.telling import cost_lines, power_of

    first = next(made.folder.jobs(made.record))
    records = held_out(made.folder.build(first))
    call.say(power_of(records, len(made.record.changes), None).words())
    for line in cost_lines(planned, measured):
        call.say(line)


def _tell(call: _Call, made: Made, result: Comparison | None, planned: Sequence[Cost]) -> None:
    from datakit.ablation import telling
    from datakit.ablation.cost import costs
    from datakit.cli.tables import print_json, print_table

    if (
        result is not None
        and not made.stale
        and len(made.reports) == len(list(made.folder.jobs(made.record)))
    ):
        planned = costs(made.folder, made.record)[0]
    if call.as_json:
        print_json(_document(call, made, result, planned))
        return
    click.echo(f"Ablation: {made.folder.path}")
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
        click.echo(telling.power_of(result.records, len(result.effects), result).words())
    for note in (*telling.notes_on(result), *result.notes):
        click.echo(f"Note: {note}")
    if result.unanswered:
        click.echo(f"Not answered yet: {', '.join(result.unanswered)}")
        click.echo(f"Next: {call.wanted.command(made.record)} --run")
    elif result.effects:
        click.echo(telling.next_experiment(result, made.record, planned).words())


def _document(call: _Call, made: Made, result: Comparison | None, planned: Sequence[Cost]) -> dict[str, Any]:
    from datakit.ablation import telling
    from datakit.ablation.builds import held_out
    from datakit.ablation.cost import hours_of

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
    then = telling.next_experiment(result, made.record, planned)
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


def _plan(call: _Call) -> int:
    """What the builds would do and the comparison would see; nothing is made."""
    from datakit.ablation.builds import folder_of, held_out
    from datakit.ablation.telling import power_of
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.cli.tables import print_json
    from datakit.estimate import estimate_calls
    from datakit.run.plan import plan

    folder, rows = folder_of(call.load.base()), list[dict[str, Any]]()
    jobs = list(folder.jobs(call.record))
    for job in jobs:
        if job.seed > 1:
            continue
        own = plan(call.load.job(job), out=job.path, limit=call.wanted.limit, estimate=estimate_calls)
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


def _tell_plan(call: _Call, rows: list[dict[str, Any]], jobs: list[Job], power: Power | None) -> None:
    from datakit.ablation.builds import folder_of
    from datakit.ablation.cost import costs
    from datakit.ablation.telling import cost_lines
    from datakit.artifacts.build_folder import BuildFolder

    for row in rows:
        state = "built, unchanged" if row["unchanged"] else f"to build, {row['calls']:,} calls"
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


def _status(call: _Call) -> int:
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
