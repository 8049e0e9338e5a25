"""`datakit plan`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from datakit.cli.numbers import FiniteNumber
from datakit.cli.recipe_path import LIMIT_HELP, OUT_HELP, RecipePath, only_recipe, set_option
from datakit.core.clock import rough_duration
from datakit.core.counted import counted

if TYPE_CHECKING:
    from datakit.run.plan import Plan, StepPlan

EPILOG = """\b
Examples:
  datakit plan recipes/ecom_v3.yaml
  datakit plan recipes/ecom_v3.yaml --set llm.model=gpt-4o
  datakit plan recipes/ecom_v3.yaml --train
  datakit plan recipes/ecom_v3.yaml --train --gpus 4 --gpu RTX-4090 --host-memory-gb 128 --price 0.4
  datakit plan recipes/ecom_v3.yaml --pilot 20
  datakit plan recipes/ecom_v3.yaml --json | jq '.steps[] | select(.calls > 0)'
"""

_LEGEND = (
    "Of the records that come in and pass, those `cached` have a result and those `to do` have none; equal\n"
    "records share a call. <= is a bound: the figure is known when the steps before have been done. A dot\n"
    "is none, or, after the last step with calls, not counted."
)
_FIGURES = ("calls", "calls_at_most", "cost_usd", "cost_usd_at_most", "cost_usd_range", "wall_s")
"""What the JSON tells of the whole plan."""


@click.command(epilog=EPILOG)
@click.argument("recipe", type=RecipePath(), required=False)
@set_option
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help=LIMIT_HELP)
@click.option("--out", type=click.Path(path_type=Path), help=OUT_HELP)
@click.option(
    "--pilot",
    type=click.IntRange(min=1),
    metavar="N",
    help="First really do the paid steps for N records (stored, so paid once) and reckon from them.",
)
@click.option("--train", is_flag=True, help="Say what the training needs: memory by mode, and what fits.")
@click.option("--gpus", type=click.IntRange(min=1, max=65_536), help="With --train: GPUs of a node.")
@click.option("--gpu-memory-gb", type=FiniteNumber(min=1, max=10_000), help="With --train: GiB of each GPU.")
@click.option(
    "--host-memory-gb", type=FiniteNumber(min=1, max=1_000_000), help="With --train: GiB of a node."
)
@click.option(
    "--gpu",
    "gpu_name",
    metavar="NAME",
    help="With --train: which GPU, such as H100 or A100-80GB, for its time.",
)
@click.option(
    "--price",
    type=FiniteNumber(min=0, max=1_000_000),
    help="With --train: of one GPU for an hour, for the cost.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON on stdout.")
def command(
    recipe: Path | None,
    overrides: tuple[str, ...],
    limit: int | None,
    out: Path | None,
    pilot: int | None,
    train: bool,
    gpus: int | None,
    gpu_memory_gb: float | None,
    host_memory_gb: float | None,
    gpu_name: str | None,
    price: float | None,
    as_json: bool,
) -> int:
    """Say what a build of RECIPE would do: what is cached, what is to do and why, calls, tokens, cost.

    Without RECIPE: the only one of the project here.

    Nothing is paid, unless with --pilot. Free steps are run up to the last paid one, paid ones are looked up
    in the result store; behind a step that is still to do, figures are upper bounds ("at most"). They count
    every answer that may have to be repaired, judged, tried again or written anew.

    Ends with 1 when a build would make nothing, because more records are rejected than are allowed.

    With --train: the memory that each way to share out the training needs on every GPU and host, for this
    machine or the one described, and the tokens, steps, time, GPU hours and cost of the training; ends with 1
    when the chosen way does not fit.
    """
    recipe = recipe or only_recipe("plan")
    if train:
        from datakit.cli.memory_table import show_memory
        from datakit.training.machine import this_machine

        machine = this_machine(gpus, gpu_memory_gb, host_memory_gb, gpu_name)
        return show_memory(recipe, overrides, out, machine, gpus=gpus, price=price, as_json=as_json)
    if gpus or gpu_memory_gb or host_memory_gb or gpu_name or price is not None:
        raise click.UsageError(
            "--gpus, --gpu, --gpu-memory-gb, --host-memory-gb and --price belong to --train"
        )
    from datakit.cli.tables import print_json
    from datakit.core.errors import Exit
    from datakit.estimate import estimate_calls
    from datakit.library import load
    from datakit.run.plan import plan
    from datakit.run.progress import Progress

    checked, progress = load(recipe, overrides), Progress(quiet=as_json)
    result = plan(checked, out=out, limit=limit, estimate=estimate_calls, progress=progress, pilot=pilot or 0)
    if as_json:
        figures = {name: getattr(result, name) for name in _FIGURES}
        print_json({**result.model_dump(), **figures})
    else:
        show(result)
    return int(Exit.FAILED if result.stops else Exit.FINE)


def show(plan: Plan) -> None:
    """Prints a plan."""
    from datakit.cli.tables import print_table, say

    head = ("step", "records", "rejected", "cached", "to do", "calls", "tokens", "cost")
    print_table(head, [_row(step) for step in plan.steps], right=range(1, len(head)))
    if plan.calls:
        click.echo(_LEGEND)
    for step in plan.steps:
        for reason in step.why:
            say(f"   {step.title}: {reason}")
        if step.cost_usd and step.basis:
            say(f"   {step.title}: cost is {step.basis}")
    for note in plan.notes:
        say(f"Note: {note}")
    for change in plan.changed:
        say(f"Changed: {change}")
    for line in _verdict(plan).splitlines():
        say(line)


def _row(step: StepPlan) -> tuple[str, ...]:
    most = "<=" if step.at_most else ""
    if step.records is None:
        return (f"{step.number:>2} {step.title}", *("·" * 7))
    tokens = None if step.tokens_in is None else step.tokens_in + (step.tokens_out or 0)
    cost = step.cost_usd_at_most if step.at_most and step.model else step.cost_usd
    counts = (step.rejected, step.cached, step.to_do)
    return (
        f"{step.number:>2} {step.title}",
        f"{most}{step.records:,}",
        *(f"{count:,}" if count else "·" for count in counts),
        _figure(most, step.calls_at_most if most else step.calls, "{:,}"),
        _figure("" if step.model else most, tokens if step.calls else 0, "{:,}"),
        _figure(most, cost if step.calls else 0.0, "${:.4f}"),
    )


def _figure(most: str, value: float | None, form: str) -> str:
    if value is None:
        return "?"
    return most + form.format(value) if value else "·"


def _verdict(plan: Plan) -> str:
    from datakit.core.shown_path import show_path

    place = show_path(Path(plan.folder))
    if plan.unchanged:
        return f"Nothing has changed: a build would keep {place} as it is."
    if plan.stops:
        return f"A build would make nothing: {plan.stops}Mend them, or allow more with run.max_reject_rate."
    if not plan.calls:
        return f"A build would make {place} anew without a call."
    paid_steps = [step for step in plan.steps if step.model and step.calls]
    local = sum(step.calls for step in plan.steps if not step.model)
    times = [
        f"{step.title} about {rough_duration(step.wall_s)}"
        for step in plan.steps
        if step.calls and not step.model and step.wall_s is not None
    ]
    took = f" ({', '.join(times)})" if times else ""
    work = [f"{local:,} pieces of work on this machine{took}"] if local else []
    if paid_steps:
        cost = "of unknown cost" if plan.cost_usd is None else f"for about ${plan.cost_usd:.2f}"
        if plan.cost_usd_range is not None:
            cost += " (${:.2f} to ${:.2f})".format(*plan.cost_usd_range)
        if plan.wall_s is not None:
            cost += f" in about {rough_duration(plan.wall_s)}"
        calls = plan.calls_at_most if plan.at_most else plan.calls
        work.append(f"{counted(calls - local, 'call')} of {paid_steps[0].model} {cost}")
    most = "at most " if plan.at_most else ""
    bound = _bound(plan, local) if paid_steps else ""
    return f"A build would make {place} with {most}{' and '.join(work)}.{bound}"


def _bound(made: Plan, local: int) -> str:
    """The most that a model's calls can come to."""
    usd = made.cost_usd_at_most
    cost = "an unknown cost" if usd is None else f"${usd:.2f}"
    calls = made.calls_at_most - local
    return (
        f"\nAt most {counted(calls, 'call')} and {cost}, if every answer must be repaired and written again."
    )
