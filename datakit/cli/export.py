"""`datakit export`."""

from __future__ import annotations

from pathlib import Path

import click

from datakit.cli.build_path import BuildPath

EPILOG = """\b
Examples:
  datakit export build/ecom_v3
  datakit export build/ecom_v3 --python /envs/trainer/bin/python
  datakit export build/ecom_v3 --dry-run
"""


@click.command(epilog=EPILOG)
@click.argument("build", type=BuildPath(outlives=True))
@click.option(
    "--python", metavar="PATH", help="Python of the trainer's environment; DATAKIT_TRAINER else PATH."
)
@click.option("--dry-run", is_flag=True, help="Print the command, and start nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON on stdout.")
def command(build: Path, python: str | None, dry_run: bool, as_json: bool) -> int:
    """Make the served model of a trained BUILD: an adapter is merged into its base.

    Afterwards the weights' names and shapes are compared with the base model, and tokenizer, processor and
    chat template must be there; a model that is not right is not put in place (exit code 1).
    """
    from datakit.cli.tables import print_call, print_json
    from datakit.training.export import export, export_call
    from datakit.training.run_claim import claim
    from datakit.training.run_folder import RunFolder

    run = RunFolder.of(build)
    if dry_run:
        call = export_call(run, python, only_shown=True)
        print_call(call, as_json=as_json)
        return 0
    claim(run, lambda line: click.echo(line, err=as_json))
    result = export(run, python, lambda line: click.echo(line, err=as_json))
    if as_json:
        print_json(result.model_dump())
    else:
        click.echo(f"Served model: {result.served} ({result.tensors:,} tensors, {result.bytes / 1e9:.2f} GB)")
    return 0
