"""Plots as SVG: the same bytes for the same figures, text kept as text, colours safe for the colour-blind."""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from datakit.pages.figures import Histogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_INCH = 7.2
INK, PAPER, GRID = "#1f2328", "#ffffff", "#c9ced6"
SERIES = ("#0072b2", "#e69f00", "#009e73")
"""Okabe and Ito's blue, orange and green (jfly.uni-koeln.de/color, 2008)."""
LIMIT = "#d55e00"
"""Their vermilion, for lines that must not be crossed."""
_NAME_WIDTH = 34
"""Longest class name on an axis, in halves of a Chinese character."""
_MATRIX_WIDTH = 26
_FONTS = "'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', 'Helvetica Neue', Arial, sans-serif"
_IN_PAGE = {
    INK: "currentColor",
    PAPER: "none",
    GRID: "var(--grid)",
    LIMIT: "var(--limit)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, 1)},
}
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "datakit",
    "text.parse_math": False,
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "legend.frameon": False,
}


def bars(title: str, names: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], unit: str) -> str:
    """Horizontal bars, the first name on top; several series stand beside each other with a legend."""
    labels = [shorten(name) for name in names]
    left = (0.18 + 0.085 * max((_columns(label) for label in labels), default=1)) / WIDTH_INCH
    height = 1.3 + len(names) * (0.22 + 0.1 * (len(series) - 1)) + 0.25 * (len(series) > 1)
    top = (0.45 + 0.3 * (len(series) > 1)) / height

    def draw(axes: Axes) -> None:
        thick = 0.8 / len(series)
        for number, (label, values) in enumerate(series):
            places = [at + (number - (len(series) - 1) / 2) * thick for at in range(len(names))]
            axes.barh(places, values, height=thick * 0.92, color=SERIES[number], label=label)
        axes.set_yticks(range(len(names)), labels)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlabel(unit)
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        if len(series) > 1:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(series), borderaxespad=0.1)
            axes.set_title(title, pad=26)
        else:
            axes.set_title(title, pad=10)

    return _svg(draw, height, (left, 0.62 / height, 0.97 - left, 1 - 0.62 / height - top))


def columns(
    title: str, shape: Histogram, axis: str, unit: str, limit: tuple[float, str] | None = None
) -> str:
    """A histogram; `limit` draws a line with words at a number."""
    height = 3.1

    def draw(axes: Axes) -> None:
        widths = [right - left for left, right in zip(shape.edges, shape.edges[1:], strict=False)]
        axes.bar(
            shape.edges[:-1],
            shape.counts,
            width=widths,
            align="edge",
            color=SERIES[0],
            edgecolor=PAPER,
            linewidth=0.6,
        )
        axes.set_xlabel(axis)
        axes.set_ylabel(unit)
        axes.grid(axis="y")
        axes.set_title(title, pad=10)
        axes.locator_params(axis="y", integer=True)
        if limit is not None:
            value, words = limit
            axes.axvline(value, color=LIMIT, linewidth=1.6, linestyle="--")
            late = value > (shape.edges[0] + shape.edges[-1]) / 2  # the title stands above the early half
            axes.annotate(
                f" {words} ",
                (value, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3 if late else 0),
                textcoords="offset points",
                ha="right" if late else "left",
                va="bottom" if late else "top",
            )

    return _svg(draw, height, (0.11, 0.2, 0.85, 0.66))


def points(
    title: str, x: Sequence[float], y: Sequence[float], weights: Sequence[int], axes_names: tuple[str, str]
) -> str:
    """Dots whose area grows with their weight."""
    height = 4.2
    most = max(weights)

    def draw(axes: Axes) -> None:
        sizes = [18 + 160 * weight / most for weight in weights]
        axes.scatter(x, y, s=sizes, color=SERIES[0], alpha=0.6, linewidth=0)
        axes.set_xlabel(axes_names[0])
        axes.set_ylabel(axes_names[1])
        axes.set_xlim(0, max(x) * 1.1)
        axes.set_ylim(0, max(y) * 1.1)
        axes.grid()
        axes.set_title(title, pad=10)

    return _svg(draw, height, (0.11, 0.15, 0.85, 0.74))


