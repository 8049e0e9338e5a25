"""What `datakit init` says: what it found, what it is not sure of, what it wrote, and what comes next."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.report import BuildReport
from datakit.cli.verdict_lines import lines_of
from datakit.core.counted import counted
from datakit.core.scripts import shell_words
from datakit.core.shown_path import show_path
from datakit.starting.first_build import FirstBuild
from datakit.starting.own_data import OwnProject
from datakit.starting.readme import LOOK


def print_found(project: OwnProject) -> None:
    """What the data is, what is not sure, and the files that were written."""
    click.echo(f"Found {project.words}.")
    for doubt in project.decided.doubts:
        click.echo(f"  - {doubt}")
    click.echo(f"Made the project {show_path(project.folder)}:")
    for path, what in _files(project):
        click.echo(f"  {path}  {what}")


def _files(project: OwnProject) -> list[tuple[str, str]]:
    rows = [("README.md", "what was found, what to edit, what to run")]
    rows.append((f"recipes/{project.name}.yaml", "the steps from pictures to data set"))
    if project.labels:
        rows.append(
            (
                project.label_file,
                "the labels, with descriptions to write",
            )
        )
    rows += [(path, "what a model is asked") for path in project.files if path.endswith(".j2")]
    return rows


def ask_on_terminal() -> Callable[[str], bool] | None:
    """A question with no as its usual answer; None where nobody is there to answer."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    return lambda words: click.confirm(words, default=False)


def print_next(project: OwnProject, first: FirstBuild | None, *, opens: bool) -> None:
    """What became of the first build, and the commands that come next."""
    if first is not None and first.result is None:
        click.echo(f"The project is made; its first build stopped:\n{first.fault}", err=True)
    if first is not None and first.result is not None:
        report = first.result.report
        records = report.steps[0].records_out
        click.echo(
            f"First build, of {counted(records, 'record')}: {show_path(first.result.folder)}"
            + _left_out(report, BuildFolder(first.result.folder).rejects_file)
        )
        for line in lines_of(report.verdict, first.result.folder):
            click.echo(line)
        card = next((path for path in first.result.cards if path.suffix == ".html"), None)
        if card is not None:
            click.echo(f"Its card, to be opened in a browser: {show_path(card)}")
            if opens and sys.stdout.isatty():
                webbrowser.open(card.absolute().as_uri())
    click.echo("\nNext:")
    for line in next_commands(project):
        click.echo(f"  {line}")


def _left_out(report: BuildReport, rejects: Path) -> str:
    """What is no record of the build, in brackets: rows and files beside its records, and those of them."""
    unread, *later = [sum(step.rejected.values()) for step in report.steps]
    counts = [f"{sum(later)} of them left out"] if sum(later) else []
    counts += [f"{unread} more could not be read"] if unread else []
    return f" ({', '.join(counts)}: {show_path(rejects)})" if counts else ""


def next_commands(project: OwnProject) -> list[str]:
    """The commands that make the whole data set."""
    place = os.path.relpath(project.folder)
    moves = [] if place == "." else [shell_words(["cd", place])]
    edit = [f"# edit {project.label_file}"] if project.label_file else []
    return [*moves, *edit, f"datakit build --limit {LOOK}", "datakit plan", "datakit build"]


def as_plain(project: OwnProject, first: FirstBuild | None) -> dict[str, Any]:
    """The same for programs."""
    found, decided = project.decided.found, project.decided
    return {
        "project": str(project.folder),
        "recipe": str(project.recipe),
        "files": list(project.files),
        "found": {
            "words": project.words,
            "format": found.source.name,
            "task": decided.task,
            "language": decided.language,
            "records": found.records,
            "rejected": dict(found.rejects),
            "pictures": found.images,
            "pictures_a_record": {str(number): count for number, count in sorted(found.pictures.items())},
            "labels": dict(project.labels),
        },
        "doubts": list(decided.doubts),
        "first_build": _first(first),
        "next": next_commands(project),
    }


def _first(first: FirstBuild | None) -> dict[str, Any] | None:
    if first is None:
        return None
    if first.result is None:
        return {"build": None, "error": first.fault, "cards": [], "verdict": []}
    report = first.result.report
    return {
        "build": str(first.result.folder),
        "error": "",
        "cards": [str(Path(path)) for path in first.result.cards],
        "verdict": [line.model_dump() for line in report.verdict if line.state != "passed"],
    }
