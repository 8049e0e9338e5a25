"""`datakit init`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from datakit.starter import Started

SMALL = (
    "Where a label has two records, one of them goes into validation: here about half of all do. With ten\n"
    "  or more of a label it is the share `val` of curate.split. --demo brings all example records."
)
"""A person who counts the records of the first build would wonder."""
EPILOG = """\b
Examples:
  datakit init screens
  datakit init films --from medical
  datakit init look --demo
"""


@click.command(epilog=EPILOG)
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@click.option(
    "--from",
    "start",
    type=click.Choice(["ecom", "medical"]),
    default="ecom",
    help="Which shipped recipe to begin with: screenshots (25 labels) or chest films, both in Chinese.",
)
@click.option("--demo", is_flag=True, help="Bring the whole example data set, not two records a label.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON on stdout.")
def command(folder: Path, start: str, demo: bool, as_json: bool) -> int:
    """Make a new project in FOLDER: recipe, templates, label file and a little data, ready to build.

    Nothing is written over.
    """
    from datakit.cli.tables import print_json
    from datakit.starter import start_project

    project = start_project(folder, start, whole=demo)
    if as_json:
        print_json(
            {
                "project": str(project.folder),
                "recipe": str(project.recipe),
                "records": project.records,
                "files": [path.relative_to(project.folder).as_posix() for path in project.files],
                "next": _next(project),
            }
        )
        return 0
    click.echo(f"Made the project {project.folder}:")
    recipe = project.recipe.relative_to(project.folder).as_posix()
    click.echo(f"  {recipe}  the steps from pictures to data set")
    click.echo(f"  templates/{start}/  prompts, answers and labels.yaml")
    click.echo(f"  data/  {project.records} example records: put yours in their place (see README.md)")
    if not demo:
        click.echo(f"  {SMALL}")
    click.echo("\nNext:")
    for line in _next(project):
        click.echo(f"  {line}")
    return 0


def _next(project: Started) -> list[str]:
    from datakit.core.scripts import shell_words

    recipe = project.recipe.relative_to(project.folder).as_posix()
    place = os.path.relpath(project.folder)
    moves = [] if place == "." else [shell_words(["cd", place])]
    return [
        *moves,
        "datakit doctor",
        shell_words(["datakit", "plan", recipe]),
        shell_words(["datakit", "build", recipe]),
    ]