def matrix(
    title: str, names: Sequence[str], counts: Sequence[Sequence[int]], axes_names: tuple[str, str], last: str
) -> str:
    """Counts in cells, `names` down and, by their numbers, across; a cell's colour is its share of the row.

    Cells on the diagonal are blue, the others vermilion. Rows may have one cell more, which `last` names.
    """
    rows = [f"{shorten(name, _MATRIX_WIDTH)}  {number}" for number, name in enumerate(names, 1)]
    across = [str(number) for number in range(1, len(names) + 1)]
    across += [last] if len(counts[0]) > len(names) else []
    left = 0.45 + 0.075 * max(_columns(label) for label in rows)
    side = min(0.5, (WIDTH_INCH - left - 0.2) / len(across))
    height = side * len(rows) + 1.25
    small = max(5.0, min(10.0, side * 36))

    def draw(axes: Axes) -> None:
        from matplotlib.patches import Rectangle

        for down, cells in enumerate(counts):
            total = sum(cells) or 1
            for right, count in enumerate(cells):
                if count:
                    colour = SERIES[0] if down == right else LIMIT
                    shade = 0.12 + 0.48 * count / total
                    cell = Rectangle((right - 0.5, down - 0.5), 1, 1, color=colour, alpha=shade, linewidth=0)
                    axes.add_patch(cell)
                    axes.text(right, down, f"{count:,}", ha="center", va="center", fontsize=small)
        axes.set_xlim(-0.5, len(across) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xticks(range(len(across)), across, fontsize=small)
        axes.set_yticks(range(len(rows)), rows, fontsize=max(small, 8))
        if len(across) > len(names):
            axes.get_xticklabels()[-1].set(rotation=90)
        axes.tick_params(length=0)
        axes.set_xlabel(axes_names[1])
        axes.set_ylabel(axes_names[0])
        axes.set_title(title, pad=10)

    width, tall = side * len(across) / WIDTH_INCH, side * len(rows) / height
    return _svg(draw, height, (left / WIDTH_INCH, 0.8 / height, width, tall))


def against_diagonal(
    title: str,
    points_: Sequence[tuple[float, float, int]],
    axes_names: tuple[str, str],
) -> str:
    """Points (x, y, weight) between 0 and 1 with the line on which x is y; area grows with the weight."""
    height = 4.2
    most = max(weight for *_, weight in points_)

    def draw(axes: Axes) -> None:
        axes.plot((0, 1), (0, 1), color=LIMIT, linewidth=1.6, linestyle="--")
        x, y = [point[0] for point in points_], [point[1] for point in points_]
        axes.plot(x, y, color=SERIES[0], linewidth=1.2)
        axes.scatter(x, y, s=[24 + 160 * point[2] / most for point in points_], color=SERIES[0], zorder=3)
        axes.set_xlim(0, 1.03)
        axes.set_ylim(-0.03, 1.06)
        axes.set_xlabel(axes_names[0])
        axes.set_ylabel(axes_names[1])
        axes.grid()
        axes.set_title(title, pad=10)

    return _svg(draw, height, (0.11, 0.15, 0.85, 0.74))


def intervals(
    title: str, names: Sequence[str], figures: Sequence[tuple[float, float, float]], unit: str
) -> str:
    """Dots with the ends of their intervals (value, low, high), the first name on top; a line stands at 0."""
    labels = [shorten(name) for name in names]
    left = (0.18 + 0.085 * max((_columns(label) for label in labels), default=1)) / WIDTH_INCH
    height = 1.3 + 0.3 * len(names)

    def draw(axes: Axes) -> None:
        axes.axvline(0, color=LIMIT, linewidth=1.6, linestyle="--")
        for at, (value, low, high) in enumerate(figures):
            axes.plot((low, high), (at, at), color=SERIES[0], linewidth=2)
            axes.plot((value,), (at,), marker="o", markersize=7, color=SERIES[0])
        axes.set_yticks(range(len(names)), labels)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlabel(unit)
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        axes.set_title(title, pad=10)

    return _svg(draw, height, (left, 0.62 / height, 0.97 - left, 1 - (0.62 + 0.45) / height))


def line(title: str, names: Sequence[str], figures: Sequence[tuple[float, float, float]], unit: str) -> str:
    """A figure from version to version (value, low, high), the first name to the left, as one line."""
    height = 3.1

    def draw(axes: Axes) -> None:
        places = range(len(names))
        values = [value for value, _, _ in figures]
        ends = ([value - low for value, low, _ in figures], [high - value for value, _, high in figures])
        axes.errorbar(places, values, yerr=ends, color=SERIES[0], marker="o", linewidth=1.6, capsize=3)
        axes.set_xticks(places, [shorten(name, 16) for name in names], fontsize=10)
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_ylabel(unit)
        axes.grid(axis="y")
        axes.set_title(title, pad=10)

    return _svg(draw, height, (0.11, 0.2, 0.85, 0.66))


def in_page(svg: str, name: str) -> str:
    """The plot for the inside of a page: its colours follow the page's, its ids are its own."""
    body = svg[svg.index("<svg") :]
    for colour, value in _IN_PAGE.items():
        body = body.replace(colour, value)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    return re.sub(r'(url\(|xlink:href=")#', rf"\1#{name}-", body)


def shorten(name: str, width: int = _NAME_WIDTH) -> str:
    """A name that fits an axis, on one line."""
    name = "".join(letter if letter.isprintable() else " " for letter in name)
    while _columns(name) > width:
        name = name[:-2] + "…"
    return name


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WFA" else 1 for letter in text)


def _svg(draw: Any, height: float, place: tuple[float, float, float, float]) -> str:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # a user's own style must not reach the card
        matplotlib.rcParams.update(_STYLE)
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the reader's browser has the font
        figure = Figure(figsize=(WIDTH_INCH, height))
        canvas: Any = FigureCanvasSVG(figure)
        draw(figure.add_axes(place))
        target = io.BytesIO()
        canvas.print_svg(target, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return _plain(target.getvalue().decode("utf-8"))


def _plain(svg: str) -> str:
    """Without document type and renderer's particulars; fonts that hold Chinese."""
    svg = re.sub(r"<!DOCTYPE[^>]*>\s*", "", svg)
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*", f"font-family: {_FONTS}", svg)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"
