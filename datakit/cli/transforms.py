"""`datakit transforms`."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

import click

from datakit.cli import completing

if TYPE_CHECKING:
    from datakit.recipe.reference import Entry

EPILOG = """\b
Examples:
  datakit transforms
  datakit transforms annotate.ocr
  datakit transforms --json | jq '.[].name'
"""


@click.command(epilog=EPILOG)
@click.argument("name", required=False, shell_complete=completing.steps)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(name: str | None, as_json: bool) -> int:
    """List the transforms, or explain the one called NAME: parameters, columns, an example."""
    from datakit.cli.tables import print_json
    from datakit.recipe.reference import entries, entry

    if name is not None:
        chosen = entry(name)
        if as_json:
            print_json(asdict(chosen))
        else:
            _explain(chosen)
        return 0
    listed = entries()
    if as_json:
        print_json([asdict(transform) for transform in listed])
    else:
        _list(listed)
    return 0


def _list(listed: list[Entry]) -> None:
    from datakit.cli.tables import print_pairs

    for folder, transforms in groupby(listed, lambda transform: transform.name.split(".")[0]):
        click.echo(folder)
        print_pairs([(transform.name, transform.summary) for transform in transforms])
        click.echo()
    click.echo("One in detail: datakit transforms NAME")


def _explain(transform: Entry) -> None:
    from datakit.cli.tables import page_width

    click.echo(f"{transform.name} ({transform.kind}, version {transform.version})\n")
    click.echo(transform.text)
    click.echo("\nParameters:" if transform.parameters else "\nNo parameters.")
    for parameter in transform.parameters:
        click.echo(f"  {parameter.name}: {parameter.type} ({_default(parameter.default_text)})")
        for line in _wrap(parameter.help, page_width() - 6):
            click.echo(f"      {line}")
    source = f" of {transform.example_from}" if transform.example_from else ""
    click.echo(f"\nExample{source}:\n  {transform.example}")
    if transform.inputs:
        click.echo(f"  reads the columns {', '.join(transform.inputs)}")
    if transform.outputs:
        click.echo(f"  gives {', '.join(f'{name} {dtype}' for name, dtype in transform.outputs.items())}")


def _default(text: str) -> str:
    return text if text == "required" else f"default {text}"


def _wrap(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, max(width, 30)) or [""]
