"""`datakit ablate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakit.cli.ablate_told import Call, costs_now, plan, status, tell, tell_before
from datakit.cli.machine_options import command_again, machine_of, machine_options, refuse_machine_options
from datakit.cli.numbers import FiniteNumber
from datakit.core.counted import counted, counted_with

if TYPE_CHECKING:
    from datakit.ablation.builds import Made
    from datakit.ablation.comparing import Comparison
    from datakit.artifacts.ablation import Job
    from datakit.kfold.running import Machine

EPILOG = """\b
Examples:
  datakit ablate recipes/ecom_v3.yaml --drop balance.oversample --set train.learning_rate=1e-5,1e-4 --plan
  datakit ablate recipes/ecom_v3.yaml --drop balance.oversample --seeds 3 --budget-gpu-h 12
  datakit ablate recipes/ecom_v3.yaml --run --vllm /envs/vllm/bin/vllm
  datakit ablate recipes/ecom_v3.yaml --drop balance.oversample --bundle ablation.tar.gz
  datakit ablate recipes/ecom_v3.yaml --results results.tar
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
@click.option("--part", default="", metavar="I/N", help="With --run: the share of one of N machines.")
@click.option("--join", "joins", is_flag=True, help="Compare the answers that are there; run nothing.")
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="Pack all of it as one archive, for a machine without datakit and without a network.",
)
@click.option(
    "--results",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="RESULTS",
    help="Take over the results.tar of such a machine, then compare; once for each machine.",
)
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

    _check_call(given)
    machine = machine_of(given) if given["runs"] else None
    way = Load(lambda overrides, drop: load(recipe, overrides, drop=drop))
    changes, notes = asked(drops, sets), list[str]()
    if changes:
        changes, notes = checked(changes, way)
    wanted = Wanted(recipe, tuple(changes), given["seeds"], given["limit"], given["again"])
    record = record_of(wanted, way.base())
    checked(record.changes, way)  # those that stood there, in a recipe that may have been edited
    call = Call(wanted, record, way, given["as_json"], given["quiet"] or given["as_json"])
    for note in notes:
        call.say(f"Note: {note}")
    if given["only_plan"]:
        return plan(call)
    if given["only_status"]:
        return status(call)
    if given["results"]:
        call.take(given["results"])
    made = _made(call, keep=given["joins"] or bool(given["results"]))
    if given["bundle"]:
        return _pack(call, made, given["bundle"], given["budget_gpu_h"])
    return _go(call, made, context, machine, given)


_ENDED = frozenset({4, 129, 130, 143})
"""Exit codes after which nothing is compared: the budget, and what ended the process."""


def _check_call(given: dict[str, Any]) -> None:
    """Raises UsageError for options that do not go together, and UserError for a part that is none."""
    from datakit.ablation.sharing import part_of

    ways = [name for name in ("only_plan", "runs", "joins", "only_status", "bundle") if given[name]]
    if len(ways) > 1:
        raise click.UsageError("--plan, --run, --join, --status and --bundle are five ways: give one of them")
    if given["results"] and ways not in ([], ["joins"]):
        raise click.UsageError("--results compares what came: leave the other way out")
    if given["again"] and (given["results"] or (ways and ways not in (["runs"], ["bundle"]))):
        raise click.UsageError("--again makes the builds anew: leave it out, or give it with --run")
    if not given["runs"]:
        refuse_machine_options(given)
    if given["part"] and not given["runs"]:
        raise click.UsageError("--part belongs to --run")
    part_of([], given["part"])
    if given["bundle"] and not given["bundle"].name.endswith((".tar", ".tar.gz", ".tgz")):
        raise click.UsageError(
            f"--bundle {given['bundle']} is no name of an archive: end it with .tar or .tar.gz"
        )


