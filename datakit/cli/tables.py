"""What commands print: tables for people, JSON for machines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.report import BuildReport, StepReport
from datakit.cli.verdict_lines import as_plain, lines_of
from datakit.recipe.yaml_file import show_path
from datakit.run.build import BuildResult


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Columns padded to their width (Chinese characters count two); `right` lists right-aligned columns."""
    widths = [max(cell_width(row[at]) for row in (head, *rows)) for at in range(len(head))]
    for row in (head, *rows):
        cells = [
            " " * (width - cell_width(cell)) + cell
            if at in right
            else cell + " " * (width - cell_width(cell))
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


def cell_width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    import unicodedata

    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def print_build(result: BuildResult, *, as_json: bool, quiet: bool) -> None:
    """The account of a build."""
    if as_json:
        cards = [str(path) for path in result.cards]
        kept = {str(path): str(now) for path, now in result.kept.items()}
        print_json({"build": str(result.folder), "cards": cards, "kept": kept, **_plain(result)})
        return
    for path, now in result.kept.items():  # said in any case: somebody will look for it
        print_kept(path, now, err=quiet)
    if quiet:
        return
    print_table(
        ("step", "in", "added", "out", "rejected", "retry", "cached", "new", "seconds"),
        [_row(step) for step in result.report.steps],
        right=range(1, 9),
    )
    for line in _tail(result.report):
        click.echo(line)
    for line in lines_of(result.report.verdict, result.folder):
        click.echo(line)
    if result.report.rejected or result.report.retry:
        click.echo(f"Each with its source line: {show_path(BuildFolder(result.folder).rejects_file)}")
    state = "Nothing has changed; the build stands" if result.report.reused else "Built"
    click.echo(f"{state}: {show_path(result.folder)} ({result.report.seconds:.1f} s)")
    for path in result.cards:
        click.echo(f"Card: {show_path(path)}")


def print_kept(path: Path, now: Path, *, err: bool = False) -> None:
    """Says where a file or a build's files lie that were not as datakit had written them."""
    what = f"in {show_path(path)}" if now.is_dir() else show_path(path)
    click.echo(f"Kept: what was not as datakit wrote it {what} lies in {show_path(now)}", err=err)


def _plain(result: BuildResult) -> dict[str, Any]:
    return {**result.report.model_dump(), "verdict": as_plain(result.report.verdict, result.folder)}


def _row(step: StepReport) -> tuple[str, ...]:
    figures = (
        step.records_in,
        step.added,
        step.records_out,
        sum(step.rejected.values()),
        step.retry,
        step.cached,
        step.new,
    )
    return (
        f"{step.number:>2} {step.name}",
        *(f"{figure:,}" if figure else "·" for figure in figures),
        f"{step.seconds:.1f}",
    )


def _tail(report: BuildReport) -> list[str]:
    lines = [
        f"   {step.name} rejected {count:,}: {reason}"
        for step in report.steps
        for reason, count in sorted(step.rejected.items())
    ]
    cost = sum(step.cost_usd for step in report.steps)
    tokens = sum(step.tokens_in + step.tokens_out for step in report.steps)
    if tokens:
        lines.append(f"   {tokens:,} tokens, ${cost:.4f}")
    lines += [f"Note: {note}" for note in report.notes]
    told = [f"{step.name}: {words}" for step in report.steps for words in step.notes.get("warnings", ())]
    lines += [f"Warning: {warning}" for warning in (*told, *report.warnings)]
    return lines


def page_width() -> int:
    """Columns of the terminal; 100 where there is none."""
    import shutil

    return min(shutil.get_terminal_size((100, 24)).columns, 120)
