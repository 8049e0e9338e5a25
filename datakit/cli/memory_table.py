"""The table of `datakit plan --train`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datakit.core.errors import Exit, UserError

if TYPE_CHECKING:
    from datakit.training.machine import Machine
    from datakit.training.memory_plan import MemoryPlan


def show_memory(
    recipe: Path,
    overrides: Iterable[str],
    out: Path | None,
    machine: Machine,
    *,
    gpus: int | None,
    as_json: bool,
) -> int:
    """Prints what the training of a recipe needs. The exit code is 1 when its mode does not fit."""
    from datakit.cli.tables import print_json
    from datakit.training.memory_plan import of_recipe

    made = of_recipe(recipe, overrides, out, machine, gpus=gpus)
    if as_json:
        print_json(made.model_dump())
    else:
        _print(made)
    return int(Exit.FINE if made.choice.fits or not made.gpu_memory_gb else Exit.FAILED)


def _print(made: MemoryPlan) -> None:
    from datakit.cli.tables import print_table

    nodes = f" on each of {made.nodes} nodes" if made.nodes > 1 else ""
    click.echo(f"{made.model}: {made.parameters:,} parameters, {made.trained:,} trained")
    click.echo(
        f"{made.gpus} GPUs of {made.gpu_memory_gb:g} GiB{nodes}, {made.host_memory_gb:g} GiB of host memory; "
        f"{made.rows} rows of {made.tokens:,} tokens at a time ({made.tokens_from})"
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
            ("yes" if row.fits else "no") if made.gpu_memory_gb else "?",
        )
        for row in made.modes
    ]
    print_table(head, rows, right=(2, 3, 4, 5))
    for note in made.notes:
        click.echo(f"Note: {note}")
    if made.gpu_memory_gb:
        click.echo(_verdict(made))


def _verdict(made: MemoryPlan) -> str:
    from datakit.training.memory_plan import refuse_what_cannot_fit

    if made.choice.fits:
        return f"The recipe's mode `{made.chosen}` fits."
    try:
        return f"Warning: {refuse_what_cannot_fit(made)}"
    except UserError as error:
        return str(error)
