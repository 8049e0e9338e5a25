"""Pictures of many records as one drawing, for readers of Markdown: a file beside the card, as plots are."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from datakit.cards.pictures import Picture
from datakit.pages import charts
from datakit.pages.blocks import Chart, Tile

MOST = 60
_ACROSS = 5
_CELL, _GAP, _LINE = 180, 14, 18
_FONT = "font-family='system-ui, sans-serif' font-size='12'"


def sheet(
    name: str, alt: str, tiles: Sequence[tuple[Tile, Picture | None]], across: int = _ACROSS
) -> Chart | None:
    """The first pictures of the records with class and id below each; None where none can be read."""
    rows: list[str] = []
    top, tallest, column = _GAP, 0, 0
    for tile, picture in tiles[:MOST]:
        if picture is None or not picture.small:
            continue
        uri, (width, height) = picture.small, picture.small_size
        left = _GAP + column * (_CELL + _GAP)
        rows.append(f"<image x='{left}' y='{top}' width='{width}' height='{height}' xlink:href='{uri}'/>")
        for line, text in enumerate((tile.label, tile.id), 1):
            place = top + height + line * _LINE - 4
            words = escape(charts.shorten(text, 26))
            rows.append(f"<text x='{left}' y='{place}' {_FONT} fill='{charts.INK}'>{words}</text>")
        tallest, column = max(tallest, height), column + 1
        if column == across:
            top, tallest, column = top + tallest + 2 * _LINE + _GAP, 0, 0
    if not rows:
        return None
    high = top + (tallest + 2 * _LINE + _GAP if column else 0)
    wide = _GAP + across * (_CELL + _GAP)
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' "
        f"viewBox='0 0 {wide} {high}' width='{wide}' height='{high}'>\n"
        f"<rect width='{wide}' height='{high}' fill='{charts.PAPER}'/>\n"
    )
    return Chart(name, alt, head + "\n".join(rows) + "\n</svg>\n")
