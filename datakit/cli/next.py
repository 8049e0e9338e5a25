"""`datakit next`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakit.cli.build_path import BuildPath
from datakit.cli.page_options import page_options
from datakit.core.counted import counted
from datakit.core.shown_path import show_path

if TYPE_CHECKING:
    from datakit.next_records import NextRecords
    from datakit.reviewing.records import PageRecords

EPILOG = """\b
Examples:
  datakit next build/ecom_loop
  datakit next build/ecom_loop --n 100 -o to_label.html
  datakit next build/ecom_loop --predictions unlabelled.predictions.jsonl
  datakit next build/ecom_loop --serve
  datakit next build/ecom_loop --export label-studio to_label

\b
The page is that of `datakit review`. Its overrides.jsonl comes back with `datakit review BUILD --import
FILE`; curate.overrides gives the records their labels in the next build."""
_COUNTED = {
    "voices_disagree": "about which voices disagree",
    "uncertain": "of uncertain label",
    "unlike_labelled": "unlike anything labelled",
    "stands_for": "that stand for others",
}


@click.command(epilog=EPILOG)
@click.argument("build", type=BuildPath())
@click.option(
    "--n", "-n", "count", type=click.IntRange(1), default=50, show_default=True, help="Records to propose."
)
@click.option(
    "--predictions",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What a model answered about records without a label: a voice beside the proxy.",
)
@click.option("--task", metavar="NAME", help="The task that is meant, of a build of several.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="PATH", help="Page, or folder of the page."
)
@page_options(
    into="File of decisions (with --serve).",
    export="Write them for label-studio or argilla into a new FOLDER instead.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(
    build: Path,
    count: int,
    predictions: tuple[Path, ...],
    task: str | None,
    out: Path | None,
    serve: bool,
    port: int | None,
    into: Path | None,
    exported: tuple[str, Path] | None,
    as_json: bool,
) -> int:
    """Propose the records of BUILD without a label that are worth a person's time, as a page to label them.

    Those whose labels say most about the errors that are left come first: of uncertain label, and like many
    others. No two of a kind are proposed before every kind is. The same build, files and seed give the same.
    """
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.cli.review import afterwards, overrides_file, serve_page, unread
    from datakit.cli.tables import print_json
    from datakit.next_records import next_records

    found = next_records(BuildFolder.open(build), count, predicted=predictions, task=task)
    records = found.page()
    target = into or overrides_file(found.build)
    notes = [*records.edits, *found.notes, *filter(None, [unread(found.build, target)])]
    for note in notes:
        click.echo(f"Note: {note}", err=True)
    if serve and records.count and exported is None:
        return serve_page(records, build, out, port, into, kind="next")
    account: dict[str, Any] = {
        "build": str(build),
        "labelled": found.labelled,
        "unlabelled": found.unlabelled,
        "records": [one.row() for one in found.proposals],
        **_written(records, build, out, exported, notes),
        "notes": notes,
    }
    if as_json:
        print_json(account)
    else:
        _tell(found, account)
        if records.count:
            click.echo(afterwards(build, task, is_page=exported is None))
    return 0


def _written(
    records: PageRecords, build: Path, out: Path | None, exported: tuple[str, Path] | None, notes: list[str]
) -> dict[str, Any]:
    """What was written for people to decide in, and where."""
    from datakit.cli.review import export_to, write

    if not records.count:
        return {"page": None}
    if exported is None:
        return {"page": str(write(records, build, out, kind="next"))}
    notes += export_to(records, *exported)
    return {"tool": exported[0], "folder": str(exported[1])}


def _tell(found: NextRecords, account: dict[str, Any]) -> None:
    times = Counter(why for one in found.proposals for why in one.why)
    place = account.get("page") or account.get("folder")
    if place is None:
        click.echo(f"None of {counted(found.unlabelled, 'record')} without a label is to be proposed.")
        return
    of = f"{len(found.proposals):,} of {counted(found.unlabelled, 'record')} without a label"
    click.echo(f"{of}: {show_path(Path(place))}")
    for why, words in _COUNTED.items():
        if times[why]:
            click.echo(f"  {times[why]:>5,} {words}")
