"""`datakit review`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakit.cli.build_path import BuildPath
from datakit.cli.page_options import page_options
from datakit.core.counted import counted
from datakit.core.shown_path import plain_path, show_path

if TYPE_CHECKING:
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.artifacts.overrides import OverrideLine
    from datakit.reviewing.chosen import Choice
    from datakit.reviewing.decisions_file import DecisionsFile
    from datakit.reviewing.exchange import Imported
    from datakit.reviewing.records import PageRecords

EPILOG = """\b
Examples:
  datakit review build/ecom_v3 --suspects
  datakit review build/ecom_v3 --conflicts --low-ocr --poor-pictures --out check.html
  datakit review build/ecom_v3 --finding untested_class --serve
  datakit review build/ecom_v3 --mistakes --predictions build/ecom_v3.kfold/kfold.jsonl
  datakit review build/ecom_v3 --export label-studio to_label
  datakit review build/ecom_v3 --import overrides.jsonl

\b
The page needs no network and no server: it is opened as a file, keeps its state in the browser, and gives
overrides.jsonl, which curate.overrides applies in the next build."""


_NAMED = 10


@click.command(epilog=EPILOG)
@click.argument("build", type=BuildPath())
@click.option("--suspects", is_flag=True, help="Records whose label is doubted, and their clusters.")
@click.option("--conflicts", is_flag=True, help="Look-alikes with different labels.")
@click.option("--low-ocr", is_flag=True, help="Records whose text OCR could hardly read.")
@click.option("--poor-pictures", is_flag=True, help="Records with dark, blurry, blank or framed pictures.")
@click.option("--mistakes", is_flag=True, help="Records that the model answered with another label.")
@click.option(
    "--predictions",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Answers of a model to show; those in the build's runs and out of fold if not given.",
)
@click.option(
    "--finding", "findings", multiple=True, metavar="KIND", help="Records of a kind of the verdict."
)
@click.option("--ids", type=click.Path(path_type=Path), metavar="FILE", help="Records listed in FILE.")
@click.option("--all", "everything", is_flag=True, help="All records, which is what no choice means too.")
@click.option("--task", metavar="NAME", help="The task that is meant, of a build of several.")
@click.option("--out", type=click.Path(path_type=Path), metavar="PATH", help="Page, or folder of the page.")
@page_options(
    into="File of decisions (--serve, --import).",
    export="Write the review for label-studio or argilla into a new FOLDER instead.",
)
@click.option(
    "--import",
    "imported",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Add the decisions of FILE (of Label Studio, Argilla, or the page) to those of the project.",
)
@click.option("--drafts", is_flag=True, help="With --import: take answers too that may be drafts.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(
    build: Path,
    suspects: bool,
    conflicts: bool,
    low_ocr: bool,
    poor_pictures: bool,
    mistakes: bool,
    predictions: tuple[Path, ...],
    findings: tuple[str, ...],
    ids: Path | None,
    everything: bool,
    task: str | None,
    out: Path | None,
    serve: bool,
    port: int | None,
    into: Path | None,
    exported: tuple[str, Path] | None,
    imported: Path | None,
    drafts: bool,
    as_json: bool,
) -> int:
    """Write a page on which people accept, relabel and drop records of BUILD.

    Up to 2,000 records are one HTML file, more a folder. Options are joined: a record is shown that one of
    them names.
    """
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.artifacts.tasks import of_task
    from datakit.cli.tables import print_json
    from datakit.core.errors import UserError
    from datakit.reviewing.chosen import Choice, chosen
    from datakit.reviewing.exchange import read_answers
    from datakit.reviewing.records import PageRecords

    folder = of_task(BuildFolder.open(build), task)
    if imported is not None:
        records = PageRecords(folder, chosen(folder, Choice())[0])
        return _import(records, read_answers(imported, records, drafts=drafts), into, as_json=as_json)
    if drafts:
        raise UserError("--drafts says what --import takes", remedy="Name the file with --import.")
    named = Choice(suspects, conflicts, low_ocr, mistakes, findings, ids, poor_pictures)
    choice = Choice() if everything else named
    records, notes = looked_for(folder, choice, predictions)
    for note in notes:
        click.echo(f"Note: {note}", err=True)
    account: dict[str, Any] = {"build": str(build), "records": records.count, "notes": notes}
    page = None
    if exported is not None and records.count:
        notes += export_to(records, *exported)
        account |= {"tool": exported[0], "folder": str(exported[1])}
    elif serve and records.count:
        return serve_page(records, build, out, port, into)
    else:
        page = write(records, build, out) if records.count else None
        account["page"] = str(page) if page else None
    if as_json:
        print_json(account)
    elif not records.count:
        words = "No record is to be reviewed."
        if "rejected" in findings:
            words += " Rejected records are not in the build: `datakit verdict` lists them."
        click.echo(words)
    elif exported is not None:
        click.echo(f"{counted(records.count, 'record')} for {exported[0]}: {show_path(exported[1])}")
        click.echo(afterwards(build, task, is_page=False))
    elif page is not None:
        click.echo(f"{counted(records.count, 'record')} to review: {show_path(page)}")
        click.echo(afterwards(build, task))
    return 0


def afterwards(build: Path, task: str | None, *, is_page: bool = True) -> str:
    """What is to be done with a page, or with the files for another tool, in one line."""
    from datakit.core.scripts import shell_words

    of_task = ["--task", task] if task else []
    command = shell_words(["datakit", "review", show_path(build), *of_task, "--import", "FILE"])
    what = (
        "Open it in a browser, then add the file that it saves" if is_page else "Then add what was answered"
    )
    return f"{what}: {command}"


def looked_for(
    build: BuildFolder, choice: Choice, predictions: Sequence[Path]
) -> tuple[PageRecords, list[str]]:
    """The records that a choice names with what models answered, and what is to be told of them."""
    from datakit.reviewing.answered import answers
    from datakit.reviewing.chosen import chosen
    from datakit.reviewing.records import PageRecords

    answered = answers(build, predictions)
    frame, notes = chosen(build, choice, answered.labels(build))
    records = PageRecords(build, frame, answered)
    return records, [*records.edits, *answered.notes, *notes]


def export_to(records: PageRecords, tool: str, folder: Path) -> list[str]:
    """Writes the review for another tool; tells what it lacks."""
    from datakit.reviewing.exchange import export

    lacks = export(records, tool, folder)
    for note in lacks:
        click.echo(f"Note: {note}", err=True)
    return lacks


def serve_page(
    records: PageRecords,
    build: Path,
    out: Path | None,
    port: int | None,
    into: Path | None,
    *,
    kind: str = "review",
) -> int:
    """Shows the review from a server on this machine, which writes the file of decisions, until Ctrl-C."""
    from datakit.artifacts.odd_overrides import oddities
    from datakit.core.clock import now
    from datakit.reviewing.decisions_file import DecisionsFile
    from datakit.reviewing.server import Review, Server

    decisions = DecisionsFile(into or overrides_file(records.build), records.seen_by_id)
    lines = decisions.lines()  # a file that cannot be read is told before anybody decides anything
    page = write(records, build, out, most=0, kind=kind)
    with Server(Review(page.parent, decisions), port) as server:
        click.echo(f"Review {counted(records.count, 'record')} at {server.address}")
        click.echo(f"Decisions go into {show_path(decisions.path)}. Ctrl-C ends it.")
        notes = [*oddities(lines, decisions.path.name, now()), *_met(decisions, lines, records)]
        if words := unread(records.build, decisions.path):
            notes.append(words)
        for note in notes:
            click.echo(f"Note: {note}", err=True)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            click.echo(f"{counted(len(decisions.lines()), 'decision')} in {show_path(decisions.path)}")
    return 0


def _met(target: DecisionsFile, lines: Sequence[OverrideLine], records: PageRecords) -> list[str]:
    """What of a file of decisions the build will not follow."""
    from datakit.artifacts.originals import originals
    from datakit.reviewing.exchange import meeting
    from datakit.reviewing.records import PageRecords

    every = PageRecords(records.build, originals(records.build).collect()) if lines else records
    return meeting(lines, every, target.path)


def _import(records: PageRecords, found: Imported, into: Path | None, *, as_json: bool) -> int:
    from datakit.cli.tables import print_json
    from datakit.reviewing.decisions_file import DecisionsFile
    from datakit.reviewing.exchange import disagreeing

    target = DecisionsFile(into or overrides_file(records.build), records.seen_by_id)
    added = target.add(found.decisions)
    notes = [*records.edits, *found.notes, *disagreeing(target.lines(), records, target.path)]
    words = unread(records.build, target.path)
    if as_json:
        account = {"file": str(target.path), "new": added.new, "there_before": added.before}
        account |= {"doubled": added.doubled, "note": words, "unanswered": found.unanswered}
        print_json({**account, "left_out": found.left_out, "notes": notes})
        return 0
    for note in notes:
        click.echo(f"Note: {note}", err=True)
    for answer in found.left_out[:_NAMED]:
        click.echo(f"Left out: {answer}", err=True)
    if len(found.left_out) > _NAMED:
        click.echo(f"Left out: {len(found.left_out) - _NAMED:,} more (--json names all)", err=True)
    doubled = f"; {added.doubled:,} said the same again" if added.doubled else ""
    before = f"{added.before:,} stood there before{doubled}."
    click.echo(f"{counted(added.new, 'decision')} added to {show_path(target.path)}; {before}")
    if words:
        click.echo(f"Note: {words}", err=True)
    return 0


def overrides_file(build: BuildFolder) -> Path:
    """Where decisions belong: the file that the build's recipe reads, else overrides/NAME.jsonl of its
    project."""
    from datakit.opened_build import recipe_of

    whole = build.whole or build
    task = build.path.name if build.whole is not None else None
    recipe = recipe_of(whole)
    for step in recipe.steps if recipe is not None else ():
        if step.name == "curate.overrides" and step.task in ("", task):
            assert recipe is not None  # it has this step
            return plain_path(recipe.path.parent / str(step.transform.model_dump()["path"]))
    project = recipe.project if recipe is not None else whole.path.absolute().parent.parent
    return project / "overrides" / f"{_name(build)}.jsonl"


def unread(build: BuildFolder, file: Path) -> str:
    """What is to be done for the next build to read the decisions in `file`; "" where its recipe does."""
    from datakit.opened_build import recipe_of

    whole = build.whole or build
    task = build.path.name if build.whole is not None else ""
    recipe = recipe_of(whole)
    if recipe is None:
        gone = f"The recipe of {show_path(whole.path)} is gone, or does not check"
        return f"{gone}, so nobody knows whether it reads them."
    steps = [step for step in recipe.steps if step.name == "curate.overrides" and step.task in ("", task)]
    paths = [recipe.path.parent / str(step.transform.model_dump()["path"]) for step in steps]
    if file.resolve() in [path.resolve() for path in paths]:
        return ""
    shown = Path(os.path.relpath(file.absolute(), recipe.path.parent)).as_posix()
    block = f" in the block of the task {task}" if task else ""
    return (
        f"No step of {show_path(recipe.path)} reads them. Add one{block}, behind guard.label: "
        f"`- curate.overrides: {{path: {shown}}}`"
    )


def _name(build: BuildFolder) -> str:
    """The build's name, `<build>.<task>` for a task of one that has several."""
    return build.path.name if build.whole is None else f"{build.whole.path.name}.{build.path.name}"


def write(
    records: PageRecords, build: Path, out: Path | None, most: int | None = None, kind: str = "review"
) -> Path:
    """The page to open: written beside the build when no place is named. Of more than `most` records it is in
    a folder. Raises UserError for a place that holds something else."""
    from datakit.core.errors import UserError
    from datakit.reviewing.writing import ONE_FILE_MOST, is_ours, write_folder, write_page

    is_one = records.count <= (ONE_FILE_MOST if most is None else most)
    usual = build.with_name(f"{_name(records.build)}-{kind}" + (".html" if is_one else ""))
    target = (out or usual).absolute()
    shown = show_path(target)
    if is_one:
        if target.is_dir():
            raise UserError(f"{shown} is a folder", remedy="Name a file, such as review.html.")
        write_page(records, target, _progress)
        return target
    if target.exists() and not is_ours(target):
        raise UserError(f"{shown} is there, and no review", remedy="Name another folder with --out.")
    write_folder(records, target, _progress)
    return target / "index.html"


def _progress(done: int, of: int) -> None:
    if done % 1000 == 0 and of > 1000:
        click.echo(f"{done:,} of {of:,} records", err=True)
