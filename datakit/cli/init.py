"""`datakit init`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakit.starting.asked import FORMATS, TASKS, Asked

if TYPE_CHECKING:
    from datakit.starting.example import Started
    from datakit.starting.first_build import FirstBuild

SMALL = (
    "Where a label has two records, one of them goes into validation: here about half of all do. With ten\n"
    "  or more of a label it is the share `val` of curate.split. --demo brings all example records."
)
"""A person who counts the records of the first build would wonder."""
EPILOG = """\b
Examples:
  datakit init ~/photos                          # a folder for each label
  datakit init train.csv --into my_project
  datakit init data/dataset_info.json --dataset receipts
  datakit init owner/name                        # of the Hugging Face hub
  datakit init owner/name --subset small --split test
  datakit init --example screens
  datakit init --example films --from medical
"""
NOTHING_NAMED = """\
say where your data is: datakit init PATH
  PATH is a folder of pictures (a folder for each label), a .csv, .jsonl, .json or .parquet file with the
  paths of pictures, a file of LLaMA-Factory, LLaVA, ms-swift, COCO or Label Studio, or a data set of the
  Hugging Face hub (owner/name). The project is written beside, never into the data.
  To look around first, with the shipped example: datakit init --example"""


@click.command(epilog=EPILOG)
@click.argument("path", required=False)
@click.option(
    "--into", type=click.Path(path_type=Path), help="Folder of the project; NAME-project here if not given."
)
@click.option(
    "--task", type=click.Choice(TASKS), help="What is to be learned, where it is taken for another."
)
@click.option(
    "--language", type=click.Choice(["zh", "en"]), help="Of the prompts; by labels and texts if not given."
)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="How the data is read, where that is not told."
)
@click.option(
    "--image-column", "image_columns", multiple=True, metavar="NAME", help="Column of the pictures."
)
@click.option("--label-column", metavar="NAME", help="Column of the labels.")
@click.option(
    "--image-root", type=click.Path(path_type=Path), help="Folder that the pictures' paths start from."
)
@click.option("--encoding", metavar="NAME", help="Of a text file, such as gbk, where it cannot be told.")
@click.option("--dataset", metavar="NAME", help="Which data set of a dataset_info.json.")
@click.option("--subset", metavar="NAME", help="Which configuration of a data set of the hub.")
@click.option("--split", metavar="NAME", help="Which part of a data set of the hub; train if not given.")
@click.option("--no-build", is_flag=True, help="Make the project only, without its first build.")
@click.option("--open", "opens", is_flag=True, help="Open the card in a browser, from a terminal.")
@click.option("--example", is_flag=True, help="Make the shipped example's project; PATH is its folder.")
@click.option(
    "--from",
    "start",
    type=click.Choice(["ecom", "medical"]),
    help="With --example: screenshots (25 labels; if not given) or chest films, both in Chinese.",
)
@click.option("--demo", is_flag=True, help="With --example: all its records, not two a label.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON on stdout.")
def command(
    path: str | None, example: bool, start: str | None, demo: bool, as_json: bool, **given: Any
) -> int:
    """Make a project of the data at PATH: recipe, label file, prompts, and a first build of 20 records.

    Says what it found and what it is not sure of. Nothing is written into the data, and nothing over files.
    The first build pays nothing unless a price was stated and you said yes on a terminal.
    """
    if example:
        if said := [name for name, value in given.items() if value]:
            raise click.UsageError(f"--{said[0].replace('_', '-')} is of no use beside --example")
        return _example(Path(path or "."), start or "ecom", demo, as_json)
    if start or demo:
        raise click.UsageError("--from and --demo belong to --example: datakit init --example [FOLDER]")
    if path is None:
        raise click.UsageError(NOTHING_NAMED)
    return _own(path, as_json, given)


def _own(path: str, as_json: bool, given: dict[str, Any]) -> int:
    """A project of somebody's own data, and its first build."""
    from datakit.cli.started import as_plain, ask_on_terminal, print_found, print_next
    from datakit.cli.tables import print_json
    from datakit.run.progress import Progress
    from datakit.starting.first_build import first_build
    from datakit.starting.own_data import start_with

    asked = Asked(
        given["task"],
        given["language"],
        given["form"],
        given["image_columns"],
        given["label_column"],
        given["image_root"],
        given["encoding"],
        given["dataset"],
        given["subset"],
        given["split"],
    )
    project = start_with(path, given["into"], asked)
    if not as_json:
        print_found(project)
    first: FirstBuild | None = None
    if not given["no_build"]:
        ask = None if as_json else ask_on_terminal()
        first = first_build(
            project.recipe, Progress(quiet=as_json), ask, lambda text: click.echo(text, err=as_json)
        )
    if as_json:
        print_json(as_plain(project, first))
    else:
        print_next(project, first, opens=given["opens"])
    return first.code if first is not None else 0


def _example(folder: Path, start: str, demo: bool, as_json: bool) -> int:
    """The project of a shipped example."""
    from datakit.cli.tables import print_json
    from datakit.starting.example import start_project

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
    click.echo(f"  data/  {project.records} example records")
    if not demo:
        click.echo(f"  {SMALL}")
    click.echo("\nNext:")
    for line in _next(project):
        click.echo(f"  {line}")
    click.echo("A project of your own data: datakit init PATH")
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
