"""`datakit verdict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakit.cli import completing
from datakit.cli.build_path import BuildPath

if TYPE_CHECKING:
    from datakit.artifacts.report import Finding

EPILOG = """\b
Examples:
  datakit verdict build/ecom_v3
  datakit verdict build/ecom_v3 --kind label_conflict
  datakit verdict build/ecom_v3 --kind prompt_shortened --limit 0 --json | jq -r '.records[].id'

\b
`run: {fail_on: [label_conflict, image_leak]}` in a recipe makes a build with such findings exit 1."""

_OUTDATED = "nothing shows that it is of this build; `datakit build` writes it anew"


@click.command(epilog=EPILOG)
@click.argument("build", type=BuildPath())
@click.option(
    "--kind",
    metavar="KIND",
    shell_complete=completing.kinds,
    help="Show the records of one finding, such as label_conflict.",
)
@click.option(
    "--limit", type=click.IntRange(0), default=20, show_default=True, help="Records to show; 0: all."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(build: Path, kind: str | None, limit: int, as_json: bool) -> int:
    """Say what is worse about BUILD than it looks: failed, warned and passed, each with its records."""
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.cards.current import outdated_pages, places
    from datakit.cli.tables import print_json, print_outdated, say
    from datakit.cli.verdict_lines import as_plain, lines_of
    from datakit.verdict import records_of, verdict

    folder = BuildFolder.open(build)
    if kind is None:
        findings = verdict(folder)
        pages = [page for place in places(folder) for page in outdated_pages(folder, place)]
        if as_json:
            cards = dict.fromkeys(map(str, pages), _OUTDATED)
            print_json({"build": str(build), "verdict": as_plain(findings, build), "outdated_cards": cards})
        else:
            for line in lines_of(findings, build, most=None):
                say(line)
            print_outdated(dict.fromkeys(pages, _OUTDATED))
        return 0
    finding, frame = records_of(folder, kind)
    records: list[dict[str, Any]] = []
    if frame is not None and finding.count:
        records = (frame.limit(limit) if limit else frame).collect().to_dicts()
    if as_json:
        print_json({**as_plain([finding], build)[0], "records": records})
    else:
        _show(finding, records, limit)
    return 0


def _show(finding: Finding, records: list[dict[str, Any]], limit: int) -> None:
    from datakit.cli.tables import print_table

    click.echo(f"{finding.kind}: {finding.state}. {finding.statement}: {finding.words}")
    if not records:
        return
    names = [name for name in records[0] if any(record[name] is not None for record in records)]
    print_table(names, [[_cell(record[name]) for name in names] for record in records])
    if limit and len(records) == limit:
        click.echo(f"The first {limit:,}; all: --limit 0")


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(element) for element in value)
    return "" if value is None else str(value).replace("\n", " ")
