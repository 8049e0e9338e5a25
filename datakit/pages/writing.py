"""The files of a page: Markdown with its plots beside it, and one HTML page. What people edit is kept."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

from datakit.core import croissant
from datakit.core.language import Language
from datakit.core.regular_files import read_regular_text
from datakit.core.replacing import is_untouched, seal, set_aside, unsealed
from datakit.core.visible import visible
from datakit.core.wording import later, speaking, t
from datakit.pages.blocks import Card
from datakit.pages.layout import render_html, render_markdown

_FIRST = "<code>0.1.0</code>", "| datakit | `0.1.0` |"
"""Stands in every card of datakit 0.1.0, which had no seal."""


_OUTDATED = later("Not of the present build.")
_WHY = later("The build was made again without a card: this one describes an earlier build.")
_CHINESE = '<html lang="zh'
"""Stands in a page in Chinese; a page of Markdown has the language of the HTML beside it."""
Kept = Callable[[Path, Path], None]
"""Is told of a file that somebody had made or edited: where it stood, and where it lies now."""


def write_pages(card: Card, folder: Path, kept: Kept | None = None) -> list[Path]:
    """The files written: `<stem>.md`, `<stem>.html`, `<stem>/<plot>.svg` and, of a card that has one,
    `<stem>/croissant.json`, each whole or not at all.

    Files in their places that are not as datakit wrote them are set aside first; `kept` is told of each,
    or a warning is raised.
    """
    texts = {f"{card.stem}.md": render_markdown(card), f"{card.stem}.html": render_html(card)}
    texts |= {f"{card.stem}/{chart.name}.svg": chart.svg for chart in card.charts}
    texts = {name: seal(visible(text)) for name, text in texts.items()}
    if card.croissant:  # JSON has no place for a seal
        texts[f"{card.stem}/{croissant.FILE}"] = card.croissant
    for name, text in texts.items():
        _put(folder / name, text, kept)
    for old in (folder / card.stem).glob("*.svg"):
        if f"{card.stem}/{old.name}" not in texts and is_untouched(old):
            old.unlink()  # a plot of an earlier build that this one does not have
    return [folder / name for name in texts]


def write_page(card: Card, path: Path, kept: Kept | None = None) -> None:
    """Writes the card as one HTML page; a file in its place is treated as by `write_pages`."""
    _put(path, seal(visible(render_html(card))), kept)


def _put(path: Path, text: str, kept: Kept | None) -> None:
    """Writes a text as it is, sealed before where it has a seal."""
    if os.path.lexists(path) and not _is_replaceable(path, text):
        (kept or _warn)(path, set_aside(path))
    _write(path, text)


def mark_outdated(page: Path) -> None:
    """Has a page (Markdown or HTML) say at its head that it is not of the present build.

    One that says so already, or that somebody edited, stays as it is.
    """
    if not is_untouched(page):
        return
    text = read_regular_text(page)
    head, found, rest = text.partition("</h1>\n") if page.suffix == ".html" else _after_title(text)
    with speaking(_language_of(page)):
        what, why = t(_OUTDATED), t(_WHY)
    note = f"> **{what}** {why}\n\n"
    if page.suffix == ".html":
        note = f'<p class="notice" role="note"><strong>{what}</strong> {why}</p>\n'
    if found and not rest.startswith(note):
        _write(page, seal(unsealed(head + found + note + rest)))


def _language_of(page: Path) -> Language:
    """The language that a page, or the HTML beside it, is written in."""
    try:
        return "zh" if _CHINESE in read_regular_text(page.with_suffix(".html"))[:500] else "en"
    except (OSError, UnicodeDecodeError):
        return "en"


def _after_title(text: str) -> tuple[str, str, str]:
    """What stands before the end of a page's title, the end, and what follows."""
    start = text.find("\n# ") if not text.startswith("# ") else 0
    end = text.find("\n\n", start + 1)
    return (text, "", "") if min(start, end) < 0 else (text[:end], "\n\n", text[end + 2 :])


def _warn(path: Path, now: Path) -> None:
    warnings.warn(f"{path} was not as datakit wrote it: it is kept as {now}", stacklevel=3)


def _is_replaceable(path: Path, new: str) -> bool:
    try:
        old = read_regular_text(path)
    except (OSError, UnicodeDecodeError):
        return False
    if old == new or is_untouched(path):
        return True
    if path.suffix == ".json":
        return croissant.is_own(old)
    if path.suffix == ".svg":  # as 0.1.0 drew them; another program's plots keep their metadata
        return 'id="figure_1"' in old and "<metadata" not in old and "<!--" not in old
    return any(sign in old for sign in _FIRST) and "<!-- written by datakit" not in old


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(text, encoding="utf-8", newline="\n")
    os.replace(draft, path)
