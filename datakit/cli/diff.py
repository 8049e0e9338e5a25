"""`datakit diff`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from datakit.cards.diff import Diff, Moved

EPILOG = """\b
Examples:
  datakit diff build/ecom_v2 build/ecom_v3
  datakit diff /backup/build/ecom_v3 build/ecom_v3 && echo the same
  datakit diff build/ecom_v2 build/ecom_v3 --json | jq .labels

\b
Exit code 0: both hold the same records and chats. 1: they differ."""
MOST_ROWS = 12


@click.command(epilog=EPILOG)
@click.argument("before", metavar="BUILD_A", type=click.Path(path_type=Path))
@click.argument("after", metavar="BUILD_B", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON on stdout.")
def command(before: Path, after: Path, as_json: bool) -> int:
    """Say what differs between BUILD_A and BUILD_B: settings, records, labels, splits, classes.

    Records are joined by id. Columns are compared value by value, pictures by name, chats as they were
    emitted; places in sources are not.
    """
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.cards.diff import diff
    from datakit.cli.tables import print_json
    from datakit.core.errors import Exit

    found = diff(BuildFolder.open(before), BuildFolder.open(after))
    if as_json:
        print_json(found.model_dump())
    else:
        _print(found)
    return int(Exit.FINE if found.same else Exit.FAILED)


def _print(found: Diff) -> None:
    from datakit.cli.tables import print_table

    names = (found.before, found.after) if found.before != found.after else ("before", "after")
    click.echo("Settings: " + ("the same" if not found.settings else ""))
    for change in found.settings:
        click.echo(f"  {change}")
    same = found.records_before - found.removed.count - found.changed.count
    click.echo(
        f"Records: {found.records_before:,} → {found.records_after:,} ({found.added.count:,} added, "
        f"{found.removed.count:,} removed, {found.changed.count:,} changed, {same:,} the same)"
    )
    for word, some in (("added", found.added), ("removed", found.removed)):
        if some.count:
            click.echo(f"  {word}: {_ids(some.ids, some.count)}")
    for word, columns in (("added", found.columns_added), ("removed", found.columns_removed)):
        if columns:
            click.echo(f"  columns {word}: {', '.join(columns)}")
    if found.columns:
        click.echo()
        rows = [(name, f"{some.count:,}", _ids(some.ids, some.count)) for name, some in found.columns.items()]
        print_table(("column", "records changed", "such as"), rows, right=(1,))
    _print_moves("label", found.labels)
    _print_moves("part", found.splits)
    if found.classes:
        click.echo()
        classes = [
            (
                one.label,
                f"{one.before:,}",
                f"{one.after:,}",
                f"{100 * one.share_before:.1f}%",
                f"{100 * one.share_after:.1f}%",
            )
            for one in found.classes[:MOST_ROWS]
        ]
        head = ("class, rows in training", *names, "share", "share")
        print_table(head, classes, right=(1, 2, 3, 4))
        if len(found.classes) > MOST_ROWS:
            click.echo(f"and {len(found.classes) - MOST_ROWS} more classes, see --json")
    if found.same:
        click.echo("Both hold the same records and chats.")


def _print_moves(what: str, moves: list[Moved]) -> None:
    from datakit.cli.tables import print_table

    if not moves:
        return
    click.echo()
    rows = [
        (move.before or "none", move.after or "none", f"{move.count:,}", _ids(move.ids, move.count))
        for move in moves[:MOST_ROWS]
    ]
    print_table((f"{what} before", "after", "records", "such as"), rows, right=(2,))
    if len(moves) > MOST_ROWS:
        click.echo(f"and {len(moves) - MOST_ROWS} more moves, see --json")


def _ids(ids: list[str], count: int) -> str:
    return ", ".join(ids[:3]) + (", …" if count > 3 else "")
