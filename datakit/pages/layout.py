"""A card laid out as Markdown and as one HTML page; everything that comes from data is escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from datakit.core.wording import speaking, t
from datakit.pages import charts
from datakit.pages.blocks import Card, Cell, Code

MOST_GROUPS = 60
"""Records (or pairs) of a gallery in Markdown; the page has all."""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_MARKS = re.compile(r"([\\`*\[\]|~#$]|(?<![^\W_])_|_(?![^\W_]))")
"""What Markdown may take for a mark; an underline within a word is none."""
_LINE_START = re.compile(r"^(?:([+=-])|(\d+)([.)])(?=\s|$))")


def render_markdown(card: Card) -> str:
    """The card as Markdown with a YAML head."""
    template = _environment(autoescape=False).get_template("page.md.j2")
    with speaking(card.language):
        text = template.render(card=card, most_groups=MOST_GROUPS)
    return text.strip() + "\n"


def render_html(card: Card) -> str:
    """The card as one page: nothing is loaded from elsewhere, and no script runs but the page's own.

    A picture that stands in several places is in the file once.
    """
    script = (Path(__file__).parent / "page.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = _environment(autoescape=True).get_template("page.html.j2")
    policy = f"{_POLICY}; script-src 'sha256-{digest}'"
    with speaking(card.language):
        text = template.render(card=card, script=Markup(script), policy=policy, source=_Sources().attributes)
    return text.strip() + "\n"


@dataclass
class _Sources:
    """Where the pictures of a page are."""

    places: dict[str, str] = field(default_factory=dict)

    def attributes(self, uri: str) -> Markup:
        """`src` of an <img> where a picture comes first; later its place, from which the script takes it."""
        if uri in self.places:
            return Markup('data-same="{}"').format(self.places[uri])
        self.places[uri] = f"picture-{len(self.places) + 1}"
        return Markup('src="{}" id="{}"').format(uri, self.places[uri])


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
    environment.globals["t"] = t
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
