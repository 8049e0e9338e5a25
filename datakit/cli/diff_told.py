"""What differs between two builds, as lines for a terminal: at most a screenful, unless more is asked for."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from datakit.core.visible import raw_stream, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from datakit.cards.chat_changes import LengthShift, TextChange
    from datakit.cards.diff import ClassShare, Diff, Moved, Some

_ROWS = (12, 8, 6, 5, 4, 3, 2, 1)
"""How many lines of each kind are tried until all fit the screen."""
_PIPE = 80, 40
"""Columns and lines where nobody says how large the screen is."""
_AROUND = 24
"""Characters of a text that are shown beside a change."""
_STYLES = {"=": "", "-": "red strike", "+": "green"}

T = TypeVar("T")
Item = tuple[int, "Text"]
"""A line, and by how much it and what it is wrapped to stand in."""


def print_diff(diff: Diff, most: int | None = None, *, is_all: bool = False) -> None:
    """Prints what differs: `most` lines of each kind, or as many as a screen holds."""
    from rich.console import Console

    live = sys.stdout.isatty()
    styled = live and not os.environ.get("NO_COLOR")
    width, height = shutil.get_terminal_size(_PIPE)
    console = Console(color_system="auto" if styled else None, file=raw_stream(sys.stdout))
    room = width if live else 1 << 20
    if is_all or most is not None:
        lines = _lines(_items(diff, None if is_all else most, None if is_all else most), room, console)
    else:
        for rows in _ROWS:
            lines = _lines(_items(diff, rows, max(1, rows // 3)), room, console)
            if len(lines) < height:
                break
    for line in lines:
        click.echo(line, file=raw_stream(sys.stdout))


def _lines(items: Sequence[Item], width: int, console: Console) -> list[str]:
    """The items wrapped at the width, as the terminal takes them."""
    lines = []
    for indent, text in items:
        for at, part in enumerate(text.wrap(console, max(width - indent - 2, 20))):
            part.rstrip()
            with console.capture() as capture:
                console.print(part, end="", soft_wrap=True)
            lines.append(" " * (indent + (2 if at else 0)) + capture.get())
    return lines


def _items(diff: Diff, most: int | None, texts: int | None) -> list[Item]:
    """Everything that is told, what is worst first; `most` of each kind, and so many `texts`."""
    from datakit.cards.diff_sections import record_line, score_line

    told = _Told(most)
    told.group("Labels that moved", diff.labels, _move)
    told.line(record_line(diff))
    for word, some in (("added", diff.added), ("removed", diff.removed)):
        if some.count:
            told.line(f"{word}: {_ids(some)}", 2)
    told.group("Recipe, files and sources", diff.settings, lambda text: text)
    for word, columns in (("added", diff.columns_added), ("removed", diff.columns_removed)):
        if columns:
            told.line(f"Columns {word}: {', '.join(columns)}")
    told.group("Columns that differ", list(diff.columns.items()), _column)
    told.group("Records in another part", diff.splits, _move)
    told.texts(diff.texts, texts)
    told.group("Rows of a class in training", diff.classes, _class)
    told.group("Lengths in training, characters (a prompt with its system text)", diff.lengths, _length)
    told.group("Scores, with 95% intervals", diff.scores, score_line)
    if diff.same:
        told.line("Both hold the same records and chats.")
    if told.is_cut:
        told.line("Not all is shown: --all, or --limit N of each kind.")
    return told.items


class _Told:
    """Lines one after the other, of each kind at most so many."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        self.items: list[Item] = []
        self.is_cut = False

    def line(self, text: str, indent: int = 0, style: str = "") -> None:
        from rich.text import Text

        self.items.append((indent, Text(visible(text), style=style)))

    def group(self, title: str, rows: Sequence[T], shown: Callable[[T], str]) -> None:
        """A heading, and a line for each of the first rows."""
        if not rows:
            return
        chosen = rows[: self.most]
        self.line(f"{title}{self._of(len(chosen), len(rows))}:", style="bold")
        for row in chosen:
            self.line(shown(row), 2)

    def texts(self, changes: Sequence[TextChange], most: int | None) -> None:
        """Prompts and answers, each as one text with marks on what went and what came."""
        from rich.text import Text

        from datakit.cards.diff_sections import text_title
        from datakit.core.word_diff import as_plain, shortened

        for what in ("answer", "prompt"):
            own = [change for change in changes if change.what == what]
            chosen = own[:most]
            if chosen:
                self.line(
                    f"{what.title()}s that changed most{self._of(len(chosen), len(own))}:", style="bold"
                )
            for change in chosen:
                self.line(text_title(change), 2)
                text = Text()
                for sign, piece in shortened(change.pieces, _AROUND):
                    line = visible(re.sub(r"\s+", " ", piece))
                    text.append(as_plain([(sign, line)]), style=_STYLES[sign])
                self.items.append((4, text))

    def _of(self, shown: int, there: int) -> str:
        if shown == there:
            return ""
        self.is_cut = True
        return f", {shown:,} of {there:,}"


def _move(move: Moved) -> str:
    some = f"{move.count:,} records, such as " if move.count > 1 else ""
    return f"{move.before or 'none'} → {move.after or 'none'}: {some}{', '.join(move.ids[:3])}"


def _column(column: tuple[str, Some]) -> str:
    name, some = column
    return f"{name} in {some.count:,}: {_ids(some)}"


def _class(share: ClassShare) -> str:
    return (
        f"{share.label}: {share.before:,} → {share.after:,} "
        f"({100 * share.share_before:.1f}% → {100 * share.share_after:.1f}%)"
    )


def _length(shift: LengthShift) -> str:
    pairs = [
        (word, getattr(shift.before, word), getattr(shift.after, word))
        for word in ("mean", "median", "p95", "longest")
    ]
    return f"{shift.what}: " + ", ".join(f"{word} {old:,} → {new:,}" for word, old, new in pairs)


def _ids(some: Some) -> str:
    return ", ".join(some.ids[:3]) + (", …" if some.count > 3 else "")