def _go(
    call: Call, made: Made, context: click.Context, machine: Machine | None, given: dict[str, Any]
) -> int:
    from datakit.ablation.cost import check_budget, costs

    joins, budget = given["joins"] or bool(given["results"]), given["budget_gpu_h"]
    planned, measured = costs(made.folder, made.record) if not joins else ([], False)
    if not joins:
        tell_before(call, made, planned, measured)
        check_budget(planned, budget, call.wanted.command(made.record))
    codes = [0]
    if machine is not None:
        codes.append(_run(call, made, machine, context, given))
    whole = not given["part"]
    result = None
    if joins or (machine is not None and whole and not set(codes) & _ENDED):
        result = _joined(call, made)
        codes.append(0 if result.is_whole else 3)
    tell(call, made, result, planned)
    return next((code for code in codes if code not in (0, 3)), max(codes))


def _pack(call: Call, made: Made, out: Path, budget: float | None) -> int:
    """One archive of all trainings; what it will see and cost is told before."""
    from datakit.ablation.builds import held_out, shown_recipe
    from datakit.ablation.cost import check_budget, costs
    from datakit.artifacts.packed_ablation import PackedAblation
    from datakit.bundling.ablation import bundle_ablation
    from datakit.cli.tables import print_json
    from datakit.core.scripts import shell_words

    planned, measured = costs(made.folder, made.record)
    tell_before(call, made, planned, measured)
    check_budget(planned, budget, call.wanted.command(made.record))
    recipe, first = call.load.base(), next(made.folder.jobs(made.record))
    home = ["datakit", "ablate", shown_recipe(recipe), "--results", "results.tar"]
    home += [] if call.wanted.limit is None else ["--limit", str(call.wanted.limit)]
    about = PackedAblation(
        **made.record.model_dump(exclude={"version"}),
        seed=recipe.seed,
        held_out=held_out(made.folder.build(first)),
        command=shell_words(home),
    )
    archive = bundle_ablation(made.folder.path, made.record, about, out)
    if call.as_json:
        print_json({**archive.model_dump(), "trainings": len(planned)})
        return 0
    click.echo(
        f"Packed: {archive.path} ({archive.bytes / 1e6:,.1f} MB, {len(planned)} trainings, "
        f"{counted(archive.files, 'file')}, "
        f"{counted(archive.pictures, 'picture')}, {archive.resized:,} made smaller)"
    )
    click.echo(f"sha256 {archive.sha256}")
    click.echo(f"There: tar xf {out.name}, then read {archive.starts_with}/START_HERE.md")
    click.echo(f"Then here: {about.command}")
    return 0


def _made(call: Call, *, keep: bool) -> Made:
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


def _run(call: Call, made: Made, machine: Machine, context: click.Context, given: dict[str, Any]) -> int:
    """Exit code of the handoffs: that of a failure, 3 where records had no answer, 4 at the budget."""
    from datakit.ablation.cost import check_budget, costs
    from datakit.ablation.sharing import exit_of, part_of, share_out
    from datakit.core.errors import DatakitError, UserError
    from datakit.kfold.running import run_build

    jobs = part_of(list(made.folder.jobs(made.record)), given["part"])
    line = command_again(context)

    def work(job: Job) -> int:
        try:
            check_budget(costs(made.folder, made.record)[0], given["budget_gpu_h"], line)
        except UserError as error:  # what ran took longer than was reckoned
            click.echo(f"Error:\n{error}", err=True)
            return int(error.exit_code)
        call.say(f"Training {jobs.index(job) + 1} of {len(jobs)}: {job.path.name}")
        try:
            account = run_build(job.path, machine, line, call.say)
        except DatakitError as error:
            click.echo(f"Error:\n{job.path.name}: {error}", err=True)
            return int(error.exit_code)
        if account.failure:
            click.echo(f"Error:\n{account.failure}", err=True)
        return account.exit

    return exit_of(share_out(jobs, work, call.say))


def _joined(call: Call, made: Made) -> Comparison:
    from datakit.ablation.entering import enter
    from datakit.ablation.joining import join
    from datakit.ablation.report import write_report

    recipe = call.load.base()
    result = join(made.folder, made.record, recipe.seed)
    if result.effects:
        write_report(made.folder.page, recipe.name, result, costs_now(made))
        ledger, added = enter(result, made.folder, recipe)
        result.notes.append(
            f"{counted_with(added, 'line', 'is', 'are')} new in {ledger}"
            if added
            else f"{ledger} has these lines"
        )
    return result
