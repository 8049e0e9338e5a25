"""What commands print: tables for people, JSON for machines."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.report import BuildReport, StepReport
from datakit.cli.verdict_lines import as_plain, lines_of
from datakit.core.shown_path import show_path
from datakit.core.visible import raw_stream, visible, visible_json
from datakit.run.build import BuildResult

if TYPE_CHECKING:
    from rich.table import Column

    from datakit.training.trainer import Call

_ENDLESS = 1 << 20
"""Cells of a line that no row fills."""
_GAP = 2
_COMMAND_AT_END = re.compile(
    r"(?P<prose>(?:.*:)?) ?(?P<command>(?:datakit|pip|export) [A-Za-z-].*)", re.DOTALL
)
"""Words that end with a command to copy, or are one."""
_OFFLINE = "No model wrote"
"""How the note on the built-in offline writer begins."""


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(visible_json(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Columns under their heads; `right` lists right-aligned columns.

    On a terminal long cells wrap between words, and heads are bold unless NO_COLOR is set. Anything else gets
    plain text with one line for each row, however long.
    """
    columns = zip(head, *rows, strict=True)
    _print_rows(rows, [_column(cells, right=at in right) for at, cells in enumerate(columns)], head)


def print_wide_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """As `print_table`, of a row's name and many figures: on a terminal those that find no place beside each
    other follow in tables below, each behind the first column."""
    for shown in _side_by_side([head, *rows]):
        figures = [[row[at] for at in shown] for row in rows]
        print_table(
            [head[at] for at in shown], figures, right=[to for to, at in enumerate(shown) if at in right]
        )


def _side_by_side(rows: Sequence[Sequence[str]]) -> list[list[int]]:
    """The columns of each table, as many as the terminal has room for; the first is in all of them."""
    from rich.cells import cell_len

    every = range(1, len(rows[0]))
    if not sys.stdout.isatty():
        return [[0, *every]]
    wide = [max(cell_len(row[at]) for row in rows) + _GAP for at in range(len(rows[0]))]
    room = shutil.get_terminal_size().columns + _GAP - wide[0]
    found: list[list[int]] = [[]]
    for at in every:
        if found[-1] and sum(wide[one] for one in found[-1]) + wide[at] > room:
            found.append([])
        found[-1].append(at)
    return [[0, *shown] for shown in found]


def say(text: str) -> None:
    """A line of prose. On a terminal it is wrapped between words, and a command at its end has a line of its
    own that nothing breaks; anything else gets one line, however long."""
    for line in wrapped(text):
        click.echo(line)


def wrapped(text: str) -> list[str]:
    """The lines of a text on a terminal of this width: further ones stand in a little more than the first."""
    if not sys.stdout.isatty():
        return [text]
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    width = shutil.get_terminal_size().columns
    if cell_len(text) <= width:
        return [text]
    indent = len(text) - len(text.lstrip()) + _GAP
    found = _COMMAND_AT_END.fullmatch(text.strip())
    prose, command = found.group("prose", "command") if found is not None else (text.strip(), "")
    console = Console(width=max(width - indent, 20))
    pieces = [piece.plain.rstrip() for piece in Text(prose).wrap(console, console.width)] if prose else []
    lines = [" " * (indent if at else indent - _GAP) + piece for at, piece in enumerate(pieces)]
    return [*lines, " " * (indent if lines else indent - _GAP) + command] if command else lines


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Indented lines of two columns: words to copy, which no line end breaks, and what they are for."""
    names, texts = zip(*pairs, strict=True)
    _print_rows(pairs, [_column(names, whole=True), _column(texts)], indent=2)


def _column(cells: Sequence[str], *, right: bool = False, whole: bool = False) -> Column:
    """A column of these cells that is never narrower than its longest word (`whole`: than a cell)."""
    from rich.cells import cell_len
    from rich.table import Column

    cell = max(map(cell_len, cells))
    word = max((cell_len(word) for text in cells for word in text.split()), default=0)
    least = cell if whole else word
    return Column(justify="right" if right else "left", min_width=least, no_wrap=cell == least)


def _print_rows(
    rows: Sequence[Sequence[str]], columns: Sequence[Column], head: Sequence[str] = (), indent: int = 0
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    live = sys.stdout.isatty()
    styled = live and not os.environ.get("NO_COLOR")
    console = Console(color_system="auto" if styled else None, file=raw_stream(sys.stdout))
    least = sum((column.min_width or 0) + _GAP for column in columns)  # rich would leave columns out below it
    console.width = max(console.width - indent, least) if live else _ENDLESS
    table = Table(*columns, box=None, padding=(0, _GAP, 0, 0), pad_edge=False, show_header=False)
    for row in (head, *rows) if head else rows:
        style = "bold" if row is head else None
        # As texts, because square brackets are no markup.
        table.add_row(*(Text(visible(cell)) for cell in row), style=style)
    with console.capture() as capture:
        console.print(table, crop=False)  # a terminal breaks what is too long for it
    for line in capture.get().splitlines():
        click.echo(f"{' ' * indent}{line}".rstrip(), file=raw_stream(sys.stdout))


def print_call(call: Call, *, as_json: bool) -> None:
    """The trainer's command, as it would be run."""
    if as_json:
        print_json({"command": call.words, "folder": str(call.folder), "environment": call.settings})
    else:
        click.echo(call.shown())


