"""A card laid out as Markdown and as one HTML page; everything that comes from data is escaped."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from datakit.pages import charts
from datakit.pages.blocks import Card, Cell, Code

_MARKS = re.compile(r"([\\`*\[\]|~#$]|(?<![^\W_])_|_(?![^\W_]))")
"""What Markdown may take for a mark; an underline within a word is none."""
_LINE_START = re.compile(r"^(?:([+=-])|(\d+)([.)])(?=\s|$))")


def render_markdown(card: Card) -> str:
    """The card as Markdown with a YAML head."""
    text = _environment(autoescape=False).get_template("page.md.j2").render(card=card)
    return text.strip() + "\n"


def render_html(card: Card) -> str:
    """The card as one page: no script, nothing loaded from elsewhere."""
    return _environment(autoescape=True).get_template("page.html.j2").render(card=card).strip() + "\n"


@cache
def _environment(*, autoescape: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=autoescape,
    )
    filters = {
        "md": markdown_text,
        "md_cell": markdown_cell,
        "fence": fence,
        "cell": _html_cell,
        "plot": _plot,
    }
    environment.filters.update(filters)
    return environment


def markdown_text(text: str) -> str:
    """`text` on one line, shown as it is: no character of it is taken for Markdown or HTML."""
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _MARKS.sub(r"\\\1", line)
    return _LINE_START.sub(lambda match: f"\\{match[1]}" if match[1] else f"{match[2]}\\{match[3]}", line)


def markdown_cell(cell: Cell) -> str:
    """A cell of a Markdown table."""
    if isinstance(cell, (int, float)):
        return _words(cell)
    if not isinstance(cell, Code):
        return markdown_text(_words(cell))
    text = " ".join(cell.text.split())
    if not re.search(r"[`|\\]", text):
        return f"`{text}`" if text else ""
    escaped = re.sub(r"[^\w ]", lambda mark: f"&#{ord(mark.group())};", text)
    return f"<code>{escaped}</code>"


def fence(text: str, language: str = "") -> str:
    """`text` as a code block of Markdown that nothing in it can close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    word = re.sub(r"[^\w+-]", "", language)  # more would end the line, or the block
    return f"{marks}{word}\n{text}\n{marks}"


def _html_cell(cell: Cell) -> str:
    if isinstance(cell, Code):
        words = Markup(" ").join(Markup("<span>{}</span>").format(word) for word in cell.text.split(" "))
        return Markup("<code>{}</code>").format(words) if cell.text else ""
    return _words(cell)


def _words(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:,}" if isinstance(cell, (int, float)) else str(cell)


def _plot(svg: str, name: str) -> Markup:
    return Markup(charts.in_page(svg, name))  # matplotlib escapes the texts in its SVG
