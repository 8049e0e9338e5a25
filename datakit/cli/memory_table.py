"""The table of `datakit plan --train`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datakit.core.errors import Exit, UserError

if TYPE_CHECKING:
    from datakit.training.forecast import Forecast
    from datakit.training.machine import Machine
    from datakit.training.memory_plan import MemoryPlan, ModeRow


def show_memory(
    recipe: Path,
    overrides: Iterable[str],
    out: Path | None,
    machine: Machine,
    *,
    gpus: int | None,
    price: float | None,
    as_json: bool,
) -> int:
    """Prints what the training of a recipe needs and takes. The exit code is 1 when its mode does not fit."""
    from datakit.cli.tables import print_json
    from datakit.training.memory_plan import of_recipe

    machine = _assumed(machine, recipe, overrides)
    plan = of_recipe(recipe, overrides, out, machine, gpus=gpus, price=price)
    if as_json:
        print_json(plan.model_dump())
    else:
        _print(plan)
    is_told = bool(plan.gpu_memory_gb) and not machine.is_assumed  # nobody said that the training is there
    return int(Exit.FINE if plan.choice.fits or not is_told else Exit.FAILED)


def _assumed(machine: Machine, recipe: Path, overrides: Iterable[str]) -> Machine:
    """The machine; where it has no GPU, with GPUs of the size that the recipe's `serve:` section names."""
    from dataclasses import replace

    from datakit.library import load
    from datakit.serving.settings import ServeSettings
    from datakit.training.memory import GIB

    serve = None if machine.gpu_bytes else load(recipe, overrides).sections.get("serve")
    if not isinstance(serve, ServeSettings):
        return machine
    return replace(machine, gpu_bytes=int(serve.gpu_memory_gb * GIB), is_assumed=True)


def _print(plan: MemoryPlan) -> None:
    from datakit.cli.tables import print_table, say

    nodes = f" on each of {plan.nodes} nodes" if plan.nodes > 1 else ""
    click.echo(f"{plan.model}: {plan.parameters:,} parameters, {plan.trained:,} trained")
    click.echo(
        f"{plan.gpus} GPU{'s' if plan.gpus != 1 else ''} of {_size(plan.gpu_memory_gb)}{nodes}, "
        f"{_size(plan.host_memory_gb)} of host memory; "
        f"{plan.rows} rows of {plan.tokens:,} tokens at a time ({plan.tokens_from})"
    )
    head = ("", "mode", "states", "activations", "GPU GiB", "host GiB", "fits")
    rows = [
        (
            ">" if row.chosen else "",
            row.mode,
            f"{row.states_gb:,.1f}",
            f"{row.activations_gb:,.1f}",
            f"{row.gpu_gb:,.1f}",
            f"{row.host_gb:,.1f}",
            _word(row) if plan.gpu_memory_gb else "?",
        )
        for row in plan.modes
    ]
    print_table(head, rows, right=(2, 3, 4, 5))
    if plan.forecast:
        _print_forecast(plan.forecast)
    for note in plan.notes:
        say(f"Note: {note}")
    if plan.gpu_memory_gb:
        for line in _verdict(plan).splitlines():
            say(line)


def _print_forecast(told: Forecast) -> None:
    from datakit.core.clock import duration

    work = told.work
    click.echo(
        f"{work.rows:,} rows an epoch: {work.text_tokens:,} tokens of text, {work.image_tokens:,} of images; "
        f"{told.tokens_seen:,} in {work.steps:,} steps, {work.evaluations:,} evaluations"
    )
    click.echo(
        f"On {told.gpus} {told.gpu}: {told.step_s:.2f} s a step (it waits for {told.slowest}), started in "
        f"{duration(told.starting_s)}, rows ready in {duration(told.preprocessing_s)}, trained in "
        f"{duration(told.training_s)}"
    )
    price = "" if told.cost is None else f", for {told.cost:,.2f}"
    click.echo(
        f"{told.gpu_hours:.2f} GPU hours{price}, between {told.gpu_hours_low:.2f} and "
        f"{told.gpu_hours_high:.2f}: {told.basis}"
    )


def _size(gib: float) -> str:
    """A memory; that of a machine which does not tell it is 0."""
    return f"{gib:g} GiB" if gib else "unknown size"


def _word(row: ModeRow) -> str:
    if row.fits:
        return "barely" if row.tight else "yes"
    return "no"


def _verdict(plan: MemoryPlan) -> str:
    from datakit.training.memory_plan import refuse_what_cannot_fit

    if plan.choice.fits:
        tight = f"\nWarning: {plan.choice.tight}" if plan.choice.tight else ""
        return f"The recipe's mode `{plan.chosen}` fits.{tight}"
    try:
        return f"Warning: {refuse_what_cannot_fit(plan)}"
    except UserError as error:
        return str(error)