def print_build(result: BuildResult, *, as_json: bool, quiet: bool) -> None:
    """The account of a build."""
    if as_json:
        cards = [str(path) for path in result.cards]
        kept = {str(path): str(now) for path, now in result.kept.items()}
        outdated = {str(path): why for path, why in result.outdated.items()}
        places = {"build": str(result.folder), "cards": cards, "outdated_cards": outdated, "kept": kept}
        print_json({**places, **_plain(result)})
        return
    print_outdated(result.outdated, err=quiet or result.card_failed)
    for path, now in result.kept.items():  # said in any case: somebody will look for it
        print_kept(path, now, err=quiet)
    if quiet:
        return
    print_table(
        ("step", "in", "added", "out", "rejected", "retry", "cached", "new", "seconds"),
        [_row(step) for step in result.report.steps],
        right=range(1, 9),
    )
    verdict = lines_of(result.report.verdict, result.folder)
    told = any(" offline_texts: " in line for line in verdict)
    for line in (*_tail(result.report, is_told=told), *verdict):
        say(line)
    if result.report.rejected or result.report.not_emitted or result.report.retry:
        click.echo(f"Each with its source line: {show_path(BuildFolder(result.folder).rejects_file)}")
    state = "Nothing has changed; the build stands" if result.report.reused else "Built"
    click.echo(f"{state}: {show_path(result.folder)} ({result.report.seconds:.1f} s)")
    for path in result.cards:
        click.echo(f"Card: {show_path(path)}")


def print_outdated(pages: Mapping[Path, str], *, err: bool = False) -> None:
    """Says which pages are not the card of the build that bears their name."""
    for path, why in pages.items():
        click.echo(f"Card: {show_path(path)}: {why}", err=err)


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
        f"{step.number:>2} {step.title}",
        *(f"{figure:,}" if figure else "·" for figure in figures),
        f"{step.seconds:.1f}",
    )


def _tail(report: BuildReport, *, is_told: bool) -> list[str]:
    """What the table does not say; without the note on the offline writer where the verdict tells it."""
    lines = [
        f"   {step.title} rejected {count:,}: {reason}"
        for step in report.steps
        for reason, count in sorted(step.rejected.items())
    ]
    cost = sum(step.cost_usd for step in report.steps)
    tokens = sum(step.tokens_in + step.tokens_out for step in report.steps)
    if tokens:
        lines.append(f"   {tokens:,} tokens, ${cost:.4f}")
    lines += [f"Note: {note}" for note in report.notes if not (is_told and note.startswith(_OFFLINE))]
    lines += [
        f"Note: {step.title} {step.notes['columns']}" for step in report.steps if "columns" in step.notes
    ]
    warnings = [f"{step.title}: {words}" for step in report.steps for words in step.notes.get("warnings", ())]
    lines += [f"Warning: {warning}" for warning in (*warnings, *report.warnings)]
    return lines


def page_width() -> int:
    """Columns of the terminal; 100 where there is none."""
    return min(shutil.get_terminal_size((100, 24)).columns, 120)
