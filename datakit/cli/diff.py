"""`datakit diff`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from datakit.cli.build_path import BuildPath

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
@click.argument("before", metavar="BUILD_A", type=BuildPath())
@click.argument("after", metavar="BUILD_B", type=BuildPath())
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

    differences = diff(BuildFolder.open(before), BuildFolder.open(after))
    if as_json:
        print_json(differences.model_dump())
    else:
        show(differences)
    return int(Exit.FINE if differences.same else Exit.FAILED)


def show(diff: Diff) -> None:
    """Prints what differs."""
    from datakit.cli.tables import print_table

    names = (diff.before, diff.after) if diff.before != diff.after else ("before", "after")
    click.echo("Settings: " + ("the same" if not diff.settings else ""))
    for change in diff.settings:
        click.echo(f"  {change}")
    same = diff.records_before - diff.removed.count - diff.changed.count
    click.echo(
        f"Records: {diff.records_before:,} → {diff.records_after:,} ({diff.added.count:,} added, "
        f"{diff.removed.count:,} removed, {diff.changed.count:,} changed, {same:,} the same)"
    )
    for word, group in (("added", diff.added), ("removed", diff.removed)):
        if group.count:
            click.echo(f"  {word}: {_ids(group.ids, group.count)}")
    for word, columns in (("added", diff.columns_added), ("removed", diff.columns_removed)):
        if columns:
            click.echo(f"  columns {word}: {', '.join(columns)}")
    if diff.columns:
        click.echo()
        rows = [
            (name, f"{group.count:,}", _ids(group.ids, group.count)) for name, group in diff.columns.items()
        ]
        print_table(("column", "records changed", "such as"), rows, right=(1,))
    _print_moves("label", diff.labels)
    _print_moves("part", diff.splits)
    if diff.classes:
        click.echo()
        classes = [
            (
                class_share.label,
                f"{class_share.before:,}",
                f"{class_share.after:,}",
                f"{100 * class_share.share_before:.1f}%",
                f"{100 * class_share.share_after:.1f}%",
            )
            for class_share in diff.classes[:MOST_ROWS]
        ]
        head = ("class, rows in training", *names, "share", "share")
        print_table(head, classes, right=(1, 2, 3, 4))
        if len(diff.classes) > MOST_ROWS:
            click.echo(f"and {len(diff.classes) - MOST_ROWS} more classes, see --json")
    if diff.same:
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
